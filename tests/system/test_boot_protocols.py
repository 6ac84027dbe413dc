# SPDX-License-Identifier: GPL-2.0-or-later
"""How kernels are started without firmware: each protocol with a guest of our own that says what it was told. The guests are a few
hundred instructions long, so any /dev/kvm will do."""
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from support import programs

SOURCE = Path(__file__).parent.parent / "nested/boot_guest.c"
FLAGS = ["-m32", "-Os", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-nostdlib", "-static", "-no-pie",
         "-Wl,--build-id=none,-e,start,-z,noseparate-code,-z,max-page-size=4096"]
RAM_OF_64_MIB = ["range=0+9fc00:1", "range=100000+3f00000:1"]


def guest(folder, protocol, at=0x200000):
    path = folder / protocol.lower()
    subprocess.run(["cc", *FLAGS, f"-Wl,-Ttext-segment={at:#x}", f"-D{protocol}", "-o", path, SOURCE], check=True)
    return path


def bzimage(elf, at=0x100000, setup=512):
    """The guest as what an old 32-bit kernel looks like: boot.rst, "The Real-Mode Kernel Header"."""
    content, memory = elf.read_bytes(), bytearray()
    entry, headers = struct.unpack_from("<II", content, 24)
    for number in range(struct.unpack_from("<H", content, 44)[0]):
        kind, offset, _, physical, size = struct.unpack_from("<5I", content, headers + 32 * number)
        if kind == 1:
            memory[physical - at:] = content[offset:offset + size]
    memory[:5] = b"\xe9" + struct.pack("<i", entry - at - 5)                    # jmp
    header = bytearray(2 * setup)
    header[0x1f1], header[0x211] = 1, 1                                         # sectors of set-up; loaded high
    header[0x1fe:0x200], header[0x202:0x206] = b"\x55\xaa", b"HdrS"
    struct.pack_into("<H", header, 0x206, 0x20a)
    struct.pack_into("<I", header, 0x214, at)
    struct.pack_into("<I", header, 0x22c, 0x7fffffff)
    struct.pack_into("<QI", header, 0x258, 0, 0x10000)                          # wishes no place, and so much memory
    return bytes(header) + bytes(memory)


def run(*arguments):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm")
    done = subprocess.run([programs.program("onggi-vmm"), "--memory", "64m", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (7, ""), done
    return done.stdout.splitlines()


def refused(*arguments):
    done = subprocess.run([programs.program("onggi-vmm"), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 125 and done.stderr.count("\n") == 1, done
    return done.stderr


@pytest.fixture(name="modules")
def modules_fixture(tmp_path):
    (tmp_path / "first").write_text("the first module")
    (tmp_path / "second").write_text("2")
    return ["--module", f"{tmp_path / 'first'},some=words, and a comma", "--module", tmp_path / "second"]


@pytest.mark.parametrize("protocol, name", [("PVH", ""), ("MULTIBOOT", "multiboot "), ("MULTIBOOT2", "multiboot2 ")])
def test_a_kernel_is_told_its_command_line_its_modules_and_its_memory(tmp_path, modules, protocol, name):
    lines = run("--kernel", guest(tmp_path, protocol), "--append", "a=b quiet", *modules)
    assert f"protocol={protocol.lower()}" in lines
    assert f"command={name}a=b quiet" in lines
    first, second = ("", "") if protocol == "PVH" else ("first ", "second ")
    assert [line for line in lines if line.startswith(("module", "arguments"))] == [
        "module=the first module", f"arguments={first}some=words, and a comma", "module=2", f"arguments={second}"]
    assert set(RAM_OF_64_MIB) <= set(lines)
    assert ("acpi=RSD PTR " in lines) == (protocol != "MULTIBOOT")


def test_an_initial_ram_disk_is_the_first_module(tmp_path, modules):
    (tmp_path / "initrd").write_bytes(b"070701 what was packed")
    lines = run("--kernel", guest(tmp_path, "PVH"), "--initrd", tmp_path / "initrd", *modules)
    assert [line[7:] for line in lines if line.startswith("module=")] == ["070701 what was packed", "the first module", "2"]


def test_a_32_bit_bzimage_is_entered_in_32_bit_mode(tmp_path):
    (tmp_path / "kernel").write_bytes(bzimage(guest(tmp_path, "LINUX", at=0x100000)))
    (tmp_path / "initrd").write_bytes(b"a RAM disk")
    lines = run("--kernel", tmp_path / "kernel", "--initrd", tmp_path / "initrd", "--append", "quiet")
    assert lines[:3] == ["protocol=linux", "command=quiet", "module=a RAM disk"]
    assert set(RAM_OF_64_MIB) <= set(lines)


STRANGERS = [
    (b"\x1f\x8b" + bytes(1000), "packed by gzip; unpack it first"),
    (b"QFI\xfb" + bytes(1000), "a qcow2 disk; it goes to --disk"),
    (bytes(0x8001) + b"CD001" + bytes(100), "an image of a CD; it goes to --iso"),
    (bytes(40) + b"_FVH" + bytes(1000), "UEFI firmware; it goes to --firmware"),
    (b"070701" + bytes(1000), "a cpio archive; it goes to --initrd"),
    (bytes(510) + b"\x55\xaa" + bytes(1000), "a disk or a boot sector"),
    (struct.pack("<III", 0x1badb002, 0x20, -(0x1badb002 + 0x20) & 0xffffffff) + bytes(1000), "asks multiboot for what there is not"),
    (struct.pack("<III", 0x1badb002, 0, -0x1badb002 & 0xffffffff) + bytes(1000), "not an ELF file"),
    (struct.pack("<8I", 0x1badb002, 0x10000, -(0x1badb002 + 0x10000) & 0xffffffff, 0x200000, 0x100000, 0, 0, 0) + bytes(1000),
     "multiboot header contradicts itself"),
    (struct.pack("<4I", 0xe85250d6, 0, 24, -(0xe85250d6 + 24) & 0xffffffff) + struct.pack("<HHI", 77, 0, 8) + bytes(1000),
     "asks multiboot for what there is not"),
]


@pytest.mark.parametrize("content, reason", STRANGERS, ids=[reason for _, reason in STRANGERS])
def test_what_cannot_be_started_is_said_to_be_what_it_looks_like(tmp_path, content, reason):
    (tmp_path / "file").write_bytes(content)
    assert reason in refused("--kernel", tmp_path / "file")


def test_a_kernel_that_calls_a_bios_is_told_apart(tmp_path):
    kernel = bytearray(bzimage(guest(tmp_path, "LINUX", at=0x100000)))
    struct.pack_into("<I", kernel, 0x214, 0)
    (tmp_path / "kernel").write_bytes(kernel)
    assert "enters in real mode and calls a BIOS" in refused("--kernel", tmp_path / "kernel")


def test_modules_for_linux_are_refused(tmp_path, modules):
    (tmp_path / "kernel").write_bytes(bzimage(guest(tmp_path, "LINUX", at=0x100000)))
    assert "Linux takes no modules" in refused("--kernel", tmp_path / "kernel", *modules)


def test_a_module_that_does_not_fit_is_refused(tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(70 << 20)
    assert "do not fit into the guest's memory" in refused("--kernel", guest(tmp_path, "PVH"), "--memory", "64m", "--module",
                                                         tmp_path / "large")


def test_an_elf_kernel_is_mapped_and_not_copied(tmp_path):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm")
    if not shutil.which("cc"):
        pytest.skip("no compiler")
    code = bytes.fromhex("66baf803 b078 ee ebfe")           # mov dx,0x3f8; mov al,'x'; out dx,al; jmp to itself
    size = 16 << 20
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x200000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, 0x200000, 0x200000, size, size, 0x1000)
    with open(tmp_path / "kernel", "wb") as file:
        file.write((head + segment).ljust(0x1000, b"\0") + code)
        file.truncate(0x1000 + size)
    process = subprocess.Popen([programs.program("onggi-vmm"), "--kernel", tmp_path / "kernel", "--no-jail"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.read(1) == b"x", process.stderr.read()
        resident = int(next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
                            if line.startswith("RssAnon")).split()[1])
        assert resident < 4096, "KiB of memory of its own, with a kernel of 16 MiB"
        assert str(tmp_path / "kernel") in Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.kill()
        process.communicate()
