# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at every named point of every program: what comes next repairs what was left, and nothing stays behind.

The points are read from the sources, so a new one is tried without a word here. One scenario goes through all verbs; whatever
process passes the point dies there, each time. Then ordinary commands must work and, when all was removed, the store must look
exactly as it does after the same scenario without any death.
"""
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import leaks, programs

BASE = "onggi/base"
# Not passed by the scenario. Some have tests of their own below …
LOST = "instance.end.lost"
ORDINARY = ("network.pasta.", "userns.")
# … those of virtual machines in test_vm_verbs.py, test_kernel.py, test_image_machine.py and test_instance_vessel.py …
MACHINES = ("vm.", "kernel.", "image.erofs.", "image.sweep.erofs", "instance.start.disk.")
# … and some elsewhere: {point: file}.
ELSEWHERE = {"network.names.written": "test_network_lib_faults.py",  # takes dozens of instances
             "network.ports.handed-over": "test_network_lib_faults.py"}  # takes a publisher that loses its first network


def calls_of_test_point():
    for source in (programs.REPOSITORY / "src").rglob("*.c"):
        if source.name != "test_point.c":
            yield from re.findall(r"\btest_point\(([^;]*)\);", source.read_text())


def points_of_all():
    return sorted({point for call in calls_of_test_point() for point in re.findall(r'"([^"]+)"', call)})


def points_of_ordinary_users():
    return [point for point in points_of_all() if point.startswith(ORDINARY)]


def points_of_the_scenario():
    return [point for point in points_of_all() if point != LOST and point not in ELSEWHERE and not point.startswith((*ORDINARY, *MACHINES))]


def scenario(onggi, archive, folder, environment):
    """Every verb that changes something. Returns the exit statuses; each step is tried whatever became of the others."""
    statuses = []

    def step(*words, **settings):
        statuses.append((words, onggi(*words, env=environment, **settings).returncode))

    step("load", "-i", archive)
    step("tag", "localhost/busybox:test", "copy:1")
    step("save", "-o", folder / "saved.tar", "copy:1")
    step("run", "--rm", "--network", "none", BASE, "true")
    step("volume", "create", "jar")
    step("network", "create", "side")
    step("run", "-d", "--name", "aa", "-p", "127.0.0.1:8077:80", "-v", "jar:/data", "-v", "/anonymous", BASE, "sleep", "1000")
    step("exec", "aa", "true")
    step("run", "-d", "--name", "dd", "--network", "side", BASE, "sleep", "1000")
    step("network", "connect", "side", "aa")
    step("network", "disconnect", "side", "aa")
    step("rename", "aa", "bb")
    step("update", "--memory", "64m", "bb")
    step("pause", "bb")
    step("unpause", "bb")
    step("restart", "--time", "0", "bb")
    step("kill", "bb")
    step("run", "-d", "--name", "cc", "--restart", "on-failure:2", "--network", "side", BASE, "false")
    step("wait", "cc")
    step("run", "--rm", "--userns", "auto", "--network", "none", BASE, "true")
    step("rm", "--force", "--volumes", "aa", "bb", "cc", "dd")
    step("network", "rm", "side")
    step("volume", "rm", "jar")
    step("rmi", "copy:1", "localhost/busybox:test")
    step("image", "prune", "--force")
    return statuses


def remove_all(onggi):
    """As a user would, and every command must succeed whatever was left."""
    instances = onggi.ok("ps", "--all", "--quiet").split()
    if instances:
        onggi.ok("rm", "--force", "--volumes", *instances)
    onggi.ok("system", "prune", "--all", "--force", "--volumes")
    for name in onggi.ok("volume", "ls", "--quiet").split():
        onggi.ok("volume", "rm", name)


def files_of(onggi):
    return {f"{name}: {path.relative_to(folder)}" for name, folder in (("root", onggi.root), ("state", onggi.state))
            for path in folder.rglob("*")}


def killed_orphan(patience=3.0):
    """Whether a process that outlived its command died of SIGKILL; clean-up that is done later has a second to begin."""
    deadline = time.monotonic() + patience
    statuses = []
    while -signal.SIGKILL not in map(os.waitstatus_to_exitcode, statuses):
        if time.monotonic() > deadline:
            return False
        leaks.descendants(statuses)
        time.sleep(0.05)
    return True


def check_nothing_left(onggi, no_leaks):
    """But the two folders themselves, whose content is compared with files_of()."""
    left = [text for text in no_leaks.left() if not text.startswith(f"file: {onggi.state}")]
    assert left == [], "left behind:\n  " + "\n  ".join(left)


@pytest.fixture(scope="module")
def reference():
    """What is on disk after a life without deaths; filled by the first test."""
    return {}


@pytest.fixture
def untouched(private_host, onggi, reference, docker_archive, folder, no_leaks):
    if not reference:
        statuses = scenario(onggi, docker_archive, folder, {})
        assert [words for words, status in statuses if status and words[:2] != ("wait", "cc") and words[0] != "rm"] == []
        remove_all(onggi)
        check_nothing_left(onggi, no_leaks)
        reference["files"] = files_of(onggi)
    return reference["files"]


@pytest.mark.slow
@pytest.mark.parametrize("point", points_of_the_scenario())
def test_a_death_is_repaired_by_what_comes_next(onggi, private_host, no_leaks, docker_archive, folder, untouched, point):
    statuses = scenario(onggi, docker_archive, folder, {"ONGGI_TEST_KILL": point})
    assert any(status for _, status in statuses) or killed_orphan(), f"no step passes {point}: add one to the scenario"

    assert onggi.ok("run", "--rm", "--network", "none", BASE, "echo", "well") == "well"
    assert onggi.ok("run", "--rm", BASE, "echo", "connected") == "connected"
    (folder / "saved.tar").unlink(missing_ok=True)
    onggi.ok("load", "-i", docker_archive)
    onggi.ok("run", "-d", "--name", "next", "-p", "127.0.0.1:8077:80", "-v", "jar:/data", "localhost/busybox:test", "sleep", "1000")
    onggi.ok("exec", "next", "true")
    onggi.ok("rm", "--force", "next")
    remove_all(onggi)
    check_nothing_left(onggi, no_leaks)
    left = sorted(files_of(onggi) - untouched)
    assert left == [], "left on disk:\n  " + "\n  ".join(left)
    assert [name for name in os.listdir(folder) if name != "root"] == []


def test_every_point_is_found():
    assert [call for call in calls_of_test_point() if '"' not in call] == []
    rooms = {point.split(".")[0] for point in points_of_all()}
    assert {"container", "image", "instance", "monitor", "network", "userns", "volume"} <= rooms
    assert LOST in points_of_all() and len(points_of_ordinary_users()) > 2
    for point, file in ELSEWHERE.items():
        assert point in points_of_all() and f'"{point}"' in (Path(__file__).parent / file).read_text()


@pytest.fixture(name="host")
def fixture_host(onggi, no_leaks):
    """An onggi that has its image."""
    onggi.ok("run", "--rm", "--network", "none", BASE, "true")
    return onggi


def state_of(onggi, name):
    return onggi.json("inspect", name)[0]["State"]


def until(condition, seconds=20):
    """Waits for something that no event tells of."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def process_of(*words):
    """The number of the one descendant whose command line has all the words."""
    found = []
    until(lambda: found.extend(pid for pid, line in leaks.descendants().items() if all(word in line for word in words)) or found)
    return found[0]


def test_a_command_that_dies_after_its_monitor_leaves_the_rest_to_the_next(host):
    process = host.popen("run", "--network", "none", "--name", "one", BASE, "sh", "-c", "echo ready; exec sleep 1000",
                         env={"ONGGI_TEST_KILL": LOST}, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    os.kill(process_of("onggi-monitor"), signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    until(lambda: state_of(host, "one")["Status"] == "exited")
    assert state_of(host, "one")["ExitCode"] == 137
    host.ok("start", "one")
    host.ok("rm", "--force", "one")


@pytest.mark.skipif(not shutil.which("pasta"), reason="pasta (package passt) is not installed")
@pytest.mark.skipif(not shutil.which("newuidmap"), reason="newuidmap (package uidmap) is not installed")
@pytest.mark.parametrize("point", points_of_ordinary_users())
def test_a_death_of_an_ordinary_users_command_is_repaired_by_the_next(ordinary_user, point):
    done = ordinary_user("run", "--rm", BASE, "true", env={"ONGGI_TEST_KILL": point})
    assert done.returncode == -signal.SIGKILL or killed_orphan(), f"no step passes {point}"
    assert ordinary_user.ok("run", "--rm", BASE, "echo", "well") == "well"
    until(lambda: not ordinary_user.ok("ps", "--all", "--quiet"))
    until(lambda: [line for line in leaks.descendants().values() if "pasta" in line] == [])
    until(lambda: len(leaks.descendants()) == 1)  # the holder


FINISHING = ["instance.finish.container.deleted", "instance.finish.network.released", "instance.finish.recorded"]


@pytest.mark.parametrize("point", FINISHING)
def test_what_a_killed_onggi_finish_left_is_done_by_the_next_command(host, point):
    host.ok("run", "-d", "--name", "one", BASE, "sh", "-c", "exit 3", env={"ONGGI_TEST_KILL": point})
    assert killed_orphan(), f"onggi-finish does not pass {point}"
    assert state_of(host, "one")["Status"] == "exited" and state_of(host, "one")["ExitCode"] == 3
    host.ok("start", "one")
    host.ok("rm", "--force", "one")


@pytest.mark.parametrize("point", [*FINISHING, "instance.erase.renamed", "instance.erase.unpinned"])
def test_what_a_killed_onggi_finish_did_not_remove_goes_with_the_next_command(host, point):
    host.ok("run", "-d", "--rm", BASE, "true", env={"ONGGI_TEST_KILL": point})
    assert killed_orphan(), f"onggi-finish does not pass {point}"
    until(lambda: not host.ok("ps", "--all", "--quiet"))


def test_a_killed_init_ends_its_instance_and_all_in_it(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", "--init", BASE, "sh", "-c", "sleep 4321 & exec sleep 1234")
    process_of("sleep 4321")
    os.kill(state_of(host, "one")["Pid"], signal.SIGKILL)
    assert host.ok("wait", "one") == "137"
    until(lambda: [line for line in leaks.descendants().values() if "sleep" in line] == [])
    host.ok("rm", "one")


def test_a_killed_exec_leaves_nothing_when_its_program_has_ended(host):
    """The program itself goes on, as with docker."""
    host.ok("run", "-d", "--network", "none", "--name", "one", BASE, "sleep", "1234")
    before = leaks.Counter()
    process = host.popen("exec", "one", "sh", "-c", "echo ready; while ! rm /go 2> /dev/null; do usleep 10000; done; touch /gone",
                         stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    assert host("exec", "one", "test", "-e", "/gone").returncode == 1
    host.ok("exec", "one", "touch", "/go")
    until(lambda: host("exec", "one", "test", "-e", "/gone").returncode == 0)
    before.check()
    assert state_of(host, "one")["Running"]


def test_a_killed_exec_with_a_terminal_ends_its_program_and_leaves_nothing(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", BASE, "sleep", "1234")
    before = leaks.Counter()
    master, slave = pty.openpty()
    process = host.popen("exec", "-it", "one", "sh", "-c", "echo ready; exec sleep 4321", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    while b"ready" not in said:
        said += os.read(master, 1000)
    process.kill()
    process.wait()
    os.close(master)
    until(lambda: [line for line in leaks.descendants().values() if "sleep 4321" in line] == [])
    before.check()
    assert state_of(host, "one")["Running"]
