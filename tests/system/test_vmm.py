# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi-vmm with a stock kernel, on the real KVM of an emulated machine; and its errors, which need no KVM."""
import glob
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import programs

sys.path.insert(0, str(Path(__file__).parent.parent / "nested"))
import v2_machine  # noqa: E402

INNER_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc
/bin/busybox mount -t proc proc /proc
echo "userspace of $(/bin/busybox uname -r)"
exec /bin/busybox reboot -f
"""

SCRIPT = """
for module in irqbypass ccp kvm kvm-amd; do [ ! -e /mod/$module.ko ] || insmod /mod/$module.ko || exit 70; done
onggi-vmm --kernel /kernel --initrd /inner --statistics --append \
    "console=ttyS0 quiet noapic acpi=off pci=off reboot=k panic=1 no_timer_check tsc=reliable mitigations=off" </dev/null
"""


def vmm(*arguments):
    return subprocess.run([programs.program("onggi-vmm"), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)


def modules(kernel):
    release = os.path.basename(kernel).removeprefix("vmlinuz-")
    found = {}
    for name in ("irqbypass", "ccp", "kvm", "kvm-amd"):
        for path in glob.glob(f"/usr/lib/modules/{release}/kernel/**/{name}.ko", recursive=True):
            found[f"/mod/{name}.ko"] = path
    return found


@pytest.mark.slow
def test_a_stock_kernel_reaches_userspace_on_kvm(tmp_path):
    if v2_machine.missing():
        pytest.skip(v2_machine.missing())
    kernel = v2_machine.kernel()
    inner = v2_machine.Initramfs()
    inner.tree("bin/busybox", v2_machine.BUSYBOX)
    inner.folder("dev")
    inner.entry("dev/console", 0o20600, device=(5, 1))
    inner.file("init", INNER_INIT.encode())
    inner.write(tmp_path / "inner")
    files = {"/bin/onggi-vmm": programs.program("onggi-vmm"), "/kernel": kernel, "/inner": tmp_path / "inner", **modules(kernel)}
    status, output = v2_machine.run(SCRIPT, files, memory=1024)
    assert status == 0, output
    assert f"userspace of {os.path.basename(kernel).removeprefix('vmlinuz-')}" in output
    assert "port 0x3f8  serial" in output


@pytest.mark.parametrize("content, reason", [
    (b"", "is not a file with contents"),
    (b"x" * 100, "the file is too short to be a kernel"),
    (b"x" * 4096, "the file is neither a bzImage nor an ELF kernel"),
    (b"\x7fELF\x01" + b"\0" * 4096, "an ELF file, but not one for 64-bit x86"),
    (b"\x7fELF\x02\x01" + b"\0" * 12 + b"\x3e\0" + b"\xff" * 4096, "program headers lie outside its file"),
    (b"\0" * 0x202 + b"HdrS" + b"\0" * 4096, "the kernel has no 64-bit entry"),
])
def test_what_is_no_kernel_is_refused_in_one_line(tmp_path, content, reason):
    (tmp_path / "kernel").write_bytes(content)
    done = vmm("--kernel", str(tmp_path / "kernel"))
    assert done.returncode == 125
    assert reason in done.stderr and done.stderr.count("\n") == 1


def test_a_guest_too_small_for_its_kernel_is_told_so():
    kernel = v2_machine.kernel()
    if not kernel:
        pytest.skip(v2_machine.missing() or "no kernel of Debian's cloud flavour in /boot")
    done = vmm("--kernel", kernel, "--memory", "16m")
    assert done.returncode == 125
    assert "more memory to unpack itself than the guest has" in done.stderr


def test_options_that_make_no_sense_are_refused():
    assert vmm().returncode == 125
    assert "must be whole MiB" in vmm("--kernel", "/etc/passwd", "--memory", "1025k").stderr
    assert "unknown option --nonsense" in vmm("--nonsense").stderr
