# SPDX-License-Identifier: GPL-2.0-or-later
"""What each word of the kernel's command line saves a short-lived guest: the kernel's own clock at its first program.

On an emulated processor whose clock counts instructions (QEMU's -icount), so that what else this host does is not in the times, and
one run of each is enough. They are times of that processor, many times those of a real one; the shares count. What a word saves in
exits of a virtual machine (the serial line's letters) is not in them.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent / "tests/nested")]
import v2_machine  # noqa: E402

STOCK = "console=ttyS0 reboot=k panic=-1"
OPTIONS = {
    "cryptomgr.notests": "algorithms are not tested at each start",
    "initcall_blacklist=load_system_certificate_list": "built-in certificates are not read",
    "no_timer_check tsc=reliable": "the timer is not tried out, the clock not watched",
    "mitigations=off": "a guest of its own needs none inside",
    "8250.nr_uarts=1": "one serial line is looked for, not four",
    "i8042.noaux i8042.nokbd": "no mouse and no keyboard are looked for",
    "random.trust_cpu=on": "random numbers without waiting",
    "quiet": "nothing is written to the serial line",
    "lsm=": "no security modules are started (not in the default: images may want them)",
}
INIT = b"#!/bin/busybox sh\n/bin/busybox mount -t proc proc /proc\n/bin/busybox cat /proc/uptime\n/bin/busybox poweroff -f\n"


def seconds(kernel, initramfs, append):
    """By the guest's clock; None where it does not come up."""
    command = [v2_machine.QEMU, "-M", "q35", "-cpu", "max", "-accel", "tcg", "-icount", "shift=1,sleep=off", "-smp", "1", "-m", "256",
               "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel,
               "-initrd", initramfs, "-append", append]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False)
    except subprocess.TimeoutExpired:
        return None
    found = re.search(r"^(\d+\.\d+) \d+\.\d+\s*$", done.stdout, re.MULTILINE)
    return float(found.group(1)) if found else None


def run(folder, _rounds):
    if v2_machine.missing():
        sys.exit(f"bench: {v2_machine.missing()}")
    root, build = folder / "root", Path(os.environ["ONGGI_BUILD"])
    subprocess.run([build / "src/cli/onggi", "--root", root, "--state", folder / "state", "kernel", "import"], check=True,
                   stdout=subprocess.DEVNULL)
    archive = v2_machine.Initramfs()
    archive.tree("bin/busybox", v2_machine.BUSYBOX)
    for name in ("dev", "proc"):
        archive.folder(name)
    archive.entry("dev/console", 0o20600, device=(5, 1))
    archive.file("init", INIT)
    archive.write(folder / "initramfs")
    rows = {STOCK: ("", "as it is"), "all but `lsm=`": (" ".join(word for word in OPTIONS if word != "lsm="), "the default"),
            **{word: (word, why) for word, why in OPTIONS.items()}}
    stock = None
    print("| words | seconds | saves | why |\n| --- | --- | --- | --- |")
    for name, (words, why) in rows.items():
        taken = seconds(root / "kernels/default/vmlinux", folder / "initramfs", f"{STOCK} {words}")
        stock = stock or taken
        print(f"| {name} | {taken:.2f} | {stock - taken:.2f} | {why} |" if taken else f"| {name} | it did not come up | | {why} |",
              flush=True)
