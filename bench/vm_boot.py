# SPDX-License-Identifier: GPL-2.0-or-later
"""Start of a guest by onggi-vmm, on the real KVM of an emulated machine: an unpacked kernel and a bzImage by turns, with and without
ACPI. No peer is in it.

Time from exec to the first line of the guest's init, by the emulated machine's clock; it runs many times slower than a real one, so
the ratios count. The kernel is Debian's, the initramfs holds busybox alone; one CPU and 256 MiB.
"""
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/nested"))
import guests  # noqa: E402
import v2_machine  # noqa: E402

LZ4 = bytes.fromhex("02214c18")  # of the older form that Linux uses, followed by the size
APPEND = "console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable mitigations=off"
WITHOUT_ACPI = f"{APPEND} acpi=off pci=off noapic"
INIT = "#!/bin/busybox sh\necho userspace\nexec /bin/busybox reboot -f\n"

TIMED = """
timed() {
    name=$1; shift
    read begin rest </proc/uptime
    timeout 90 "$@" </dev/null 2>/statistics | while read line; do
        case "$line" in *userspace*) read now rest </proc/uptime; echo "start $name $begin $now" ;; esac
    done
    while read line; do echo "of $name: $line"; done </statistics
}
"""


def elf_of(kernel):
    """The kernel that a bzImage unpacks, as an ELF file: Linux Documentation/arch/x86/boot.rst, payload_offset."""
    image = Path(kernel).read_bytes()
    setup = (image[0x1f1] or 4) * 512 + 512
    offset, length = (int.from_bytes(image[at:at + 4], "little") for at in (0x248, 0x24c))
    payload = image[setup + offset:setup + offset + length]
    if payload[:4] != LZ4:
        sys.exit(f"bench: {kernel} is not packed with LZ4, which this table unpacks")
    return subprocess.run(["lz4", "-d", "-c"], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout


def commands(rounds):
    ours = "onggi-vmm --memory 256m --initrd /inner --statistics"
    once = "\n".join([
        f"timed elf {ours} --kernel /vmlinux --append '{WITHOUT_ACPI} reboot=k'",
        f"timed bzimage {ours} --kernel /kernel --append '{WITHOUT_ACPI} reboot=k'",
        f"timed elf-acpi {ours} --kernel /vmlinux --append '{APPEND}'",
    ])
    return "\n".join([once] * rounds)


def run(folder, rounds):
    if v2_machine.missing():
        sys.exit(f"bench: {v2_machine.missing()}")
    inner = v2_machine.Initramfs()
    inner.tree("bin/busybox", v2_machine.BUSYBOX)
    inner.folder("dev")
    inner.entry("dev/console", 0o20600, device=(5, 1))
    inner.file("init", INIT.encode())
    inner.write(folder / "inner")
    (folder / "vmlinux").write_bytes(elf_of(v2_machine.kernel()))
    vmm = Path(os.environ["ONGGI_BUILD"]) / "src/hosted/onggi-vmm"
    files = {"/bin/onggi-vmm": vmm, "/kernel": v2_machine.kernel(), "/vmlinux": folder / "vmlinux", "/inner": folder / "inner",
             **guests.libraries(vmm)}
    for path in guests.host_modules():
        files[f"/mod/{os.path.basename(path)}"] = path
    loads = "for module in irqbypass ccp kvm kvm-amd; do [ ! -e /mod/$module.ko ] || insmod /mod/$module.ko; done\n"
    status, output = v2_machine.run(loads + TIMED + commands(min(rounds, 3)), files, memory=2048, timeout=580)
    if status:
        print(output, file=sys.stderr)
    print_table(output)


def print_table(output):
    times, exits = {}, {}
    for name, begin, now in re.findall(r"^start (\S+) (\S+) (\S+)$", output, re.MULTILINE):
        times.setdefault(name, []).append(float(now) - float(begin))
    for name, reason, count in re.findall(r"^of (\S+): exits (\S+) +(\d+)$", output, re.MULTILINE):
        exits.setdefault(name, {})[reason] = count
    print("| guest | seconds to userspace | runs | exits to the process |\n| --- | --- | --- | --- |")
    for name, seconds in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        reasons = ", ".join(f"{count} {reason}" for reason, count in exits.get(name, {}).items())
        print(f"| {name} | {statistics.median(seconds):.2f} | {len(seconds)} | {reasons} |")
