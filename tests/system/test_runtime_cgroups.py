# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups of containers on this host, where v1 hierarchies keep the usual controllers.

test_cgroup_v2.py is about hosts with v2 alone."""
import json
import os
import resource
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

ROOT = Path("/sys/fs/cgroup")
V1 = ("cpu", "cpuset", "memory", "pids", "freezer", "devices")
DENY_ALL = {"allow": False, "access": "rwm"}
KMSG = {"allow": True, "type": "c", "major": 1, "minor": 11}


@pytest.fixture(autouse=True)
def on_v1(private_host):
    lacking = [name for name in V1 if not (ROOT / name).is_dir()]
    if lacking:
        pytest.skip(f"this host keeps {', '.join(lacking)} on cgroup v2; test_cgroup_v2.py covers it")
    return private_host


def group(controller, identity):
    return ROOT / controller / "onggi" / identity


def read(controller, identity, file):
    return (group(controller, identity) / file).read_text().strip()


def left(identity):
    return [str(path) for path in ROOT.glob(f"*/onggi/{identity}")]


def await_(condition, what, seconds=10):
    """Control files have no event to wait for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)


@pytest.fixture
def start(runtime, bundle, unique):
    """start('sleep', '1000', resources={…}) runs a container in the background and returns its id."""
    def call(*args, resources=None, edit=None):
        def change(made):
            made.linux["resources"] = resources or {}
            if edit:
                edit(made)
        identity = unique("cg")
        runtime.ok("create", "--bundle", bundle(*args, edit=change), identity, stdout=None, stderr=None)
        runtime.ok("start", identity)
        return identity
    return call


def test_groups_are_removed_and_their_processes_killed_however_deep_they_are(runtime, start):
    identity = start("sleep", "1000")
    top = os.open(group("freezer", identity), os.O_RDONLY)
    here = os.dup(top)
    for _ in range(600):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    with open(os.open("cgroup.procs", os.O_WRONLY, dir_fd=here), "w") as file:
        file.write(str(runtime.state(identity)["pid"]))
    runtime.ok("kill", "--all", identity, "KILL")
    runtime.ok("delete", "--force", identity, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    os.close(here)
    os.close(top)
    assert not left(identity)


@pytest.fixture
def refuses(runtime, bundle, unique):
    """refuses(resources) is the reason why a container with them is not made; nothing of it is left."""
    def call(resources, path=None):
        def change(made):
            made.linux["resources"] = resources
            if path:
                made.linux["cgroupsPath"] = path
        identity = unique("cg")
        reason = runtime.refuses("run", "--bundle", bundle("/bin/true", edit=change), identity)
        assert not left(identity)
        return reason
    return call


def test_limits_are_in_each_hierarchy_and_go_with_the_container(runtime, start):
    identity = start("sleep", "1000", resources={
        "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swappiness": 10}, "pids": {"limit": 20},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "burst": 10000, "cpus": "0"}})
    assert read("memory", identity, "memory.limit_in_bytes") == str(64 << 20)
    assert read("memory", identity, "memory.soft_limit_in_bytes") == str(32 << 20)
    assert read("memory", identity, "memory.swappiness") == "10"
    assert read("pids", identity, "pids.max") == "20"
    assert read("cpu", identity, "cpu.shares") == "512"
    assert read("cpu", identity, "cpu.cfs_quota_us") == "50000"
    assert read("cpu", identity, "cpu.cfs_burst_us") == "10000"
    assert read("cpuset", identity, "cpuset.cpus") == "0"
    pid = runtime.state(identity)["pid"]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        assert line.endswith(f"/onggi/{identity}"), line
    runtime.ok("delete", "--force", identity)
    assert not left(identity)


def test_a_process_beyond_its_memory_is_killed(runtime, bundle, unique):
    def edit(made):
        made.linux["resources"] = {"memory": {"limit": 8 << 20, "swap": 8 << 20}}
    assert runtime("run", "--bundle", bundle("tail", "/dev/zero", edit=edit), unique()).returncode == 137


def test_a_fork_beyond_the_limit_of_processes_fails(runtime, bundle, unique):
    def edit(made):
        made.linux["resources"] = {"pids": {"limit": 2}}
    script = "sleep 0 & sleep 0 & sleep 0 & wait; echo all"
    done = runtime("run", "--bundle", bundle("sh", "-c", script, edit=edit), unique())
    assert "can't fork" in done.stderr
    assert done.stdout == ""


def test_only_allowed_devices_can_be_opened(runtime, bundle, unique):
    def edit(made):
        # kmsg: a node that every host has and no container by default
        made.linux["devices"] = [{"path": "/dev/first", "type": "c", "major": 1, "minor": 11},
                                 {"path": "/dev/second", "type": "c", "major": 5, "minor": 1}]
        made.linux["resources"] = {"devices": [DENY_ALL, dict(KMSG, access="w")]}
    script = ("for d in first second null; do (: >/dev/$d) 2>/dev/null && echo $d opens; done;"
              "(: </dev/first) || echo not for reading")
    assert runtime.ok("run", "--bundle", bundle("sh", "-c", script, edit=edit), unique()).splitlines()[:3] == [
        "first opens", "null opens", "not for reading"]


def test_device_rules_change_while_the_container_runs(runtime, start, folder):
    raid = {"allow": True, "type": "b", "major": 9, "access": "r"}
    identity = start("sleep", "1000", resources={"devices": [DENY_ALL, raid]})
    assert "b 9:* r" in read("devices", identity, "devices.list")
    wish = folder / "resources.json"
    fuse = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    wish.write_text(json.dumps({"devices": [DENY_ALL, fuse]}))
    runtime.ok("update", "--resources", wish, identity)
    devices = read("devices", identity, "devices.list").splitlines()
    assert "c 10:229 rw" in devices and "c 1:3 rwm" in devices
    assert not [line for line in devices if line.startswith("b 9:")]
    runtime.ok("update", "--pids-limit", "9", identity)
    assert read("devices", identity, "devices.list").splitlines() == devices


def test_pause_stops_every_process_and_resume_goes_on(runtime, start):
    identity = start("sh", "-c", "while :; do usleep 1000; done")

    def used():
        return int(read("cpuacct", identity, "cpuacct.usage"))
    runtime.ok("pause", identity)
    assert runtime.state(identity)["status"] == "paused"
    before = used()
    time.sleep(0.1)
    assert used() == before
    runtime.ok("resume", identity)
    assert runtime.state(identity)["status"] == "running"
    await_(lambda: used() > before, "the container to go on")


def test_a_paused_container_is_killed_and_deleted(runtime, start):
    identity = start("sleep", "1000")
    runtime.ok("pause", identity)
    runtime.ok("delete", "--force", identity)
    assert not left(identity)


def test_kill_all_reaches_processes_in_child_control_groups(runtime, start):
    identity = start("sh", "-c", "sleep 1000 & sleep 1001 & exec sleep 1002")
    await_(lambda: read("pids", identity, "pids.current") == "3", "three processes")
    one = read("freezer", identity, "cgroup.procs").split()[-1]
    for controller in V1:
        child = group(controller, identity) / "child"
        child.mkdir()
        if controller == "cpuset":
            (child / "cpuset.cpus").write_text(read("cpuset", identity, "cpuset.cpus"))
            (child / "cpuset.mems").write_text(read("cpuset", identity, "cpuset.mems"))
        (child / "cgroup.procs").write_text(one)
    runtime.ok("kill", "--all", identity, "KILL")
    await_(lambda: runtime.state(identity)["status"] == "stopped", "the container to stop")
    runtime.ok("delete", identity)
    assert not left(identity)


def test_update_moves_memory_and_swap_limits_up_and_down(runtime, start):
    identity = start("sleep", "1000", resources={"memory": {"limit": 32 << 20, "swap": 32 << 20}})
    for limit in (64 << 20, 16 << 20):
        runtime.ok("update", "--memory", limit, "--memory-swap", limit, identity)
        assert read("memory", identity, "memory.limit_in_bytes") == str(limit)
        assert read("memory", identity, "memory.memsw.limit_in_bytes") == str(limit)


def test_statistics_have_the_shape_that_engines_read(runtime, start):
    identity = start("sleep", "1000", resources={"memory": {"limit": 32 << 20}, "pids": {"limit": 9}})
    event = runtime.json("events", "--stats", identity)
    assert (event["type"], event["id"]) == ("stats", identity)
    data = event["data"]
    assert data["memory"]["usage"]["limit"] == 32 << 20
    assert data["memory"]["usage"]["usage"] > 0
    assert "total_rss" in data["memory"]["raw"]
    assert data["pids"] == {"current": 1, "limit": 9}
    assert data["cpu"]["usage"]["total"] > 0
    assert len(data["cpu"]["usage"]["percpu"]) >= 1


@pytest.mark.parametrize("resources, names", [
    ({"unified": {"nothing.max": "1"}}, "nothing.max"),
    ({"cpu": {"cpus": "4000"}}, "cpu.cpus"),
    ({"cpu": {"mems": "63"}}, "cpu.mems"),
    ({"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 0, "rate": 1}]}}, "throttleReadBpsDevice[0]"),
    ({"devices": [DENY_ALL, {"allow": True, "type": "c", "major": 1, "access": "rwm"},
                  {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "w"}]}, "linux.resources.devices"),
    ({"memory": {"limit": -7}}, "memory.limit"),
])
def test_what_the_host_cannot_hold_is_refused_by_its_name(refuses, resources, names):
    assert names in refuses(resources)


@pytest.mark.parametrize("controller, resources", [
    ("net_cls", {"network": {"classID": 1}}),
    ("net_prio", {"network": {"priorities": [{"name": "lo", "priority": 1}]}}),
    ("rdma", {"rdma": {"mlx5": {"hcaHandles": 1}}})])
def test_a_controller_that_is_missing_is_named_with_a_cure(refuses, controller, resources):
    if (ROOT / controller).is_dir():
        pytest.skip(f"this host has the controller {controller}")
    reason = refuses(resources)
    assert controller in reason and "remove the limit" in reason


def test_pages_that_the_host_lacks_are_refused(refuses):
    reason = refuses({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]})
    # Where the controller itself is missing, that is said first.
    assert "no pages of 3MB" in reason or "hugetlb" in reason


def test_hugepage_limits_are_kept_by_the_v2_mount_of_a_hybrid_host(runtime, start):
    controllers = ROOT / "unified/cgroup.controllers"
    if not controllers.exists() or "hugetlb" not in controllers.read_text().split():
        pytest.skip("this host's v2 mount does not keep hugetlb")
    identity = start("sleep", "1000", resources={"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]})
    limits = [read("unified", identity, file) for file in ("hugetlb.2MB.rsvd.max", "hugetlb.2MB.max")]
    assert limits == [str(4 << 20), "max"]
    runtime.ok("delete", "--force", identity)


@pytest.mark.parametrize("path", ["/", "/a/../b", "../a", "a\nb"])
def test_paths_that_lead_out_are_refused(refuses, path):
    assert "linux.cgroupsPath" in refuses({}, path)


def test_a_relative_path_lies_below_ours_and_an_absolute_one_where_it_says(runtime, start, unique):
    name = unique("place")
    relative = start("sleep", "1000", edit=lambda made: made.linux.update(cgroupsPath=f"{name}/inner"))
    absolute = start("sleep", "1000", edit=lambda made: made.linux.update(cgroupsPath=f"/{name}/inner"))
    for identity, place in ((relative, ROOT / "memory/onggi" / name), (absolute, ROOT / "memory" / name)):
        assert (place / "inner/cgroup.procs").read_text().split() == [str(runtime.state(identity)["pid"])]
    for identity in (relative, absolute):
        runtime.ok("delete", "--force", identity)
    for place in list(ROOT.glob(f"*/{name}")) + list(ROOT.glob(f"*/onggi/{name}")):
        place.rmdir()


def test_an_occupied_control_group_is_refused_and_left_alone(runtime, refuses, start):
    identity = start("sleep", "1000")
    assert "holds processes already" in refuses({}, f"/onggi/{identity}")
    assert runtime.state(identity)["status"] == "running"
    assert read("memory", identity, "cgroup.procs") == str(runtime.state(identity)["pid"])


def test_exec_runs_in_the_control_groups_of_the_container(runtime, start):
    identity = start("sleep", "1000")
    inside = runtime.ok("exec", identity, "cat", "/proc/self/cgroup").splitlines()
    # Its own control group is the root of what the container sees.
    assert inside and all(line.endswith(":/") for line in inside)


def test_systemd_names_are_mapped_where_systemd_does_not_run(runtime, bundle, unique):
    if os.path.exists("/run/systemd/system"):
        pytest.skip("systemd runs here")
    name = unique("unit")

    def edit(made):
        made.linux["cgroupsPath"] = f"a-b.slice:pre:{name}"
        made.linux["namespaces"] = [space for space in made.linux["namespaces"] if space["type"] != "cgroup"]
    done = runtime.ok("--systemd-cgroup", "run", "--bundle", bundle("cat", "/proc/self/cgroup", edit=edit), unique())
    assert all(line.endswith(f"/a.slice/a-b.slice/pre-{name}.scope") for line in done.splitlines())
    for place in ROOT.glob("*/a.slice"):
        assert not list(place.glob("a-b.slice/*.scope"))
        (place / "a-b.slice").rmdir()
        place.rmdir()
    plain = bundle("true", edit=lambda made: made.linux.update(cgroupsPath="/x"))
    assert "slice:prefix:name" in runtime.refuses("--systemd-cgroup", "run", "--bundle", plain, unique())
