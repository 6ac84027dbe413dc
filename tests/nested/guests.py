# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of onggi-vmm inside the emulated machine: busybox, modules of Debian's kernel and a script, as an initramfs.

A Bench collects guests and what its host (the emulated machine) needs, boots that machine once, and says of each guest with which
status onggi-vmm ended and what the guest and onggi-vmm printed.
"""
import glob
import os
import re
import shlex
import subprocess

import v2_machine

APPEND = f"console=ttyS0 quiet reboot=k panic=-1 no_timer_check tsc=reliable mitigations=off {v2_machine.WITHOUT_CHECKS}"
LZ4 = bytes.fromhex("02214c18")  # of the older form that Linux uses, followed by the size

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /mnt /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod /mod/$module || echo "cannot load $module"; done
echo guest begins
sh /script </dev/null 2>&1
echo "guest ends with $?"
{END} -f
"""


def release():
    return os.path.basename(v2_machine.kernel()).removeprefix("vmlinuz-")


def module_paths(*names):
    """The files of modules and of all they need, in the order of loading. A name that is built in has none."""
    tree, needs = f"/usr/lib/modules/{release()}", {}
    with open(f"{tree}/modules.dep", encoding="utf-8") as file:
        for line in file:
            path, _, after = line.partition(":")
            needs[path] = after.split()
    found = []
    for name in names:
        for path in needs:
            if os.path.basename(path).replace("-", "_") == name.replace("-", "_") + ".ko":
                found += [f"{tree}/{other}" for other in [*reversed(needs[path]), path]]
    return list(dict.fromkeys(found))


def host_modules():
    """What the emulated machine loads; modules.dep does not know of AMD's co-processor, without which kvm-amd does not load."""
    tree = f"/usr/lib/modules/{release()}"
    return [path for name in ("irqbypass", "ccp", "kvm", "kvm-amd", "tun")
            for path in glob.glob(f"{tree}/kernel/**/{name}.ko", recursive=True)]


def libraries(program):
    """What a program is linked with: {path: the file that is there}."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return {path: os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", text)}


def elf_of(kernel):
    """The kernel that a bzImage unpacks, as an ELF file: Linux Documentation/arch/x86/boot.rst, payload_offset."""
    with open(kernel, "rb") as file:
        image = file.read()
    setup = (image[0x1f1] or 4) * 512 + 512
    offset, length = (int.from_bytes(image[at:at + 4], "little") for at in (0x248, 0x24c))
    payload = image[setup + offset:setup + offset + length]
    assert payload[:4] == LZ4, f"{kernel} is not packed with LZ4, which is what is unpacked here"
    return subprocess.run(["lz4", "-d", "-c"], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout


class Bench:
    def __init__(self, folder, vmm):
        self.folder, self.files, self.commands = folder, {"/bin/onggi-vmm": vmm, "/kernel": v2_machine.kernel(),
                                                   **libraries(vmm)}, []
        for path in host_modules():
            self.files[f"/mod/{os.path.basename(path)}"] = path

    def file(self, name, content):
        """A file of the emulated machine."""
        path = self.folder / name.strip("/").replace("/", "-")
        path.write_bytes(content)
        self.files[name] = path

    def guest(self, name, script, modules=(), options=(), append="", before="", after="", seconds=90,
              reset=False, files=None, packed=False):
        """The kernel is an ELF file, or a bzImage, which takes many seconds longer, where it is to be `packed`. `before` and `after` are shell lines of the emulated machine around onggi-vmm; they may use its other guests' files.
        The guest switches itself off at its end, or resets the machine."""
        archive, paths = v2_machine.Initramfs(), module_paths(*modules)
        archive.tree("bin/busybox", v2_machine.BUSYBOX)
        archive.folder("dev")
        archive.entry("dev/console", 0o20600, device=(5, 1))
        for path in paths:
            archive.tree(f"mod/{os.path.basename(path)}", path)
        for path, source in (files or {}).items():
            archive.tree(f"files/{path}", str(source))
        archive.file("modules", "\n".join(os.path.basename(path) for path in paths).encode())
        archive.file("script", script.encode())
        archive.file("init", INIT.replace("{END}", "reboot" if reset else "poweroff").encode())
        archive.write(self.folder / f"{name}.initramfs")
        self.files[f"/guests/{name}"] = self.folder / f"{name}.initramfs"
        if not packed and "/vmlinux" not in self.files:
            self.file("/vmlinux", elf_of(v2_machine.kernel()))
        words = ["timeout", "-k", "5", str(seconds), "onggi-vmm", "--kernel", "/kernel" if packed else "/vmlinux", "--initrd", f"/guests/{name}", "--statistics",
                 "--append", f"{APPEND} {append}", *options]
        self.commands += [f"echo 'guest {name}:'", before, shlex.join(words) + " </dev/null",
                          f"echo 'onggi-vmm of {name} ended with '$?", after]

    def run(self, memory=1024, timeout=300):
        """{name: (exit status, everything printed between its lines)}"""
        script = "for module in irqbypass ccp kvm kvm-amd tun; do [ ! -e /mod/$module.ko ] || insmod /mod/$module.ko || exit 70; done\n"
        status, output = v2_machine.run(script + "\n".join(self.commands), self.files, memory=memory, timeout=timeout)
        assert status in (0, 1), output
        found = {}
        for part in re.split(r"^guest (?=\w+:$)", output, flags=re.MULTILINE)[1:]:
            name, _, text = part.partition(":")
            ended = re.search(r"ended with (\d+)$", text, re.MULTILINE)
            found[name] = int(ended.group(1)) if ended else None, text
        return found
