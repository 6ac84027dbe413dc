# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of an ordinary user: everything as root has it, with ids, cgroups and networks of the user's own."""
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from support import archives, leaks, private_host
from support.images import device, file, folder as directory, write_tar
from support.ordinary_user import SUB_FIRST, UID, own_folder
from support.terminal import Terminal

pytestmark = [pytest.mark.root,
              pytest.mark.skipif(not shutil.which("pasta"), reason="pasta (package passt) is not installed"),
              pytest.mark.skipif(not shutil.which("newuidmap"), reason="newuidmap (package uidmap) is not installed")]

IMAGE = "onggi/base"
SERVE = "mkdir -p /srv/www; echo it works > /srv/www/index.html; exec httpd -f -p 80 -h /srv/www"


@pytest.fixture(name="user")
def fixture_user(ordinary_user):
    return ordinary_user


class Delegation:
    """Control groups that are the user's, as a session of a host that delegates them; the tests move into one."""

    def __init__(self):
        self.points = [point for point, _, _ in private_host.cgroup_hierarchies()]
        self.before = [self._own(point) for point in self.points]
        for point in self.points:
            self._prepare(Path(point))
        self._move([f"{point}/user/session" for point in self.points])

    @staticmethod
    def _own(point):
        """The group of this process: found where it is listed, for paths in /proc are relative to a namespace."""
        for folder, _, _ in os.walk(point):
            if str(os.getpid()) in Path(folder, "cgroup.procs").read_text().split():
                return folder
        raise AssertionError(f"this process is in no group below {point}")

    @staticmethod
    def _prepare(point):
        above = point
        for name in ("user", "user/session", "user/onggi"):
            group = point / name
            group.mkdir()
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (group / setting).exists() and "cpuset" in point.name:
                    (group / setting).write_text((above / setting).read_text())
            for path in (group, *group.iterdir()):
                os.chown(path, UID, UID)
            above = point / "user"

    @staticmethod
    def _move(groups):
        for group in groups:
            Path(group, "cgroup.procs").write_text(str(os.getpid()))

    def end(self):
        self._move(self.before)
        for point in self.points:
            for name in ("user/session", "user/onggi", "user"):
                until(lambda: remove_folder(f"{point}/{name}"))


def remove_folder(path):
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


@pytest.fixture
def delegated(private_host):  # pylint: disable=unused-argument
    delegation = Delegation()
    yield delegation
    delegation.end()


def outside(inside):
    """The host's number of an id of an instance."""
    return SUB_FIRST + inside - 1 if inside else UID


def owner(path):
    found = os.lstat(path)
    return found.st_uid, found.st_gid


def until(condition, seconds=20):
    """Waits for something that no event tells of."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def start(user, name, *words, network="none"):
    user.ok("run", "-d", "--network", network, "--name", name, *words)


def state_of(user, name):
    return user.json("inspect", name)[0]["State"]


def processes(*words, owner=None):
    """{pid: command line} of this test's living processes whose command line has all the words."""
    found = {}
    for pid, line in leaks.descendants().items():
        try:
            belongs = owner is None or os.stat(f"/proc/{pid}").st_uid == owner
        except OSError:
            continue
        if belongs and all(word in line for word in words):
            found[pid] = line
    return found


def monitor_of(user, name):
    monitor, = processes("onggi-monitor", user.ok("inspect", "--format", "{{.Id}}", name))
    return monitor


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(port):
    def try_it():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                answers.append(answer.read().decode().strip())
            return True
        except OSError:
            return False
    answers = []
    until(try_it)
    return answers[0]


# ---- Running ----

def test_the_first_command_brings_the_image_along_and_passes_output_and_exit_status_on(user):
    done = user("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")
    assert not user.ok("ps", "--all", "--quiet")


@pytest.mark.parametrize("command, status", [(["/none"], 127), (["/etc"], 126), (["sh", "-c", "exit 7"], 7)])
def test_exit_statuses_are_those_of_everybody(user, command, status):
    assert user("run", "--rm", "--network", "none", IMAGE, *command).returncode == status


def test_a_program_is_root_of_its_own_and_the_user_outside(user):
    start(user, "one", IMAGE, "sleep", "1000")
    assert user.ok("exec", "one", "id", "-u") == "0"
    assert os.stat(f"/proc/{state_of(user, 'one')['Pid']}").st_uid == UID


def test_a_program_as_another_user_has_a_subordinate_id(user):
    assert user.ok("run", "--rm", "--network", "none", "-u", "1000", IMAGE, "sh", "-c", "id -u; echo x > /tmp/own; stat -c %u /tmp/own") \
        == "1000\n1000"
    start(user, "one", "-u", "1000:50", IMAGE, "sleep", "1000")
    status = Path(f"/proc/{state_of(user, 'one')['Pid']}/status").read_text()
    assert f"\nUid:\t{outside(1000)}\t" in status and f"\nGid:\t{outside(50)}\t" in status


def test_userns_auto_is_what_an_ordinary_user_has_already(user):
    done = user("run", "--rm", "--network", "none", "--userns", "auto", IMAGE, "cat", "/proc/self/uid_map")
    assert [line.split() for line in done.stdout.splitlines()] == [["0", str(UID), "1"], ["1", str(SUB_FIRST), "65536"]]


def test_a_map_of_its_own_is_for_root(user):
    assert "share the map of that user" in user.refuses("run", "--rm", "--userns", "0:1:1000", IMAGE, "true", status=125)


def test_a_device_has_the_name_that_was_asked_for(user):
    assert user.ok("run", "--rm", "--network", "none", "--device", "/dev/zero:/dev/naught", "--device", "/dev/full", IMAGE, "sh", "-c",
                   "head -c 3 /dev/naught | od -An -tx1; test -c /dev/full && echo full").split() == ["00", "00", "00", "full"]


def test_a_privileged_instance_may_mount(user):
    assert user.ok("run", "--rm", "--network", "none", "--privileged", IMAGE, "sh", "-c", "mount -t tmpfs none /mnt && echo mounted") == "mounted"


@pytest.mark.core
def test_a_detached_instance_lives_through_its_verbs(user):
    start(user, "one", IMAGE, "sh", "-c", "echo started; trap 'echo ended; exit 4' TERM; while :; do sleep 0.1; done")
    until(lambda: user.ok("logs", "one") == "started")
    assert user.ok("ps", "--format", "{{.Names}} {{.State}}") == "one running"
    assert user("exec", "one", "sh", "-c", "exit 9").returncode == 9
    assert user("exec", "-i", "one", "cat", input="typed").stdout == "typed"
    user.ok("rename", "one", "two")
    user.ok("stop", "two")
    assert user.ok("wait", "two") == "4"
    assert user.ok("logs", "two") == "started\nended"
    user.ok("start", "two")
    user.ok("restart", "--time", "0", "two")
    assert state_of(user, "two")["Running"]
    user.refuses("rm", "two")
    user.ok("rm", "--force", "two")
    assert not user.ok("ps", "--all", "--quiet")


def test_what_an_instance_wrote_stays_when_it_starts_again(user):
    assert user.ok("run", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "echo x >> /kept; wc -l < /kept") == "1"
    assert user.ok("start", "--attach", "one") == "2"


def test_run_and_exec_have_terminals(user):
    terminal = Terminal(user, "run", "-it", "--network", "none", "--name", "one", IMAGE, "sh", "-c",
                        "tty; read word; exit $word")
    terminal.expect("/dev/pts/0")
    inner = Terminal(user, "exec", "-it", "one", "sh", "-c", "tty; read word; exit $word")
    inner.expect("/dev/pts/")
    inner.type("9\n")
    assert inner.end() == 9
    terminal.type("6\n")
    assert terminal.end() == 6


def test_a_restart_policy_starts_the_program_again(user):
    start(user, "one", "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo try; exit 3")
    until(lambda: state_of(user, "one")["Status"] == "exited")
    assert user.ok("logs", "one") == "try\ntry\ntry"
    assert user.ok("inspect", "--format", "{{.RestartCount}} {{.State.ExitCode}}", "one") == "2 3"


# ---- Files ----

def test_a_named_volume_keeps_files_and_owners(user):
    user.ok("run", "--rm", "--network", "none", "-v", "data:/data", IMAGE, "sh", "-c", "echo x > /data/a; echo y > /data/b; chown 7:8 /data/b")
    assert user.ok("run", "--rm", "--network", "none", "-v", "data:/data", IMAGE, "stat", "-c", "%u:%g", "/data/a", "/data/b") == "0:0\n7:8"
    place = Path(user.json("volume", "inspect", "data")[0]["Mountpoint"])
    assert owner(place / "a") == (UID, UID)
    assert owner(place / "b") == (outside(7), outside(8))
    user.ok("volume", "rm", "data")
    assert not place.exists()


def test_a_folder_of_the_users_is_the_roots_inside(user):
    shared = own_folder(user.home / "shared")
    (shared / "mine").write_text("of the user")
    os.chown(shared / "mine", UID, UID)
    assert user.ok("run", "--rm", "--network", "none", "-v", f"{shared}:/in", IMAGE, "sh", "-c",
                   "stat -c %u /in/mine; cat /in/mine; echo x > /in/new; echo x > /in/theirs; chown 1000 /in/theirs") == "0\nof the user"
    assert owner(shared / "new") == (UID, UID)
    assert owner(shared / "theirs") == (outside(1000), UID)


def test_what_the_user_may_not_read_the_instance_may_not_either(user, folder):
    secret = folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    done = user("run", "--rm", "--network", "none", "-v", f"{folder}:/in", IMAGE, "cat", "/in/secret")
    assert done.returncode == 1 and "Permission denied" in done.stderr


def test_a_users_umask_takes_no_right_from_those_inside(user):
    said = user.ok("run", "--rm", "-u", "1000", "-w", "/new/folder", IMAGE, "sh", "-c", "pwd; stat -c %a /new /etc/hosts /etc/resolv.conf /etc/hostname",
                   umask=0o077)
    assert said.split() == ["/new/folder", "755", "644", "644", "644"]


def test_an_image_with_devices_and_several_owners_is_usable(user, folder, busybox_layer):
    path = write_tar(user.home / "root.tar", directory("own"), file("own/of-7", uid=7, gid=8), file("own/of-0"), device("own/null", 1, 3))
    path.chmod(0o644)
    done = user("import", path, "localhost/several:1")
    assert done.returncode == 0 and "null" in done.stderr
    archive = archives.write_docker_archive(user.home / "image.tar", "localhost/several:2", [busybox_layer, path.read_bytes()])
    archive.chmod(0o644)
    user.ok("load", "--input", archive)
    assert user.ok("run", "--rm", "--network", "none", "localhost/several:2", "sh", "-c", "stat -c '%n %u:%g' /own/*") \
        == "/own/of-0 0:0\n/own/of-7 7:8"
    user.ok("rmi", "localhost/several:1", "localhost/several:2")


# ---- Networks ----

def test_a_published_port_is_reached_on_loopback_and_is_free_again_after_the_end(user):
    port = free_port()
    start(user, "web", "-p", f"127.0.0.1:{port}:80", IMAGE, "sh", "-c", SERVE, network="default")
    assert fetch(port) == "it works"
    assert user.ok("port", "web") == f"80/tcp -> 127.0.0.1:{port}"
    user.ok("stop", "--time", "0", "web")
    with socket.create_server(("127.0.0.1", port)):
        assert f"{port}/tcp is in use" in user.refuses("start", "web")
    user.ok("start", "web")
    assert fetch(port) == "it works"


def test_the_hosts_network_can_be_used(user):
    assert user.ok("run", "--rm", "--network", "host", IMAGE, "readlink", "/proc/self/ns/net") == os.readlink("/proc/thread-self/ns/net")


def test_a_program_that_is_not_root_may_serve_on_low_ports_of_its_own_network(user):
    port = free_port()
    start(user, "web", "-u", "1000", "-p", f"127.0.0.1:{port}:80", IMAGE, "httpd", "-f", "-p", "80", "-h", "/etc", network="default")
    until(lambda: user("exec", "web", "wget", "-q", "-O", "-", "http://127.0.0.1/hostname").returncode == 0)


def test_a_port_of_the_host_that_is_roots_is_refused(user):
    assert "ip_unprivileged_port_start" in user.refuses("run", "--rm", "-p", "80:80", IMAGE, "true", status=125)


def test_a_network_of_another_instance_is_shared(user):
    start(user, "web", IMAGE, "sh", "-c", SERVE, network="default")
    until(lambda: user("run", "--rm", "--network", "container:web", IMAGE, "wget", "-q", "-O", "-", "http://127.0.0.1/").stdout == "it works\n")


def test_two_instances_of_a_network_find_each_other_by_name(user):
    user.ok("network", "create", "pair")
    start(user, "first", IMAGE, "sh", "-c", SERVE, network="pair")
    start(user, "second", IMAGE, "sh", "-c", SERVE, network="pair")
    for one, other in (("first", "second"), ("second", "first")):
        until(lambda: user("exec", one, "wget", "-q", "-O", "-", f"http://{other}/").stdout == "it works\n")
    start(user, "stranger", IMAGE, "sleep", "1000", network="default")
    assert user("exec", "stranger", "wget", "-q", "-T", "1", "-O", "-", "http://first/").returncode != 0
    user.ok("network", "connect", "pair", "stranger")
    assert user.ok("exec", "stranger", "wget", "-q", "-O", "-", "http://first/") == "it works"
    user.ok("rm", "--force", "first", "second", "stranger")
    user.ok("network", "rm", "pair")


# ---- Limits, and what needs control groups ----

@pytest.mark.parametrize("option, value, controller", [("--memory", "64m", "memory"), ("--pids-limit", "10", "pids"), ("--cpus", "1", "cpu"),
                                                       ("--cpuset-cpus", "0", "cpuset")])
def test_a_limit_without_a_delegated_control_group_is_refused(user, option, value, controller):
    line = user.refuses("run", "--rm", "--network", "none", option, value, IMAGE, "true", status=125)
    assert f'"{controller}" is not delegated to you' in line
    assert not user.ok("ps", "--all", "--quiet")


def test_what_needs_control_groups_says_so_and_the_rest_works(user):
    start(user, "one", IMAGE, "sleep", "1000")
    inner = user.popen("exec", "one", "sleep", "2000")
    assert "control group" in user.refuses("pause", "one")
    assert "control group" in user.refuses("stats", "--no-stream", "one")
    assert "not delegated to you" in user.refuses("update", "--memory", "64m", "one")
    until(lambda: [line.split()[-1] for line in user.ok("top", "one").splitlines()[1:]] == ["1000", "2000"])
    user.ok("rm", "--force", "one")
    assert inner.wait(20) == 137


@pytest.mark.skipif(Path("/sys/fs/cgroup/cgroup.controllers").exists(), reason="prepares groups of cgroup v1 only")
def test_with_delegated_control_groups_limits_hold_and_are_counted(delegated, user):  # pylint: disable=unused-argument
    start(user, "one", "--memory", "64m", "--pids-limit", "20", "--cpus", "0.5", IMAGE, "sleep", "1000")
    group = Path("/sys/fs/cgroup/memory/user/onggi") / user.ok("inspect", "--format", "{{.Id}}", "one")
    assert (group / "memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
    user.ok("update", "--memory", "100m", "one")
    assert (group / "memory.limit_in_bytes").read_text() == f"{100 << 20}\n"
    assert "/ 100MiB" in user.ok("stats", "--no-stream", "--format", "{{.MemUsage}}", "one")
    user.ok("pause", "one")
    assert state_of(user, "one")["Paused"]
    user.ok("unpause", "one")
    assert user.ok("exec", "one", "echo", "works") == "works"
    user.ok("rm", "--force", "one")
    assert not group.exists()


def test_a_program_that_needs_more_memory_than_it_may_have_is_reported(delegated, user):  # pylint: disable=unused-argument
    assert user("run", "--name", "one", "--network", "none", "--memory", "8m", IMAGE, "sh", "-c", "head -c 64m /dev/zero | tail; exit 137") \
        .returncode == 137
    assert state_of(user, "one")["OOMKilled"]


# ---- The namespace that all commands share ----

def test_twenty_first_commands_share_one_user_namespace(user):
    started = [user.popen("run", "--rm", "--network", "none", IMAGE, "readlink", "/proc/self/ns/user", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) for _ in range(20)]
    said = [process.communicate(timeout=100) for process in started]
    assert [error for _, error in said if error] == []
    assert {text for text, _ in said} == {os.readlink(f"/proc/{user.holder()}/ns/user") + "\n"}


@pytest.mark.parametrize("first", [["ps"], ["run", "--rm", "--network", "none", "-e", "WORD=secret", IMAGE, "true"]])
def test_the_holder_stays_and_shows_nothing_of_the_command_that_started_it(user, first):
    user.ok(*first)
    holder = user.holder()
    assert Path(f"/proc/{holder}/cmdline").read_bytes().strip(b"\0") == b"onggi-userns"
    user.ok("run", "--rm", "--network", "none", IMAGE, "true")
    assert user.holder() == holder


def test_instances_survive_the_death_of_the_holder(user):
    port = free_port()
    start(user, "one", "-p", f"127.0.0.1:{port}:80", IMAGE, "sh", "-c", SERVE, network="default")
    start(user, "two", "-u", "1000", IMAGE, "sleep", "1000")
    before = os.readlink(f"/proc/{user.holder()}/ns/user")
    os.kill(user.holder(), signal.SIGKILL)
    assert user.ok("exec", "two", "id", "-u") == "1000"
    assert os.readlink(f"/proc/{user.holder()}/ns/user") == before
    assert fetch(port) == "it works"
    user.ok("rm", "--force", "one", "two")
    until(lambda: not processes("pasta", str(user.state)))


def test_a_holder_that_died_with_nothing_running_is_made_anew(user):
    user.ok("run", "--rm", "--network", "none", IMAGE, "true")
    os.kill(user.holder(), signal.SIGKILL)
    assert user.ok("run", "--rm", IMAGE, "echo", "works") == "works"


def test_a_user_without_subordinate_ids_is_told_what_to_do(user):
    Path("/etc/subuid").write_text("")
    line = user.refuses("run", "--rm", IMAGE, "true", status=125)
    assert "/etc/subuid" in line and "usermod --add-subuids" in line


# ---- Faults ----

def test_a_killed_monitor_is_noticed_and_all_is_put_right(user):
    port = free_port()
    start(user, "one", "-p", f"127.0.0.1:{port}:80", IMAGE, "sleep", "1000", network="default")
    os.kill(monitor_of(user, "one"), signal.SIGKILL)
    until(lambda: state_of(user, "one")["Status"] == "exited")
    assert "monitor was killed" in state_of(user, "one")["Error"]
    user.ok("start", "one")
    assert state_of(user, "one")["Running"]
    user.ok("rm", "--force", "one")
    assert not processes("pasta", str(user.state))


def test_after_all_of_the_users_processes_died_at_once_all_starts_again(user):
    port = free_port()
    user.ok("network", "create", "pair")
    start(user, "web", "-p", f"127.0.0.1:{port}:80", IMAGE, "sh", "-c", SERVE, network="pair")
    start(user, "other", "-u", "1000", IMAGE, "sleep", "1000", network="pair")
    inside = [state_of(user, name)["Pid"] for name in ("web", "other")]
    for pid in {*inside, *processes(owner=UID)}:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not processes("pasta"))  # the port is free when it is gone
    until(lambda: user.ok("ps", "--all", "--format", "{{.Names}} {{.State}}").splitlines() == ["other exited", "web exited"])
    user.ok("start", "web", "other")
    assert fetch(port) == "it works"
    assert user.ok("exec", "other", "wget", "-q", "-O", "-", "http://web/") == "it works"
    user.ok("rm", "--force", "web", "other")
    user.ok("network", "rm", "pair")


def test_a_way_out_that_was_killed_comes_back_with_a_restart(user):
    port = free_port()
    start(user, "web", "-p", f"127.0.0.1:{port}:80", IMAGE, "sh", "-c", SERVE, network="default")
    pasta, = processes("pasta", str(user.state))
    os.kill(pasta, signal.SIGKILL)
    user.ok("restart", "--time", "0", "web")
    assert fetch(port) == "it works"


@pytest.mark.parametrize("point", ["instance.create.pinned", "instance.start.root.mounted", "instance.start.attached",
                                   "monitor.mounted", "monitor.runtime.spawned", "monitor.started", "instance.erase.renamed"])
def test_a_run_killed_on_the_way_leaves_nothing_to_the_next(user, point):
    assert user("run", "--rm", IMAGE, "true", env={"ONGGI_TEST_KILL": point}).returncode in (-signal.SIGKILL, 125)
    until(lambda: not user.ok("ps", "--all", "--quiet"))
    until(lambda: not processes("pasta", str(user.state)))


def test_after_the_last_instance_only_the_holder_and_its_bridges_stay(user):
    user.ok("network", "create", "own")
    start(user, "one", "-p", str(free_port()) + ":80", IMAGE, "sleep", "1000", network="own")
    user.ok("rm", "--force", "one")
    user.ok("network", "rm", "own")
    pinned = [line for line in user.inside("cat", "/proc/self/mountinfo").splitlines() if str(user.state) in line or str(user.root) in line]
    assert len(pinned) <= 1, pinned
    until(lambda: processes(owner=UID).keys() == {user.holder()})
    assert not list((user.state / "instances").glob("[0-9a-f]*"))
