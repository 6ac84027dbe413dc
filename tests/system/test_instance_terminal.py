# SPDX-License-Identifier: GPL-2.0-or-later
"""Terminals: raw input, size, the keys that detach, attaching again; exec with a terminal."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from support import leaks
from support.terminal import Terminal

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


def state_of_process(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def run_shell(host):
    terminal = Terminal(host, "run", "-it", "--network", "none", "--name", "one", IMAGE, "sh", "-c",
                        "echo ready; while read line; do eval \"$line\"; done")
    terminal.expect("ready")
    return terminal


@pytest.mark.core
def test_a_program_has_a_terminal_and_its_exit_status_comes_back(host):
    terminal = run_shell(host)
    terminal.type("tty\n")
    terminal.expect("/dev/pts/0")
    terminal.type("exit 6\n")
    assert terminal.end() == 6


def test_the_terminal_has_the_users_size(host):
    terminal = run_shell(host)
    terminal.resize(33, 99)
    terminal.type("while ! stty size | grep '33 99'; do usleep 10000; done; echo do''ne\n")
    terminal.expect("done")
    terminal.type("exit\n")
    assert terminal.end() == 0


def test_the_keys_detach_and_attach_comes_back(host):
    terminal = run_shell(host)
    terminal.type("\x10\x11")
    assert terminal.end() == 0
    assert host.ok("inspect", "--format", "{{.State.Status}}", "one") == "running"
    again = Terminal(host, "attach", "one")
    again.type("echo ba''ck\n")
    again.expect("back")
    again.type("exit 7\n")
    assert again.end() == 7


def test_keys_that_only_begin_the_sequence_reach_the_program(host):
    terminal = Terminal(host, "run", "-it", "--network", "none", IMAGE, "sh", "-c",
                        "stty raw -echo; echo ready; head -c 2 | od -c")
    terminal.expect("ready")
    terminal.type("\x10x")
    terminal.expect("020   x")
    assert terminal.end() == 0


def test_an_interrupt_goes_to_the_program_not_to_the_command(host):
    terminal = Terminal(host, "run", "-it", "--network", "none", IMAGE, "sh", "-c",
                        "trap 'echo got it; exit 5' INT; echo ready; while :; do sleep 1; done")
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect("got it")
    assert terminal.end() == 5


@pytest.mark.core
def test_exec_has_a_terminal_of_its_own(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", IMAGE, "sleep", "1000")
    terminal = Terminal(host, "exec", "-it", "one", "sh", "-c", "tty; read x; exit $x")
    terminal.expect("/dev/pts/")
    terminal.type("9\n")
    assert terminal.end() == 9


def test_nobody_else_may_connect_to_the_socket_that_a_terminal_comes_by(host):
    command = host.popen("run", "-dt", "--network", "none", "--name", "one", IMAGE, "sleep", "1000", umask=0,
                         env={"ONGGI_TEST_STOP": "container.folder.made"}, stdout=subprocess.PIPE)
    end = time.monotonic() + 20
    while not (stopped := [pid for pid in leaks.descendants() if state_of_process(pid) == "T"]):
        assert time.monotonic() < end, "the runtime did not stop"
        time.sleep(0.02)
    modes = {path.name: path.stat().st_mode & 0o777 for path in host.state.glob("instances/*/*") if path.is_socket()}
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    command.communicate(timeout=30)
    assert modes["console"] == 0o600 and set(modes.values()) == {0o600}


def test_exec_does_not_take_another_process_for_the_instances(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", IMAGE, "sleep", "1000")
    [file] = host.state.glob("instances/*/run.json")
    run = json.loads(file.read_text())
    run["pid_start"] += 1
    file.write_text(json.dumps(run))
    assert "root folder" in host.refuses("exec", "one", "true")


class ExecWithPipe:
    """`exec -it` whose input is a terminal, that can hang up, and whose output is a pipe."""

    def __init__(self, host, script):
        host.ok("run", "-d", "--network", "none", "--name", "one", IMAGE, "sleep", "1000")
        self.fd, its = os.openpty()
        self.process = host.popen("exec", "-it", "one", "sh", "-c", script, stdin=its, stdout=subprocess.PIPE, text=False)
        os.close(its)
        assert self.process.stdout.readline().rstrip() == b"ready"

    def type(self, data):
        while data:
            data = data[os.write(self.fd, data):]

    def hang_up(self):
        os.close(self.fd)

    def output(self):
        return self.process.communicate(timeout=60)[0]


def test_much_input_and_much_output_of_exec_do_not_wait_for_each_other(host):
    program = ExecWithPipe(host, "stty raw -echo; echo ready; head -c 1000000 | cat")
    writer = threading.Thread(target=program.type, args=(b"x" * 1000000,))
    writer.start()
    assert len(program.output()) == 1000000
    writer.join()
    program.hang_up()


def test_the_end_of_input_reaches_the_terminal_of_exec_once(host):
    program = ExecWithPipe(host, "stty raw -echo; echo ready; timeout 1 cat | wc -c")
    program.hang_up()
    assert program.output().split()[0] == b"1"


def test_the_end_of_input_ends_a_line_that_was_begun(host):
    program = ExecWithPipe(host, "echo ready; cat; echo over")
    program.type(b"begun")
    assert program.process.stdout.read(5) == b"begun"  # the terminal's echo
    program.hang_up()
    assert program.output().split() == [b"begunover"]


def test_signals_to_the_command_reach_a_program_without_a_terminal(host):
    process = host.popen("run", "--network", "none", IMAGE, "sh", "-c", "trap 'exit 8' TERM; echo ready; while :; do sleep 0.1; done",
                         stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 8
