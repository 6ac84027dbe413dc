# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at every named point of every program: what comes next repairs what was left, and nothing stays behind.

The points are read from the sources, so a new one is tried without a word here. One scenario goes through all verbs; whatever
process passes the point dies there, each time. Then ordinary commands must work and, when all was removed, the store must look
exactly as it does after the same scenario without any death.
"""
import itertools
import os
import re
import signal
import time

import pytest

from support import leaks, programs

ELSEWHERE = {
    "network.pasta.": "only an ordinary user's network passes it: test_network_lib_rootless.py",
    "userns.holder.": "only an ordinary user's command passes it: test_instance_rootless.py",
    "hosted.": "virtual machines: test_vmm.py",
}
BASE = "onggi/base"


def test_points():
    found = set()
    for source in (programs.REPOSITORY / "src").rglob("*.c"):
        found.update(re.findall(r'\btest_point\("([^"]+)"\)', source.read_text()))
    return sorted(point for point in found if not point.startswith(tuple(ELSEWHERE)))


test_points.__test__ = False


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
@pytest.mark.parametrize("point", test_points())
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


def test_points_are_found_in_every_room():
    rooms = {room for room, _ in itertools.groupby(test_points(), key=lambda point: point.split(".")[0])}
    assert {"image", "instance", "monitor", "network", "volume"} <= rooms


def test_a_killed_monitor_takes_its_instance_along_and_leaves_nothing(onggi, private_host, no_leaks):
    onggi.ok("run", "--detach", "--name", "victim", "-p", "127.0.0.1:8078:80", BASE, "sleep", "1000")
    monitors = [pid for pid, name in leaks.descendants().items() if "onggi-monitor" in name]
    assert len(monitors) == 1
    os.kill(monitors[0], signal.SIGKILL)
    onggi.ok("run", "--detach", "--name", "next", "-p", "127.0.0.1:8079:80", BASE, "sleep", "1000")
    assert "Exited" in onggi.ok("ps", "--all", "--filter", "name=victim", "--format", "{{.Status}}")
    onggi.ok("start", "victim")
    assert onggi.ok("exec", "victim", "echo", "again") == "again"
    onggi.ok("rm", "--force", "victim", "next")
