# SPDX-License-Identifier: GPL-2.0-or-later
"""Start of a guest and memory of its monitor, onggi-vmm and QEMU's microvm taking turns on the real KVM of an emulated machine.

Time from exec to the first line of the guest's init, by the emulated machine's clock; it runs many times slower than a real one, so
the ratios count. Memory is what is resident at that moment without the guest's own. The kernel is Debian's, the initramfs holds
busybox alone; one CPU and 256 MiB. Rows without "acpi" have it switched off, and PCI with it, which QEMU's microvm does without a
word on the command line: it has neither PCI nor, to boot from, much of ACPI. kvmtool, the other peer that is known to be fast, is not in Debian.
"""
import os
import re
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/nested"))
import guests  # noqa: E402
import v2_machine  # noqa: E402

APPEND = "console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable mitigations=off"
WITHOUT_ACPI = f"{APPEND} acpi=off pci=off noapic"
# The flavour that Debian builds for small machines, with the devices that it can do without left out.
QEMU = "/usr/bin/qemu-system-x86_64-microvm"
QEMU_FILES = "/usr/share/qemu"
QEMU_OPTIONS = (f"-L {QEMU_FILES} -M microvm,isa-serial=on,rtc=off,pit=off,pic=off -accel kvm -cpu host -m 256 -nodefaults "
                "-no-user-config -display none -serial stdio -no-reboot -initrd /inner")
INIT = "#!/bin/busybox sh\necho userspace\nexec /bin/busybox reboot -f\n"

TIMED = """
# KiB resident in mappings other than the guest's RAM, which is the one of 256 MiB.
own_memory() {
    for pid in $(pidof onggi-vmm qemu-system-x86_64-microvm); do
        awk -v name=$1 '/^Size:/ { ram = $2 >= 250000 } /^Rss:/ && !ram { sum += $2 } END { print "memory", name, sum }' /proc/$pid/smaps
    done
}
timed() {
    name=$1; shift
    read begin rest </proc/uptime
    timeout 90 "$@" </dev/null 2>/statistics | while read line; do
        case "$line" in *userspace*)
            read now rest </proc/uptime; echo "start $name $begin $now"; own_memory $name ;;
        esac
    done
    while read line; do echo "of $name: $line"; done </statistics
}
"""


def commands(rounds):
    ours = "onggi-vmm --memory 256m --initrd /inner --statistics"
    once = "\n".join([
        f"timed onggi-elf {ours} --kernel /vmlinux --append '{WITHOUT_ACPI} reboot=k'",
        f"timed qemu-elf {QEMU} {QEMU_OPTIONS} --kernel /vmlinux --append '{APPEND} reboot=t'",
        f"timed onggi-bzimage {ours} --kernel /kernel --append '{WITHOUT_ACPI} reboot=k'",
        f"timed qemu-bzimage {QEMU} {QEMU_OPTIONS} --kernel /kernel --append '{APPEND} reboot=t'",
        f"timed onggi-elf-acpi {ours} --kernel /vmlinux --append '{APPEND}'",
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
    (folder / "vmlinux").write_bytes(guests.elf_of(v2_machine.kernel()))
    vmm = Path(os.environ["ONGGI_BUILD"]) / "src/hosted/onggi-vmm"
    files = {"/bin/onggi-vmm": vmm, "/kernel": v2_machine.kernel(), "/vmlinux": folder / "vmlinux", "/inner": folder / "inner",
             **guests.libraries(vmm), QEMU: QEMU, **guests.libraries(QEMU),
             **{f"{QEMU_FILES}/{name}": os.path.realpath(f"{QEMU_FILES}/{name}") for name in ("qboot.rom", "pvh.bin", "bios-microvm.bin")}}
    for path in guests.host_modules():
        files[f"/mod/{os.path.basename(path)}"] = path
    loads = "for module in irqbypass ccp kvm kvm-amd; do [ ! -e /mod/$module.ko ] || insmod /mod/$module.ko; done\n"
    status, output = v2_machine.run(loads + TIMED + commands(min(rounds, 3)), files, memory=2048, timeout=900)
    if status:
        print(output, file=sys.stderr)
    print_table(output)


def print_table(output):
    times, exits, memory = {}, {}, {}
    for name, begin, now in re.findall(r"^start (\S+) (\S+) (\S+)$", output, re.MULTILINE):
        times.setdefault(name, []).append(float(now) - float(begin))
    for name, reason, count in re.findall(r"^of (\S+): exits (\S+) +(\d+)$", output, re.MULTILINE):
        exits.setdefault(name, {})[reason] = count
    for name, kib in re.findall(r"^memory (\S+) (\d+)$", output, re.MULTILINE):
        memory.setdefault(name, []).append(int(kib))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    print("| guest | seconds to userspace | runs | / QEMU's | own memory, MiB | exits to the process |\n| --- | --- | --- | --- | --- | --- |")
    for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
        peer = medians.get(name.removesuffix("-acpi").replace("onggi", "qemu"))
        ratio = f"{seconds / peer:.2f}" if peer and name.startswith("onggi") else ""
        reasons = ", ".join(f"{count} {reason}" for reason, count in exits.get(name, {}).items())
        own = f"{statistics.median(memory[name]) / 1024:.1f}" if name in memory else ""
        print(f"| {name} | {seconds:.2f} | {len(times[name])} | {ratio} | {own} | {reasons} |")
