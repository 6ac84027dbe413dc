# SPDX-License-Identifier: GPL-2.0-or-later
"""What starts again after a reboot: all processes are gone, and so are the state folder, the mounts and the control groups."""
import json
import os
import shlex
import shutil
import signal
import time
from pathlib import Path

import pytest

from support import leaks, private_host, programs

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"
UNIT = "src/cli/onggi-restart.service"


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


def start(host, name, *words):
    host.ok("run", "-d", "--network", "none", "--name", name, *words, IMAGE, "sleep", "1000")


def state_of(host, name):
    return json.loads(host.ok("inspect", name))[0]["State"]


def running(host):
    return sorted(host.ok("ps", "--format", "{{.Names}}").split())


def at_boot():
    """The words after the program's name of what the unit executes."""
    lines = (programs.build_folder() / UNIT).read_text().splitlines()
    program, *words = shlex.split(next(line for line in lines if line.startswith("ExecStart=")).partition("=")[2])
    assert program.endswith("/bin/onggi")
    return words


def remove_group(folder, patience=10.0):
    """A process that was killed is in its group until the kernel is done with it, and no event tells when."""
    deadline = time.monotonic() + patience
    while True:
        try:
            os.rmdir(folder)
            return
        except OSError:
            assert time.monotonic() < deadline, f"{folder} stays in use"
            time.sleep(0.02)


def remove_control_groups():
    for point, _, _ in private_host.cgroup_hierarchies():
        for folder, _, _ in os.walk(Path(point) / "onggi", topdown=False):
            if folder != f"{point}/onggi":
                remove_group(folder)


def reboot(host):
    """As a power cut does it: nothing has the time to write anything down."""
    first = [json.loads(host.ok("inspect", name))[0]["State"]["Pid"] for name in running(host)]
    monitors = [pid for pid, command in leaks.descendants().items() if "onggi-monitor" in command and str(host.state) in command]
    programs.end(monitors + first)
    leaks.await_end("onggi-monitor")
    leaks.await_end("sleep 1000")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if line.split()[1].startswith(f"{host.state}/"):
            private_host.detach(line.split()[1])
    remove_control_groups()
    shutil.rmtree(host.state)


def test_always_starts_after_a_reboot_and_no_does_not(host):
    start(host, "always", "--restart", "always")
    start(host, "plain")
    start(host, "failing", "--restart", "on-failure:3")
    reboot(host)
    assert running(host) == []
    assert host.ok(*at_boot()) == "always"
    assert running(host) == ["always"]


def test_unless_stopped_starts_unless_the_user_stopped_it(host):
    for name in ("ran", "stopped", "killed", "again"):
        start(host, name, "--restart", "unless-stopped")
    host.ok("stop", "-t", "0", "stopped", "again")
    host.ok("kill", "killed")
    host.ok("wait", "killed")
    host.ok("start", "again")
    reboot(host)
    assert host.ok(*at_boot()).split() == ["ran", "again"]
    assert running(host) == ["again", "ran"]


def test_a_shutdown_in_good_order_is_no_stop_of_the_users(host):
    start(host, "ran", "--restart", "unless-stopped", "--stop-signal", "KILL")
    for pid, command in leaks.descendants().items():
        if "onggi-monitor" in command and str(host.state) in command:
            os.kill(pid, signal.SIGTERM)
    leaks.await_end("onggi-")
    assert state_of(host, "ran")["Status"] == "exited"
    shutil.rmtree(host.state)
    assert host.ok(*at_boot()) == "ran"


def test_always_starts_even_what_the_user_stopped(host):
    start(host, "one", "--restart", "always")
    host.ok("stop", "-t", "0", "one")
    reboot(host)
    assert host.ok(*at_boot()) == "one"


@pytest.mark.core
def test_start_all_starts_the_oldest_first_and_goes_on_after_a_failure(host, folder):
    gone = folder / "gone"
    gone.mkdir()
    for name, words in (("one", ()), ("broken", ("--mount", f"type=bind,source={gone},target=/x")), ("two", ("--label", "a=1"))):
        host.ok("create", "--network", "none", "--name", name, *words, IMAGE, "sleep", "1000")
    gone.rmdir()
    done = host("start", "--all")
    assert (done.returncode, done.stdout) == (1, "one\ntwo\n")
    assert len(done.stderr.splitlines()) == 1 and "broken" in done.stderr
    host.ok("stop", "-t", "0", "one", "two")
    assert host.ok("start", "--all", "--filter", "label=a") == "two"


@pytest.mark.parametrize("policy, names", [("always", "a"), ("no", "n"), ("on-failure", "f"), ("unless-stopped", "u")])
def test_filters_know_the_restart_policy(host, policy, names):
    for name, given in (("a", "always"), ("n", "no"), ("f", "on-failure:2"), ("u", "unless-stopped")):
        host.ok("create", "--name", name * 2, "--restart", given, IMAGE)
    assert host.ok("ps", "--all", "--filter", f"restart-policy={policy}", "--format", "{{.Names}}") == names * 2


@pytest.mark.parametrize("words", [(), ("--filter", "name=x"), ("--all", "x"), ("--all", "--attach")])
def test_start_says_how_it_is_called(host, words):
    assert "--all" in host.refuses("start", *words, status=1)
