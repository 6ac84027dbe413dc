# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk of a guest under onggi-vmm and under QEMU, by turns in one emulated machine, on the same file in memory: the same kernel, the
same initramfs, one CPU, one queue. It runs many times slower than a real machine, so the ratios count.

QEMU is its microvm with virtio over PCI, cache=writeback and aio=threads; both disks lie on a tmpfs. "KiB/s" is dd with direct I/O in
blocks of 256 KiB; "us" is the time of one read or write of 4 KiB, 1000 in a row.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/nested"))
import guests  # noqa: E402
import v2_machine  # noqa: E402

QEMU = "qemu-system-x86_64"
APPEND = "console=ttyS0 quiet panic=-1 reboot=k no_timer_check tsc=reliable mitigations=off"
MODULES = ("virtio_pci", "virtio_blk")
LOADS = ("read KiB/s", "write KiB/s", "read us", "write us")

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod /mod/$module; done
timed() {
    name=$1 amount=$2; shift 2
    read begin rest </proc/uptime; "$@" 2>/dev/null; read end rest </proc/uptime
    echo "measured $name $amount $begin $end"
}
timed read-KiB/s 32768 dd if=/dev/vda of=/dev/null bs=256k count=128 iflag=direct
timed write-KiB/s 32768 dd if=/dev/zero of=/dev/vda bs=256k count=128 oflag=direct
timed read-us 1000 dd if=/dev/vda of=/dev/null bs=4k count=1000 iflag=direct
timed write-us 1000 dd if=/dev/zero of=/dev/vda bs=4k count=1000 oflag=direct
poweroff -f
"""


def initramfs(folder):
    archive, paths = v2_machine.Initramfs(), guests.module_paths(*MODULES)
    archive.tree("bin/busybox", v2_machine.BUSYBOX)
    archive.folder("dev")
    archive.entry("dev/console", 0o20600, device=(5, 1))
    for path in paths:
        archive.tree(f"mod/{os.path.basename(path)}", path)
    archive.file("modules", "\n".join(os.path.basename(path) for path in paths).encode())
    archive.file("init", INIT.encode())
    archive.write(folder / "inner")


def machine_files(folder, vmm):
    """What the emulated machine needs for both programs."""
    qemu = shutil.which(QEMU)
    found = {"/bin/onggi-vmm": vmm, f"/bin/{QEMU}": qemu, "/kernel": v2_machine.kernel(), "/inner": folder / "inner",
             **guests.libraries(vmm), **guests.libraries(qemu)}
    for name in ("bios-microvm.bin", "linuxboot_dma.bin", "pvh.bin", "qboot.rom"):
        found[f"/usr/share/qemu/{name}"] = os.path.realpath(f"/usr/share/qemu/{name}")
    for path in guests.host_modules():
        found[f"/mod/{os.path.basename(path)}"] = path
    return found


def commands(rounds):
    shared = f"-kernel /kernel -initrd /inner -append '{APPEND}' -m 256 -nodefaults -no-user-config -display none -no-reboot"
    qemu = (f"{QEMU} -M microvm,pcie=on,rtc=on -accel kvm -cpu host {shared} -serial stdio -L /usr/share/qemu "
            "-drive file=DISK,format=FORMAT,if=none,id=d,cache=writeback,aio=threads -device virtio-blk-pci,drive=d")
    ours = f"onggi-vmm --kernel /kernel --initrd /inner --append '{APPEND}' --memory 256m --disk DISK,format=FORMAT"
    lines = ["mkdir -p /d && mount -t tmpfs -o size=200m d /d && dd if=/dev/urandom of=/d/raw bs=1M count=40 2>/dev/null"]
    for number in range(rounds):
        for form in ("raw", "qcow2"):
            for name, words in (("onggi-vmm", ours), ("QEMU", qemu)):
                disk = f"/d/{form}"
                if form == "qcow2":
                    lines.append("cp /empty.qcow2 /d/qcow2")
                words = words.replace("DISK", disk).replace("FORMAT", form)
                lines.append(f"echo 'program {name}-{form} {number}'; timeout 100 {words} </dev/null 2>&1 | tail -n 40")
    return "\n".join(lines)


def run(folder, rounds):
    if v2_machine.missing() or not shutil.which("qemu-img"):
        sys.exit(f"bench: {v2_machine.missing() or 'qemu-img is not installed (Debian: qemu-utils)'}")
    initramfs(folder)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", folder / "empty.qcow2", "64M"], check=True)
    files = machine_files(folder, Path(os.environ["ONGGI_BUILD"]) / "src/hosted/onggi-vmm")
    files["/empty.qcow2"] = folder / "empty.qcow2"
    loads = "for module in irqbypass ccp kvm kvm-amd; do [ ! -e /mod/$module.ko ] || insmod /mod/$module.ko; done\n"
    status, output = v2_machine.run(loads + commands(min(rounds, 2)), files, memory=2048, timeout=580)
    if status:
        print(output, file=sys.stderr)
    print_table(output)


def print_table(output):
    found = {}
    for part in re.split(r"^program ", output, flags=re.MULTILINE)[1:]:
        name = part.split()[0]
        for load, amount, begin, end in re.findall(r"^measured (\S+) (\d+) (\S+) (\S+)", part, re.MULTILINE):
            seconds = max(float(end) - float(begin), 0.01)
            value = float(amount) / seconds if load.endswith("/s") else seconds / float(amount) * 1e6
            found.setdefault(name, {}).setdefault(load, []).append(value)
    print("| disk | " + " | ".join(LOADS) + " | runs |\n| --- |" + " --- |" * (len(LOADS) + 1))
    for name in sorted(found):
        cells = [found[name].get(load.replace(" ", "-"), []) for load in LOADS]
        print(f"| {name} | " + " | ".join(f"{statistics.median(cell):.0f}" if cell else "not measured" for cell in cells) +
              f" | {len(cells[0])} |")
