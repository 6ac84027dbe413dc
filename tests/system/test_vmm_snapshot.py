# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that are saved, go on elsewhere, and are reset. Their guests are a few instructions long, so any /dev/kvm will do."""
import os
import subprocess

import pytest

from support import programs
from support.small_guests import Control, elf

HELLO = "66baf803 b078 ee"                    # mov dx,0x3f8; mov al,'x'; out dx,al
COUNT = "48c7c000003000 48ff00 ebfb"          # mov rax,0x300000; inc qword [rax]; jmp to inc
# Waits for a byte of the serial port, then prints the letters 'A' + (count & 15) of the counter in rbx, which goes up by one each time.
ECHO = ("31db"                                # xor ebx,ebx
        "66bafd03 ec a801 74fb"               # wait: mov dx,0x3fd; in al,dx; test al,1; jz wait+4
        "66baf803 ec"                         # in al,dx: the byte is taken
        "89d8 0441 ee ffc3"                   # mov eax,ebx; add al,'A'; out dx,al; inc ebx
        "ebe9")                               # jmp wait
RESET = "b0fe e664 f4"                        # mov al,0xfe; out 0x64,al; hlt
TRIPLE = "0f0b"                               # ud2, and no handlers
# Says the byte at 0x300000, which it first makes one more, and resets the machine while it is below 'd'.
LIVES = ("48c7c000003000 8a18 fec3 8818"      # mov rax,0x300000; mov bl,[rax]; inc bl; mov [rax],bl
         "66baf803 88d8 0460 ee")             # mov dx,0x3f8; mov al,bl; add al,0x60; out dx,al


class Machine:
    def __init__(self, folder, number, *options):
        self.path = folder / f"control{number}"
        reading, writing = os.pipe()
        self.process = subprocess.Popen([programs.program("onggi-vmm"), "--control", self.path, "--report", str(writing),
                                         *map(str, options)], pass_fds=[writing], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.close(writing)
        with open(reading, encoding="utf-8") as report:
            assert "running" in report.readline(), self.process.stderr.read()

    def control(self):
        return Control(self.path)

    def say(self, byte):
        self.process.stdin.write(byte)
        self.process.stdin.flush()
        return self.process.stdout.read(1)

    def snapshot(self, folder, **arguments):
        """Into a new folder, as `onggi vm snapshot` does."""
        folder.mkdir()
        files = [os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600) for name in ("state", "memory")]
        answer = self.control().send_files(files, "snapshot", **arguments)
        for file in files:
            os.close(file)
        return answer


@pytest.fixture(name="machine")
def machine_fixture(tmp_path):
    """machine(code or None, *options)"""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm")
    running = []

    def machine(code, *options):
        if code is not None:
            kernel = tmp_path / f"kernel{len(running)}"
            kernel.write_bytes(elf(bytes.fromhex(code)))
            options = ("--kernel", kernel, *options)
        running.append(Machine(tmp_path, len(running), *options))
        return running[-1]

    yield machine
    for one in running:
        one.process.kill()
        one.process.communicate()


def test_a_saved_machine_goes_on_where_it_was_and_so_does_its_copy(machine, tmp_path):
    first = machine(HELLO + ECHO, "--memory", "64m")
    assert first.process.stdout.read(1) == b"x"
    assert [first.say(b"."), first.say(b".")] == [b"A", b"B"]
    assert first.snapshot(tmp_path / "saved") == {"ok": True}
    assert first.say(b".") == b"C"
    copies = [machine(None, "--restore", tmp_path / "saved") for _ in range(2)]
    for copy in copies:
        assert [copy.say(b"."), copy.say(b".")] == [b"C", b"D"]
        assert copy.control()("status")["memory"] == 64 << 20
    assert (tmp_path / "saved" / "memory").stat().st_blocks * 512 < 1 << 20, "the file has holes where memory is zero"


def test_changes_alone_are_saved_against_the_last_snapshot(machine, tmp_path):
    first = machine(HELLO + ECHO, "--memory", "256m")
    assert first.process.stdout.read(1) == b"x"
    assert "watch" in first.snapshot(tmp_path / "none", changes=True)["error"]
    assert first.snapshot(tmp_path / "whole", watch=True) == {"ok": True}
    assert first.say(b".") == b"A"
    assert first.snapshot(tmp_path / "one", changes=True) == {"ok": True}
    assert first.say(b".") == b"B"
    assert first.snapshot(tmp_path / "two", changes=True) == {"ok": True}
    copy = machine(None, "--restore", tmp_path / "whole", "--restore", tmp_path / "one", "--restore", tmp_path / "two")
    assert copy.say(b".") == b"C"
    for order, words in (["one"], "comes before it"), (["whole", "two"], "not changes against"):
        assert words in refused([word for name in order for word in ("--restore", tmp_path / name)])


def refused(options):
    done = subprocess.run([programs.program("onggi-vmm"), *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 125 and done.stderr.count("\n") == 1, done
    return done.stderr


def test_memory_that_changed_is_in_the_changes(machine, tmp_path):
    """A guest that counts in memory as fast as it can: the copy's count is at least what it was, and goes on."""
    first = machine(HELLO + COUNT, "--memory", "32m")
    assert first.process.stdout.read(1) == b"x"

    def count(name):
        with open(tmp_path / name / "memory", "rb") as file:
            file.seek(0x300000)
            return int.from_bytes(file.read(8), "little")

    # Whether it came to count between two snapshots is the host's scheduler's choice.
    assert any(first.snapshot(tmp_path / f"first{i}") == {"ok": True} and count(f"first{i}") for i in range(100))
    assert first.snapshot(tmp_path / "whole", watch=True) == {"ok": True}
    names = ["whole"]
    while len(names) < 100 and count(names[-1]) == 0 or len(names) == 1:
        names.append(f"change{len(names)}")
        assert first.snapshot(tmp_path / names[-1], changes=True) == {"ok": True}
    assert 0 < count("whole") < count(names[-1])
    assert (tmp_path / names[-1] / "memory").stat().st_blocks < (tmp_path / "whole" / "memory").stat().st_blocks
    copy = machine(None, *(word for name in names for word in ("--restore", tmp_path / name)))
    assert copy.snapshot(tmp_path / "later") == {"ok": True}
    assert count("later") >= count(names[-1])


def test_a_snapshot_that_is_damaged_is_refused_in_one_line(machine, tmp_path):
    first = machine(HELLO + ECHO, "--memory", "32m", "--cpus", "2")
    assert first.process.stdout.read(1) == b"x"
    saved = tmp_path / "saved"
    assert first.snapshot(saved) == {"ok": True}
    state, memory = (saved / "state").read_bytes(), (saved / "memory").read_bytes()

    def change(data, at, value):
        return data[:at] + value + data[at + len(value):]

    for name, data, words in (("state", state[:-1], "it says that it has"), ("state", state[:40], "not the state"),
                              ("state", b"", "not the state"), ("state", change(state, 300, b"\xff" * 8), "damaged"),
                              ("state", change(state, 8, b"\2"), "version 2"), ("memory", memory[:-1], "not a file of"),
                              ("memory", change(memory, len(memory) - 4080, bytes(16)), "not the memory that belongs"),
                              ("memory", b"", "not a file of")):
        (saved / "state").write_bytes(state)
        (saved / "memory").write_bytes(memory)
        (saved / name).write_bytes(data)
        assert words in refused(["--restore", saved]), (name, words)
    (saved / "state").write_bytes(state)
    (saved / "memory").write_bytes(memory)
    (tmp_path / "disk").write_bytes(bytes(4096))
    assert "saved with entropy as device 1, where the options now make a disk" in refused(
        ["--restore", saved, "--disk", tmp_path / "disk"])
    assert "leave out" in refused(["--restore", saved, "--memory", "64m"])
    assert "leave out" in refused(["--restore", saved, "--on-reset", "restart"])
    assert "cannot open the snapshot" in refused(["--restore", tmp_path / "nowhere"])
    (saved / "state").unlink()
    os.mkfifo(saved / "state")
    assert "state" in refused(["--restore", saved])


def test_a_reset_begins_the_machine_anew_in_the_same_process(machine):
    one = machine(HELLO + ECHO, "--on-reset", "restart", "--memory", "32m", "--cpus", "2")
    for _ in range(3):
        assert one.process.stdout.read(1) == b"x"
        assert [one.say(b"."), one.say(b".")] == [b"A", b"B"]
        assert one.control()("reset") == {"ok": True}
    assert one.process.stdout.read(1) == b"x"
    assert one.control()("statistics")["resets"] == 3


@pytest.mark.parametrize("code", [RESET, TRIPLE])
def test_a_guest_that_resets_itself_endlessly_is_stopped_with_the_reason(machine, code):
    one = machine(HELLO + code, "--on-reset", "restart", "--memory", "32m")
    output, text = one.process.communicate(timeout=60)
    assert one.process.returncode == 125
    assert output == b"x" * len(output) and 10 < len(output) < 30
    assert b"endlessly" in text and text.count(b"\n") == 1


def test_memory_of_a_machine_that_was_reset_is_as_at_its_start(machine):
    one = machine(LIVES + RESET, "--on-reset", "restart", "--memory", "32m")
    output, _ = one.process.communicate(timeout=60)
    assert output == b"a" * len(output)


def test_a_reset_ends_the_machine_where_it_is_to_stop(machine):
    one = machine(HELLO + ECHO, "--on-reset", "stop")
    assert one.process.stdout.read(1) == b"x"
    assert one.control()("reset") == {"ok": True}
    assert one.process.wait(timeout=20) == 0
    assert "--on-reset takes restart or stop" in refused(["--kernel", "/dev/null", "--on-reset", "perhaps"])
