# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi vm: machines with any operating system, from their making to what a kill -9 leaves. The guests are a few instructions long, so
any /dev/kvm will do; --engine kvm runs them where it cannot run an ordinary kernel."""
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from support import programs
from support.terminal import Terminal
from test_vmm_process import BUTTON, EXIT_7, FAULT, HALT, HELLO, RESET, SPIN, elf

pytestmark = pytest.mark.root

# Echoes what is typed; "q" ends the machine with 7.
ECHO = bytes.fromhex("66bafd03 ec a801 74f7 66baf803 ec 3c71 7403 ee ebeb b007 e6f4 f4")
GUESTS = {"halt": HALT, "spin": SPIN, "fault": FAULT, "button": BUTTON, "exit": EXIT_7, "reset": RESET, "echo": ECHO}


class Machines:
    def __init__(self, onggi, folder):
        self.onggi, self.folder = onggi, folder

    def kernel(self, guest):
        path = self.folder / guest
        path.write_bytes(elf(HELLO + GUESTS[guest]))
        return path

    def words(self, verb, guest, *options):
        return ["vm", verb, "--engine", "kvm", "--memory", "16m", "--on-reset", "stop", "--kernel", self.kernel(guest), *options]

    def start(self, name, guest, *options):
        return self.onggi.ok(*self.words("run", guest, "-d", "--name", name, *(options or ("--net", "none"))))

    def inspect(self, name):
        return self.onggi.json("vm", "inspect", name)[0]

    def state(self, name):
        return self.inspect(name)["State"]

    def names(self):
        return self.onggi.ok("vm", "ls", "--format", "{{.Names}}").split()

    def run_record(self, name):
        return json.loads((self.onggi.state / "machines" / self.inspect(name)["Id"] / "run.json").read_text())

    def await_end(self, name):
        deadline = time.monotonic() + 20
        while self.state(name)["Running"]:
            assert time.monotonic() < deadline, "the machine goes on"
            time.sleep(0.02)
        return self.state(name)


@pytest.fixture(name="machines")
def fixture_machines(onggi, folder):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm")
    yield Machines(onggi, folder)
    ids = onggi("vm", "ls", "--quiet", "--no-trunc").stdout.split()
    if ids:
        onggi.ok("vm", "rm", "--force", *ids)


def test_a_machine_is_made_started_stopped_and_started_again(machines):
    onggi = machines.onggi
    identity = onggi.ok(*machines.words("create", "button", "--name", "jar", "--net", "none", "--label", "use=test"))
    assert re.fullmatch("[0-9a-f]{64}", identity)
    assert onggi.ok("vm", "ls", "--format", "{{.Names}} {{.Status}} {{.Memory}} {{.Labels}}") == "jar Created 16MiB use=test"
    for _ in range(2):
        assert onggi.ok("vm", "start", identity[:6]) == identity[:6]
        assert onggi.ok("vm", "start", "jar") == "jar"  # it runs already
        assert machines.state("jar")["Status"] == "running" and machines.inspect("jar")["Engine"] == "kvm"
        assert onggi.ok("vm", "stop", "jar") == "jar"
        state = machines.state("jar")
        assert (state["Status"], state["Reason"], state["ExitCode"]) == ("exited", "power-off", 0)
    assert onggi.ok("vm", "stop", "jar") == "jar"  # it does not run
    assert "does not run" in onggi.refuses("vm", "pause", "jar")
    onggi.ok("vm", "rm", "jar")
    assert machines.names() == []


def test_a_machine_goes_on_from_a_snapshot_with_the_same_addresses(machines):
    onggi = machines.onggi
    machines.start("jar", "echo", "--publish", "127.0.0.1:8076:80")
    first = machines.inspect("jar")["Network"]
    assert onggi.ok("vm", "snapshot", "jar", "ready") == "ready"
    assert "already" in onggi.refuses("vm", "snapshot", "jar", "ready")
    assert "is no name" in onggi.refuses("vm", "snapshot", "jar", "../ready")
    assert "it runs" in onggi.refuses("vm", "restore", "jar", "ready")
    assert machines.inspect("jar")["Snapshots"] == ["ready"]
    machines.start("other", "halt", "--net", "default")
    onggi.ok("vm", "kill", "jar")
    assert "no snapshot" in onggi.refuses("vm", "restore", "jar", "never")
    for _ in range(2):
        assert onggi.ok("vm", "restore", "jar", "ready") == "jar"
        terminal = Terminal(onggi, "vm", "console", "jar")
        terminal.type("on")
        assert b"x" not in terminal.expect("on")  # it said that before
        terminal.type("q")
        terminal.end()
        assert machines.await_end("jar")["ExitCode"] == 7
    machines.onggi.ok("vm", "restore", "jar", "ready")
    assert {key: machines.inspect("jar")["Network"][key] for key in ("address", "mac")} == {key: first[key] for key in ("address", "mac")}
    onggi.ok("vm", "kill", "jar")
    onggi.ok("vm", "snapshot", "--rm", "jar", "ready")
    assert machines.inspect("jar")["Snapshots"] == []


def test_a_reset_starts_the_guest_again_unless_it_is_to_stop_it(machines):
    for name, what in (("jar", "restart"), ("other", "stop")):
        machines.start(name, "halt", "--net", "none", "--on-reset", what)
        machines.onggi.ok("vm", "reset", name)
    assert machines.await_end("other")["Reason"] == "reset"
    terminal = Terminal(machines.onggi, "vm", "console", "jar")
    terminal.expect("xx")
    assert machines.state("jar")["Running"]


def test_machines_and_instances_are_listed_apart(machines):
    machines.start("jar", "halt")
    assert machines.onggi.ok("ps", "--all", "--quiet") == ""
    assert machines.names() == ["jar"]


@pytest.mark.parametrize("guest, how, code", [("exit", "exit", 7), ("fault", "triple-fault", 125)])
def test_how_the_guest_ended_is_kept(machines, guest, how, code):
    machines.start("jar", guest)
    state = machines.await_end("jar")
    assert (state["Reason"], state["ExitCode"]) == (how, code)
    assert f"Exited ({code})" in machines.onggi.ok("vm", "ls") and how in machines.onggi.ok("vm", "ls")
    assert ("triple fault" in state["Error"]) == (guest == "fault")


def test_a_guest_that_does_not_shut_down_is_ended(machines):
    machines.start("jar", "spin")
    machines.onggi.ok("vm", "stop", "--time", "0", "jar")
    assert machines.state("jar")["Reason"] == "stopped"


def test_a_machine_is_paused_counted_limited_and_killed(machines):
    onggi = machines.onggi
    machines.start("jar", "spin")
    onggi.ok("vm", "pause", "jar")
    assert "(Paused)" in onggi.ok("vm", "ls") and machines.state("jar")["Paused"]
    onggi.ok("vm", "resume", "jar")
    assert machines.state("jar")["Status"] == "running"
    stats = onggi.json("vm", "stats", "jar")[0]
    assert stats["Machine"]["exits"]["port"] == 1 and stats["Process"]["memory"]["usage"]["usage"] > 0
    onggi.ok("vm", "set", "--cpus", "0.25", "--memory", "8m", "jar")
    assert "can be given no more" in onggi.refuses("vm", "set", "--memory", "1g", "jar")
    assert "runs; stop it first" in onggi.refuses("vm", "rm", "jar")
    onggi.ok("vm", "kill", "jar")
    assert (machines.state("jar")["Reason"], machines.state("jar")["ExitCode"]) == ("killed", 137)


def test_a_fraction_of_a_cpu_bounds_the_time_of_the_process(machines):
    machines.start("jar", "spin", "--net", "none", "--cpus", "0.2")
    pid = machines.state("jar")["Pid"]

    def used():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before, begin = used(), time.monotonic()
    time.sleep(1)
    assert used() - before <= 0.4 * (time.monotonic() - begin)


def test_the_console_shows_what_came_before_it_and_passes_on_what_is_typed(machines):
    machines.start("jar", "echo")
    first = Terminal(machines.onggi, "vm", "console", "jar")
    first.expect("x")
    first.type("hello")
    first.expect("hello")
    second = Terminal(machines.onggi, "vm", "console", "jar")
    second.expect("xhello")
    first.type("\x1d")
    assert first.end() == 0
    second.type("!")
    second.expect("!")
    second.type("q")
    assert second.end() == 0
    assert machines.await_end("jar")["ExitCode"] == 7


def test_run_shows_the_console_ends_as_the_guest_did_and_removes(machines):
    done = machines.onggi(*machines.words("run", "exit", "--rm", "--net", "none"))
    assert (done.stdout, done.returncode) == ("x", 7)
    assert machines.names() == []


def test_run_can_be_left_by_the_escape_key(machines):
    terminal = Terminal(machines.onggi, *machines.words("run", "echo", "--name", "jar", "--net", "none"))
    terminal.expect("x")
    terminal.type("\x1d")
    terminal.expect("runs on")
    assert terminal.end() == 0 and machines.state("jar")["Running"]


def test_a_machine_has_a_lease_names_and_published_ports(machines):
    onggi = machines.onggi
    machines.start("jar", "halt", "--publish", "127.0.0.1:8079:80", "--mac-address", "02:00:00:00:00:77")
    network = machines.inspect("jar")["Network"]
    assert network["mac"] == "02:00:00:00:00:77" and network["ports"][0]["host"] == 8079
    assert "127.0.0.1:8079->80/tcp" in onggi.ok("vm", "ls")
    identity = machines.inspect("jar")["Id"]
    links = json.loads(subprocess.run(["nsenter", f"--net={onggi.state}/netns/{identity}", "ip", "-json", "address"], check=True,
                                      capture_output=True, text=True).stdout)
    ports = {link["ifname"]: link for link in links}
    assert ports["tap0"]["master"] == ports["eth0"]["master"]
    assert not [address for link in links if link["ifname"] != "lo" for address in link["addr_info"] if address["family"] == "inet"]
    assert onggi("ps").returncode == 0  # repairs networks, and knows that this one is in use
    assert Path(f"{onggi.state}/netns/{identity}").exists()
    append = Path(f"/proc/{machines.state('jar')['Pid']}/cmdline").read_bytes().split(b"\0")
    assert any(word.startswith(b"ip=" + network["address"].encode() + b"::" + network["gateway"].encode()) for word in append)
    other = onggi.refuses(*machines.words("run", "halt", "-d", "--rm", "--publish", "127.0.0.1:8079:80"), status=125)
    assert "8079" in other and machines.names() == ["jar"]


@pytest.mark.parametrize("options, reason", [
    ((), "nothing to start"),
    (("--kernel", "/nowhere"), "No such file"),
    (("--kernel", "/"), "that is no file"),
    (("--disk", "/dev/null"), "that is no file"),
    (("--kernel", "HALT", "--disk", "/nowhere,ro"), "No such file"),
    (("--kernel", "HALT", "--firmware", "bios"), "one of --kernel and --firmware"),
    (("--firmware", "/nowhere"), "No such file"),
    (("--firmware", "bios", "--append", "quiet"), "--append is for --kernel"),
    (("--kernel", "HALT", "--cpus", "0"), "0.01 to 64"),
    (("--kernel", "HALT", "--cpus", "many"), "0.01 to 64"),
    (("--kernel", "HALT", "--cpus", "nan"), "0.01 to 64"),
    (("--kernel", "HALT", "--memory", "1k"), "--memory"),
    (("--kernel", "HALT", "--memory", "2000001"), "whole number of pages"),
    (("--kernel", "HALT", "--share", "folder"), "TAG=FOLDER"),
    (("--kernel", "HALT", "--share", "tag=/nowhere"), "No such file"),
    (("--kernel", "HALT", "--name", "a/b"), "is no name"),
    (("--kernel", "HALT", "--publish", "x"), "x"),
    (("--kernel", "HALT", "--on-reset", "explode"), "stop or restart"),
    (("--kernel", "HALT", "--net", "user", "--ip", "1.2.3.4"), "need a network"),
    (("--kernel", "HALT", "--net", "none", "--publish", "80:80"), "need a network"),
])
def test_settings_that_do_not_fit_are_refused_before_anything_is_made(machines, options, reason):
    kernel = str(machines.kernel("halt"))
    line = machines.onggi.refuses("vm", "create", *[kernel if word == "HALT" else word for word in options])
    assert reason in line
    assert machines.names() == []


@pytest.mark.parametrize("options, reason", [
    (("--engine", "steam"), "steam"),
    (("--net", "nowhere"), "nowhere"),
    (("--disk", "NOISE,queues=0"), "queues"),
])
def test_what_only_the_start_can_tell_is_told_in_one_line_and_leaves_nothing(machines, options, reason):
    (machines.folder / "noise").write_bytes(bytes(4096))
    options = [word.replace("NOISE", str(machines.folder / "noise")) for word in options]
    words = ["vm", "run", "--kernel", machines.kernel("halt"), "--engine", "kvm", "-d", "--name", "jar", "--net", "none", *options]
    done = machines.onggi(*words)
    assert done.returncode == 125 and reason in done.stderr.splitlines()[-1]
    assert machines.state("jar")["Status"] == "created" and reason in machines.state("jar")["Error"]
    assert not (machines.onggi.state / "machines" / machines.inspect("jar")["Id"]).exists()


def test_a_name_belongs_to_one_machine(machines):
    machines.start("jar", "halt")
    assert "in use" in machines.onggi.refuses(*machines.words("create", "halt", "--name", "jar"))
    assert len(machines.names()) == 1


def test_an_engine_that_fails_its_test_runs_a_guest_only_when_it_is_named(machines):
    if subprocess.run([programs.program("onggi"), "doctor", "--format", "json"], capture_output=True, text=True,
                      check=False).stdout.find("runs what an ordinary kernel needs") >= 0:
        pytest.skip("this host's /dev/kvm passes its test")
    kernel = machines.kernel("exit")
    line = machines.onggi.refuses("vm", "run", "--kernel", kernel, "--net", "none", "--rm", status=125)
    assert "cannot run an ordinary kernel" in line and "--engine kvm" in line
    done = machines.onggi("vm", "run", "--kernel", kernel, "--net", "none", "--rm", "--engine", "kvm")
    assert done.returncode == 7 and "warning" in done.stderr


@pytest.mark.parametrize("victims", [("vmm",), ("monitor",), ("monitor", "vmm")])
def test_what_kills_its_processes_is_told_and_leaves_nothing(machines, victims):
    machines.start("jar", "halt", "--publish", "127.0.0.1:8078:80")
    record = machines.run_record("jar")
    for victim in victims:
        os.kill(record[victim]["pid"], signal.SIGKILL)
    if "vmm" not in victims:
        assert machines.state("jar")["Running"]  # it can do without its monitor
        machines.onggi.ok("vm", "kill", "jar")
    assert machines.await_end("jar")["Reason"] == "killed"
    machines.onggi.ok("vm", "rm", "jar")


def points():
    sources = (programs.REPOSITORY / "src/virtual_machine").glob("*.c")
    return sorted({point for source in sources for point in re.findall(r'\btest_point\("([^"]+)"\)', source.read_text())})


@pytest.mark.parametrize("point", points())
def test_a_death_is_repaired_by_the_next_command(machines, point):
    onggi, killed = machines.onggi, {"ONGGI_TEST_KILL": point}
    steps = [machines.words("create", "button", "--name", "jar"), ["vm", "start", "jar"], ["vm", "snapshot", "jar", "now"], ["vm", "stop", "jar"],
             ["vm", "rm", "jar"]]
    assert any([onggi(*step, env=killed).returncode for step in steps]) or point.startswith("vm.finish."), "no step passes it"
    onggi("vm", "rm", "--force", "jar")
    assert machines.names() == []
    machines.start("jar", "button", "--publish", "127.0.0.1:8078:80")
    onggi.ok("vm", "stop", "jar")
    onggi.ok("vm", "rm", "jar")
    assert [path.name for path in (onggi.root / "machines").iterdir() if not path.name.startswith(".")] == ["by-name"]
    assert list((onggi.state / "machines").iterdir()) == []


@pytest.mark.parametrize("line, reason", [
    (b"x" * 5000, "at most 1023 bytes"),
    (b"\xff\xfe\n", "request"),
    (b'{"command": "x' + "é".encode() * 503 + b'"}\n', "cannot be answered"),  # its text is cut within a letter
    (b'{"command": "status", "command": "stop"}\n', "request"),
    (b"[" * 900 + b"\n", "request"),
    (b'{"command": "snapshot"}\n', "two open files"),
], ids=["long", "binary", "cut", "twice", "deep", "fileless"])
def test_what_a_hostile_client_of_the_control_socket_sends_is_answered_in_one_line(machines, line, reason):
    machines.start("jar", "halt")
    path = machines.onggi.state / "machines" / machines.inspect("jar")["Id"] / "control"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(line)
        answer = connection.makefile("rb").readline()
    assert reason in json.loads(answer)["error"]
    assert machines.state("jar")["Status"] == "running"
