# SPDX-License-Identifier: GPL-2.0-or-later
"""What each word of the kernel's command line saves a short-lived guest: from exec of onggi-vmm to the end of an image's program.

On the KVM of an emulated machine whose clock counts instructions (QEMU's -icount): what else this host does is not in the
times, and one run of each is enough. They are times of that machine, many times those of a real one; the shares count.
"""
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent / "tests/nested")]
import guests  # noqa: E402
import v2_machine  # noqa: E402

STOCK = "console=ttyS0 reboot=k panic=-1"
OPTIONS = {
    "quiet": "nothing is written to the serial line",
    "no_timer_check": "the timer's interrupt is not tried out",
    "tsc=reliable": "the processor's clock is not watched",
    "mitigations=off": "a guest of its own needs none inside",
    "random.trust_cpu=on": "random numbers without waiting",
    "cryptomgr.notests": "algorithms are not tested at each start",
    "8250.nr_uarts=1": "one serial line is looked for, not four",
    "i8042.noaux": "no mouse is looked for",
    "i8042.nokbd": "no keyboard is looked for",
    "pci=lastbus=0": "one bus is looked through",
    "initcall_blacklist=load_system_certificate_list": "built-in certificates are not read",
    "lsm=": "no security modules are started",
    "audit=0": "no auditing",
    "rcupdate.rcu_expedited=1": "grace periods do not wait",
    "nmi_watchdog=0": "no counter watches the processors",
    "edd=off": "the BIOS's disks are not asked for",
}


def machine(folder, build):
    """The files of a machine that runs `true` of a root folder in memory."""
    root = folder / "root"
    root.mkdir()
    subprocess.run([build / "src/image/onggi-image", "--root", root, "load", "-q", "-i", build / "src/image/base.tar"], check=True)
    erofs = subprocess.run([build / "tests/system/image_driver", root, "erofs", "onggi/base"], check=True, capture_output=True,
                           text=True).stdout.strip()
    subprocess.run([build / "src/cli/onggi", "--root", root, "--state", folder / "state", "kernel", "import"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([build / "src/container/onggi-runtime", "spec", "--bundle", folder], check=True)
    spec = json.loads((folder / "config.json").read_text())
    spec["process"].update(args=["true"], terminal=False)
    archive = v2_machine.Initramfs()
    archive.file("onggi/machine.json", b'{"version":1,"root":{"disk":"image"},"writable":{"memory":1048576}}')
    archive.file("onggi/config.json", json.dumps(spec).encode())
    archive.write(folder / "second")
    vmm = build / "src/hosted/onggi-vmm"
    kernel = root / "kernels/default"
    files = {"/bin/onggi-vmm": vmm, "/erofs": erofs, "/second": folder / "second", "/vmlinux": kernel / "vmlinux",
             "/initramfs": kernel / "initramfs", **guests.libraries(vmm)}
    for path in guests.host_modules():
        files[f"/mod/{os.path.basename(path)}"] = path
    return files


def run(folder, _rounds):
    if v2_machine.missing():
        sys.exit(f"bench: {v2_machine.missing()}")
    counting = folder / "qemu"
    counting.write_text(f'#!/bin/sh\nexec {v2_machine.QEMU} "$@" -icount shift=1,sleep=off\n')
    counting.chmod(counting.stat().st_mode | stat.S_IXUSR)
    v2_machine.QEMU = str(counting)
    everything = " ".join([STOCK, *OPTIONS])
    rows = {"stock": STOCK, "everything": everything, **{word: f"{STOCK} {word}" for word in OPTIONS}}
    script = "for module in irqbypass ccp kvm kvm-amd; do [ ! -e /mod/$module.ko ] || insmod /mod/$module.ko; done\n" + "\n".join(
        f"read begin rest </proc/uptime; timeout 200 onggi-vmm --kernel /vmlinux --initrd /initramfs --initrd /second "
        f"--disk /erofs,ro,serial=image --vsock /v --append '{append}' </dev/null >/dev/null 2>&1; status=$?; "
        f"read end rest </proc/uptime; echo \"row {number} $begin $end $status\""
        for number, append in enumerate(rows.values()))
    status, output = v2_machine.run(script, machine(folder, Path(os.environ["ONGGI_BUILD"])), memory=1200, timeout=580)
    if status:
        print(output, file=sys.stderr)
    found = {int(number): (float(end) - float(begin), code)
             for number, begin, end, code in re.findall(r"^row (\d+) (\S+) (\S+) (\d+)$", output, re.MULTILINE)}
    print("| words | seconds | saves | why |\n| --- | --- | --- | --- |")
    for number, name in enumerate(rows):
        seconds, code = found.get(number, (float("nan"), "none"))
        saved = found[0][0] - seconds if 0 in found else float("nan")
        why = OPTIONS.get(name, "") if code == "0" else f"the guest ended with {code}"
        print(f"| `{name}` | {seconds:.2f} | {saved:.2f} | {why} |")
