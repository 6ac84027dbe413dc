# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi-vmm as a process: signals, ends, what is left behind, how much memory it takes. Its guests are a few instructions long, so
any /dev/kvm will do."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from support import programs

ENTRY = 0x200000
HELLO = bytes.fromhex("66baf803 b078 ee")                  # mov dx,0x3f8; mov al,'x'; out dx,al
HALT = bytes.fromhex("fa f4 ebfd")                         # cli; hlt; jmp to hlt
SPIN = bytes.fromhex("ebfe")                               # jmp to itself
FAULT = bytes.fromhex("0f0b")                              # ud2, and no handlers: a triple fault
BUTTON = bytes.fromhex("66ba0006 66ed f6c401 74f5"         # read ACPI's status until the power button's bit is set
                       "66ba0406 66b80034 66ef f4")        # S5
EXIT_7 = bytes.fromhex("b007 e6f4 f4")                     # mov al,7; out 0xf4,al
RESET = bytes.fromhex("b0fe e664 f4")                      # mov al,0xfe; out 0x64,al
# 20000 times: lets the first three devices' BARs answer; xorshift in rbx; a byte to and from its low half as a port, but for those that
# end the machine; a word to and from the first BARs, and one into configuration space. Then 7 into the debug exit.
RANDOM = bytes.fromhex("48bb0123456789abcdefb9204e0000be048000e066c706060081c60080000066c706060081c60080000066c706060048"
                       "89d848c1e00d4831c34889d848c1e8074831c34889d848c1e0114831c30fb7d381faf4000000741983fa64741481fa04"
                       "060000740c81fa0c060000740489d8eeec4889de48c1ee1081e6fcff010081c6000000c0891e8b064889de48c1ee1881"
                       "e6fcff030081c6000000e066891effc90f8569ffffffb007e6f4f4")


def elf(code):
    """An ELF kernel of one segment that is entered in 64-bit mode."""
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, ENTRY, ENTRY, len(code), len(code), 0x1000)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, ENTRY, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return (head + segment).ljust(0x1000, b"\0") + code


@pytest.fixture
def tmp_path():
    """Short, as the path of a socket must be, however deep pytest's own folders lie."""
    folder = Path(tempfile.mkdtemp(prefix="onggi-test-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(name="start")
def start_fixture(tmp_path):
    """start(code, *options): onggi-vmm with a guest that has said hello."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm")
    running = []

    def start(code, *options):
        kernel = tmp_path / f"kernel{len(running)}"
        kernel.write_bytes(elf(HELLO + code))
        process = subprocess.Popen([programs.program("onggi-vmm"), "--kernel", kernel, *options], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout.read(1) == "x", process.stderr.read()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def ended(process):
    return process.wait(timeout=60), process.stderr.read()


@pytest.mark.parametrize("code, status", [(EXIT_7, 7), (RESET, 0)])
def test_the_guest_chooses_how_it_ends(start, code, status):
    assert ended(start(code)) == (status, "")


def test_a_signal_presses_the_power_button(start):
    process = start(BUTTON)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (0, "")


@pytest.mark.parametrize("code", [HALT, SPIN])
def test_a_guest_that_ignores_the_button_is_stopped_by_the_second_signal(start, code):
    process = start(code)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (0, "")


def test_a_triple_fault_is_told_in_one_line(start):
    status, text = ended(start(FAULT))
    assert status == 125
    assert "triple fault" in text and text.count("\n") == 1


def test_a_killed_process_leaves_nothing_in_the_way_of_the_next(start, tmp_path):
    (tmp_path / "disk").write_bytes(bytes(4096))
    options = ["--disk", str(tmp_path / "disk"), "--vsock", str(tmp_path / "socket")]
    first = start(HALT, *options)
    first.kill()
    first.wait()
    second = start(BUTTON, *options)
    second.send_signal(signal.SIGTERM)
    assert ended(second) == (0, "")
    assert not (tmp_path / "socket").exists()


def test_a_socket_that_somebody_answers_at_is_not_taken_over(start, tmp_path):
    start(HALT, "--vsock", str(tmp_path / "socket"))
    done = subprocess.run([programs.program("onggi-vmm"), "--kernel", tmp_path / "kernel0", "--vsock", tmp_path / "socket"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 125 and "Address already in use" in done.stderr


class Control:
    """A connection to the control socket of a process."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw", encoding="utf-8")

    def line(self, text):
        self.file.write(text + "\n")
        self.file.flush()
        return json.loads(self.file.readline())

    def __call__(self, command, **arguments):
        return self.line(json.dumps({"command": command, **arguments}))


def busy(process):
    """Clock ticks that the process has used."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


def test_a_paused_guest_rests_and_goes_on(start, tmp_path):
    process = start(SPIN, "--control", str(tmp_path / "control"), "--memory", "64m")
    control = Control(tmp_path / "control")
    assert control("status") == {"ok": True, "state": "running", "engine": "kvm", "cpus": 1, "memory": 64 << 20}
    assert control("pause") == {"ok": True}
    assert control("pause") == {"ok": True}
    assert control("status")["state"] == "paused"
    before = busy(process)
    time.sleep(0.5)
    assert busy(process) - before <= 2
    assert control("resume") == {"ok": True}
    deadline = time.monotonic() + 20
    while busy(process) - before <= 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_control_socket_presses_the_power_button(start, tmp_path):
    process = start(BUTTON, "--control", str(tmp_path / "control"))
    assert Control(tmp_path / "control")("power") == {"ok": True}
    assert ended(process) == (0, "")


def test_a_paused_guest_can_be_stopped(start, tmp_path):
    process = start(SPIN, "--control", str(tmp_path / "control"))
    control = Control(tmp_path / "control")
    control("pause")
    control("stop")
    assert ended(process) == (0, "")


def test_the_control_socket_counts_exits_and_accesses(start, tmp_path):
    start(HALT, "--control", str(tmp_path / "control"))
    answer = Control(tmp_path / "control")("statistics")
    assert answer["exits"]["port"] == 1
    assert [device["writes"] for device in answer["devices"] if device["name"] == "serial"] == [1]
    assert answer["returned"] == 0


@pytest.mark.parametrize("line, reason", [
    ("nonsense", "request"),
    ("[]", "request"),
    ("{}", "command is required"),
    ('{"command": "fly"}', 'there is no command "fly"'),
    ('{"command": "balloon"}', "size is required"),
    ('{"command": "balloon", "size": "1t"}', "is no part of the guest's memory"),
])
def test_what_cannot_be_done_is_answered_and_the_connection_stays(start, tmp_path, line, reason):
    start(HALT, "--control", str(tmp_path / "control"))
    control = Control(tmp_path / "control")
    assert reason in control.line(line)["error"]
    assert control("balloon", size="16m") == {"ok": True}
    assert control("status")["ok"]


def test_a_line_without_end_loses_its_connection_and_nothing_else(start, tmp_path):
    start(HALT, "--control", str(tmp_path / "control"))
    control = Control(tmp_path / "control")
    control.socket.sendall(b"x" * 4096)
    assert "at most 1023 bytes" in json.loads(control.file.readline())["error"]
    try:
        assert control.socket.recv(1) == b""
    except ConnectionResetError:
        pass
    assert Control(tmp_path / "control")("status")["ok"]


def test_a_guest_that_writes_anywhere_harms_nobody(start, tmp_path):
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    process = start(RANDOM, "--disk", str(tmp_path / "disk"), "--vsock", str(tmp_path / "socket"), "--statistics")
    status, text = ended(process)
    assert status == 7, text
    assert re.search(r"^memory 0x\w+ virtio +[1-9]\d* reads", text, re.MULTILINE), text
    assert (tmp_path / "disk").read_bytes() == bytes(1 << 20)


def test_beyond_the_guests_own_memory_it_takes_less_than_three_mebibytes(start, tmp_path):
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    process = start(HALT, "--disk", str(tmp_path / "disk"), "--vsock", str(tmp_path / "socket"), "--memory", "1g")
    time.sleep(0.2)  # nothing announces that the threads have come to rest
    own, guest = 0, False
    with open(f"/proc/{process.pid}/smaps", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if ":" not in words[0]:
                start_at, _, end_at = words[0].partition("-")
                guest = int(end_at, 16) - int(start_at, 16) >= 1 << 30
            elif words[0] == "Rss:" and not guest:
                own += int(words[1])
    assert 0 < own < 3 * 1024
