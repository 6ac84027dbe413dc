# SPDX-License-Identifier: GPL-2.0-or-later
"""Systems that are not our default kernel, each until the words that say it is there, on the real KVM of one emulated machine.

Each ends as soon as its words are seen. All take about three minutes, so all but the quickest wait for ONGGI_TEST_SYSTEMS=all."""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import programs

NESTED = Path(__file__).parent.parent / "nested"
sys.path.insert(0, str(NESTED))
import guests  # noqa: E402
import v2_machine  # noqa: E402

ALL = os.environ.get("ONGGI_TEST_SYSTEMS") == "all"
DOWNLOADS = Path(os.environ.get("ONGGI_TEST_DOWNLOADS", "/var/tmp/onggi-test-downloads"))
SEABIOS, GRUB = "/usr/share/seabios/bios-256k.bin", "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
OVMF, OVMF_VARIABLES = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
QUIET = "console=ttyS0 quiet isapnp.disable=1 panic=-1 no_timer_check tsc=reliable mitigations=off"

# name: (options of onggi-vmm, the files that they name, what is seen at the end, seconds, whether it is among the quickest)
SYSTEMS = {
    "grub": (["--firmware", "bios", "--iso", GRUB], [SEABIOS, GRUB], r"GNU GRUB +version", 30, True),
    "ipxe": (["--firmware", "bios", "--iso", "/usr/lib/ipxe/ipxe.iso"], [SEABIOS, "/usr/lib/ipxe/ipxe.iso"],
             r"iPXE 1.*Open Source Network Boot Firmware", 40, True),
    "uboot": (["--firmware", "/usr/lib/u-boot/qemu-x86/u-boot.rom"], ["/usr/lib/u-boot/qemu-x86/u-boot.rom"], r"=> ", 60, True),
    "memtest": (["--kernel", "/boot/memtest86+x64.bin", "--append", "console=ttyS0,115200 nopause"], ["/boot/memtest86+x64.bin"],
                r"Memtest86\+.*CLK", 30, True),
    "memtest32": (["--kernel", "/boot/memtest86+ia32.bin", "--append", "console=ttyS0,115200 nopause"], ["/boot/memtest86+ia32.bin"],
                  r"Memtest86\+.*CLK", 30, False),
    "linux32": (["--kernel", "/guest/linux32", "--initrd", "/guest/init32", "--append", QUIET], ["/guest/linux32", "/guest/init32"],
                r"userspace of \S+-686 on i686, 32 bits", 90, False),
    "linux612": (["--kernel", "/guest/linux612", "--initrd", "/guest/init64", "--append", QUIET],
                 ["/guest/linux612", "/guest/init64"], r"userspace of 6\.12\.\S+ on x86_64, 64 bits", 60, False),
}
# OVMF restores CR8 behind each interrupt, which ends QEMU 7.2 as the machine below (an assertion about its lock in cpu_interrupt()).
BY_NAME_ONLY = {
    "edk2": (["--firmware", "uefi"], [OVMF, OVMF_VARIABLES], r"UEFI Interactive Shell", 120, False),
}


def downloaded(pattern, member):
    """A file of a package of Debian's that is better not installed: kernels would become this machine's own."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    found = subprocess.run(["apt-cache", "pkgnames", pattern.split("*")[0]], capture_output=True, text=True, check=False).stdout.split()
    names = sorted(name for name in found if re.fullmatch(pattern.replace("*", ".*").replace("+", r"\+"), name))
    if not names:
        return None
    folder = DOWNLOADS / names[-1]
    if not folder.exists():
        done = subprocess.run(["apt-get", "download", "-q", names[-1]], cwd=DOWNLOADS, capture_output=True, check=False, timeout=300)
        packages = glob.glob(f"{DOWNLOADS}/{names[-1]}_*.deb")
        if done.returncode or not packages:
            return None
        subprocess.run(["dpkg-deb", "-x", packages[0], f"{folder}.new"], check=True)
        os.unlink(packages[0])
        os.rename(f"{folder}.new", folder)
    files = glob.glob(f"{folder}/{member}")
    return files[0] if files else None


def initramfs(folder, name, *flags):
    init = folder / f"{name}.program"
    subprocess.run(["cc", "-O0", "-ffreestanding", "-nostdlib", "-static", "-fno-stack-protector", "-fno-pic", "-no-pie", *flags, "-o", init,
                    NESTED / "tiny_init.c"], check=True)
    archive = v2_machine.Initramfs()
    archive.folder("dev")
    archive.entry("dev/console", 0o20600, device=(5, 1))
    archive.tree("init", str(init))
    archive.write(folder / name)
    return folder / name


def provide(folder, wanted):
    """{path in the emulated machine: file here} of what there is."""
    files = {}
    for path in wanted:
        source = {
            "/guest/init32": lambda: initramfs(folder, "init32", "-m32"),
            "/guest/init64": lambda: initramfs(folder, "init64"),
            "/guest/linux612": lambda: downloaded("linux-image-6.12*cloud-amd64-unsigned", "boot/vmlinuz-*"),
            "/guest/linux32": lambda: downloaded("debian-installer-12-netboot-i386", "usr/lib/debian-installer/images/12/i386/text/"
                                                 "debian-installer/i386/linux"),
        }.get(path, lambda path=path: path if os.path.exists(path) else None)()
        if source:
            files[path] = str(source)
    return files


def plain(text):
    """Without what moves a terminal's cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """{name: all that it printed}, of the systems that were started; and why the others were not."""
    if v2_machine.missing():
        pytest.skip(v2_machine.missing())
    folder = tmp_path_factory.mktemp("systems")
    # Keys that are there from the beginning: U-Boot waits for one before it looks for a system.
    bench, missing, chosen = guests.Bench(folder, programs.program("onggi-vmm")), {}, []
    bench.file("/keys", b"\r" * 400)
    only = os.environ.get("ONGGI_TEST_SYSTEMS", "").split(",")
    for name, (options, wanted, words, seconds, quick) in {**SYSTEMS, **BY_NAME_ONLY}.items():
        if name in BY_NAME_ONLY and name not in only:
            missing[name] = f"ends the emulator that the machine below is: ONGGI_TEST_SYSTEMS={name} starts it all the same"
            continue
        if not (quick or ALL or name in only) or (only[0] and not ALL and name not in only):
            missing[name] = "takes long: ONGGI_TEST_SYSTEMS=all starts it"
            continue
        files = provide(folder, wanted)
        if set(files) != set(wanted):
            missing[name] = f"not there: {', '.join(sorted(set(wanted) - set(files)))}"
            continue
        bench.files.update(files)
        chosen.append(name)
        # One word of the pattern's is enough for the shell; the test looks for all.
        bench.commands += [
            f"echo 'guest {name}:'",
            f"onggi-vmm {shlex.join(options)} </keys >/out 2>&1 & vmm=$!",
            "begin=$(cut -d. -f1 /proc/uptime)",
            f"while kill -0 $vmm 2>/dev/null && [ $(($(cut -d. -f1 /proc/uptime) - begin)) -lt {seconds} ] && "
            f"! tr -d '\\r\\033\\n' </out | sed 's/\\[[0-9;?]*[A-Za-z]//g' | grep -qE {shlex.quote(words)}; do sleep 0.5; done",
            "kill -9 $vmm 2>/dev/null; wait $vmm; cat /out; echo",
            "echo \"seconds $(($(cut -d. -f1 /proc/uptime) - begin))\"",
            f"echo 'onggi-vmm of {name} ended with '0"]
    output = bench.run(memory=2048, timeout=600) if chosen else {}
    return {name: plain(text) for name, (_, text) in output.items()}, missing


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SYSTEMS, *BY_NAME_ONLY])
def test_a_system_shows_that_it_is_there(seen, name):
    output, missing = seen
    if name in missing:
        pytest.skip(missing[name])
    assert re.search({**SYSTEMS, **BY_NAME_ONLY}[name][2], output[name].replace("\n", " ")), output[name][-3000:]
