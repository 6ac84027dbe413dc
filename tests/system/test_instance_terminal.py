# SPDX-License-Identifier: GPL-2.0-or-later
"""Terminals: raw input, size, the keys that detach, attaching again; exec with a terminal."""
import signal
import subprocess

import pytest

from support.terminal import Terminal

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


def run_shell(host):
    terminal = Terminal(host, "run", "-it", "--network", "none", "--name", "one", IMAGE, "sh", "-c",
                        "echo ready; while read line; do eval \"$line\"; done")
    terminal.expect("ready")
    return terminal


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


def test_exec_has_a_terminal_of_its_own(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", IMAGE, "sleep", "1000")
    terminal = Terminal(host, "exec", "-it", "one", "sh", "-c", "tty; read x; exit $x")
    terminal.expect("/dev/pts/")
    terminal.type("9\n")
    assert terminal.end() == 9


def test_signals_to_the_command_reach_a_program_without_a_terminal(host):
    process = host.popen("run", "--network", "none", IMAGE, "sh", "-c", "trap 'exit 8' TERM; echo ready; while :; do sleep 0.1; done",
                         stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 8
