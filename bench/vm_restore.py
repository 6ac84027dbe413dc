# SPDX-License-Identifier: GPL-2.0-or-later
"""From exec of onggi-vmm to the moment that its guest runs, new and from a snapshot, on this host's own /dev/kvm.

The guest is a few instructions long; its 256 MiB are mapped either way, so what is measured is ours and KVM's. The moment is the
line that --report writes when the processors have been let go.
"""
import os
import statistics
import subprocess
import time

import common
from support.small_guests import Control, elf

GUEST = elf(bytes.fromhex("fa f4 ebfd"))  # cli; hlt


def start(folder, *options):
    """(milliseconds to running, the process, its control socket)"""
    reading, writing = os.pipe()
    begin = time.monotonic()
    process = subprocess.Popen([common.programs.program("onggi-vmm"), "--control", folder / "control", "--report", str(writing),
                                *options], pass_fds=[writing], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.close(writing)
    with open(reading, "rb", buffering=0) as report:
        report.read(1)
        taken = (time.monotonic() - begin) * 1000
    return taken, process, Control(folder / "control")


def stop(process, control):
    control("stop")
    process.wait()


def save(folder):
    _, process, control = start(folder, "--kernel", folder / "kernel")
    (folder / "saved").mkdir()
    files = [os.open(folder / "saved" / name, os.O_RDWR | os.O_CREAT, 0o600) for name in ("state", "memory")]
    answer = control.send_files(files, "snapshot")
    for file in files:
        os.close(file)
    stop(process, control)
    assert answer == {"ok": True}, answer


def run(folder, rounds):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("\nvm_restore: no usable /dev/kvm")
        return
    (folder / "kernel").write_bytes(GUEST)
    save(folder)
    samples = {"new": [], "restored": []}
    for _ in range(rounds):
        for name, options in (("new", ["--kernel", folder / "kernel"]), ("restored", ["--restore", folder / "saved"])):
            taken, process, control = start(folder, *options)
            stop(process, control)
            samples[name].append(taken)
    print("\nexec to running, ms        median    least")
    for name, values in samples.items():
        print(f"  {name:22} {statistics.median(values):8.1f} {min(values):8.1f}")
