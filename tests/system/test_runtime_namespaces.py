# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespaces made, joined and kept, the user namespace and its numbers, time, sysctl, network devices."""
import os
import subprocess

import pytest

from runtime_bundle import namespaces, started, with_user_namespace

pytestmark = pytest.mark.root

FILES = {"pid": "pid", "ipc": "ipc", "uts": "uts", "mount": "mnt", "network": "net", "cgroup": "cgroup", "time": "time"}


@pytest.fixture
def run(runtime, bundle, unique):
    def call(*args, edit=None):
        return runtime.ok("run", "--bundle", bundle(*args, edit=edit), unique())
    return call


@pytest.mark.core
@pytest.mark.parametrize("kind", FILES)
def test_a_namespace_is_made(run, kind):
    said = run("readlink", f"/proc/self/ns/{FILES[kind]}", edit=lambda b: namespaces(b, *FILES))
    assert said.startswith(FILES[kind]) and said != os.readlink(f"/proc/self/ns/{FILES[kind]}")


@pytest.mark.parametrize("kind", ["ipc", "uts", "network", "cgroup", "pid"])
def test_a_namespace_that_is_not_named_stays_the_callers(run, kind):
    def edit(made):
        namespaces(made, *(other for other in FILES if other not in (kind, "time")))
        if kind == "uts":
            made.config.pop("hostname")
        if kind == "network":
            made.config["mounts"] = [mount for mount in made.config["mounts"] if mount["type"] != "sysfs"]
    assert run("readlink", f"/proc/self/ns/{FILES[kind]}", edit=edit) == os.readlink(f"/proc/self/ns/{FILES[kind]}")


@pytest.mark.parametrize("kind", ["ipc", "uts", "network", "pid", "cgroup", "time"])
def test_a_namespace_is_joined_by_path(runtime, bundle, unique, run, kind):
    first = started(runtime, bundle("sleep", "1000", edit=lambda b: namespaces(b, *FILES)), unique())
    path = f"/proc/{runtime.state(first)['pid']}/ns/{FILES[kind]}"
    said = run("readlink", f"/proc/self/ns/{FILES[kind]}",
               edit=lambda b: namespaces(b, *(other for other in FILES if other not in (kind, "time")), **{kind: path}))
    assert said == os.readlink(path)


def test_a_path_of_the_wrong_kind_is_refused(runtime, bundle, unique):
    made = bundle(edit=lambda b: namespaces(b, "mount", "uts", ipc="/proc/self/ns/net"))
    assert "is not a ipc namespace" in runtime.refuses("run", "--bundle", made, unique())
    made = bundle(edit=lambda b: namespaces(b, "mount", "uts", ipc="/etc/passwd"))
    assert "is not a ipc namespace" in runtime.refuses("run", "--bundle", made, unique())
    made = bundle(edit=lambda b: namespaces(b, "mount", "uts", ipc="/none"))
    assert "cannot open the ipc namespace /none" in runtime.refuses("run", "--bundle", made, unique())


def test_the_first_process_is_number_one_of_its_pid_namespace(run):
    assert run("sh", "-c", "echo $$") == "1"


def test_hostname_and_domainname(run):
    said = run("sh", "-c", "hostname; cat /proc/sys/kernel/domainname",
               edit=lambda b: b.config.update(hostname="inside", domainname="example"))
    assert said.split() == ["inside", "example"]


def test_sysctl_of_own_namespaces(run):
    values = {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "33"}
    said = run("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced", "/proc/sys/fs/mqueue/msg_max",
               edit=lambda b: b.linux.update(sysctl=values))
    assert said.split() == ["1", "1", "33"]


def test_a_sysctl_of_a_joined_namespace_that_is_the_hosts_is_refused(runtime, bundle, unique):
    def edit(made):
        namespaces(made, "mount", "pid", "uts", "ipc", network="/proc/self/ns/net")
        made.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    assert "would change the host" in runtime.refuses("run", "--bundle", bundle(edit=edit), unique())


def test_time_offsets(run):
    def edit(made):
        made.linux["namespaces"].append({"type": "time"})
        made.linux["timeOffsets"] = {"boottime": {"secs": 1000000, "nanosecs": 5}, "monotonic": {"secs": 7}}
    said = run("sh", "-c", "cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets", edit=edit)
    uptime, *offsets = said.splitlines()
    assert int(uptime) >= 1000000
    assert [line.split() for line in offsets] == [["monotonic", "7", "0"], ["boottime", "1000000", "5"]]


# ---- user namespace ----

@pytest.mark.core
def test_root_inside_is_an_ordinary_number_outside(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000", edit=with_user_namespace), unique())
    status = open(f"/proc/{runtime.state(name)['pid']}/status", encoding="utf-8").read()
    assert "Uid:\t100000\t100000\t100000\t100000" in status and "Gid:\t200000\t200000" in status
    assert runtime.ok("exec", name, "sh", "-c", "id -u; id -g; cat /proc/self/uid_map").split() == \
        ["0", "0", "0", "100000", "65536"]
    assert runtime.json("ps", "-f", "json", name) == [runtime.state(name)["pid"]]


def test_a_user_inside_a_user_namespace_with_groups(run):
    def edit(made):
        with_user_namespace(made)
        made.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [2000]}
    assert run("sh", "-c", "id -u; id -G", edit=edit).split()[0] == "1000"


def test_a_user_namespace_is_joined_by_path(runtime, bundle, unique):
    first = started(runtime, bundle("sleep", "1000", edit=with_user_namespace), unique())
    path = f"/proc/{runtime.state(first)['pid']}/ns/user"

    def edit(made):
        made.linux["namespaces"].append({"type": "user", "path": path})
        for folder in (made.path, made.path.parent):
            folder.chmod(0o755)
    assert runtime.ok("run", "--bundle", bundle("readlink", "/proc/self/ns/user", edit=edit), unique()) == os.readlink(path)


def test_limits_above_the_callers_in_a_user_namespace(run):
    def edit(made):
        with_user_namespace(made)
        made.process["rlimits"] = [{"type": "RLIMIT_CORE", "hard": 4096000, "soft": 4096000}]
    assert run("sh", "-c", "ulimit -Hc", edit=edit) != "0"


def test_a_time_namespace_inside_a_user_namespace(run):
    def edit(made):
        with_user_namespace(made)
        made.linux["namespaces"].append({"type": "time"})
        made.linux["timeOffsets"] = {"boottime": {"secs": 1000000}}
    assert int(run("sh", "-c", "cut -d. -f1 /proc/uptime", edit=edit)) >= 1000000


# ---- network devices ----

def test_a_network_device_moves_in_with_its_addresses(runtime, bundle, private_host, unique):
    subprocess.run("ip link add d0 type veth peer name d1 && ip link set d1 up && ip addr add 10.9.8.7/24 dev d0 && ip addr add fd00:9::7/64 dev d0 nodad && "
                   "ip link set d0 up", shell=True, check=True)
    made = bundle("ip", "addr", "show", "inside0", edit=lambda b: b.linux.update(netDevices={"d0": {"name": "inside0"}}))
    said = runtime.ok("run", "--bundle", made, unique())
    assert "10.9.8.7/24" in said and "fd00:9::7/64" in said and "UP" in said


def test_a_network_device_that_is_missing_is_named(runtime, bundle, unique):
    made = bundle(edit=lambda b: b.linux.update(netDevices={"none0": {}}))
    assert "no interface none0" in runtime.refuses("run", "--bundle", made, unique())


def test_resource_director_without_resctrl_is_refused_clearly(runtime, bundle, unique):
    if os.path.ismount("/sys/fs/resctrl"):
        pytest.skip("this host has resctrl mounted")
    made = bundle(edit=lambda b: b.linux.update(intelRdt={"l3CacheSchema": "L3:0=f"}))
    assert "linux.intelRdt needs" in runtime.refuses("run", "--bundle", made, unique())
