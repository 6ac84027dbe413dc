#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A small Linux machine with cgroup v2 alone, in QEMU, to run a shell script with given static programs.

    tests/nested/v2_machine.py [--file SOURCE=PATH]... [--kernel FILE] [--timeout SECONDS] SCRIPT

Packs busybox, the files and the script into an initramfs, boots Debian's cloud kernel on an emulated processor (no KVM
needed, a few seconds), prints what the script prints and exits with its status. A machine that does not answer in time
is started once more; then the status is 124.
"""
import argparse
import glob
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

QEMU = "qemu-system-x86_64"
# Two thirds of a stock kernel's start are checks of ciphers and of certificates.
WITHOUT_CHECKS = "cryptomgr.notests initcall_blacklist=load_system_certificate_list"
BUSYBOX = "/bin/busybox"
BEGIN, END = "onggi-script-begins", "onggi-script-ends"

# The first root file system cannot be pivoted away from, which containers do: so everything moves to a tmpfs first.
FIRST_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /new
/bin/busybox mount -t tmpfs -o mode=755 root /new
/bin/busybox cp -a /bin /script /second /files /new/
exec /bin/busybox switch_root /new /second
"""

SECOND_INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /root /etc
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cp -a /files/. /
rm -rf /files
ln -sf /proc/self/fd /dev/fd
echo root:x:0:0::/root:/bin/sh >/etc/passwd
ip link set lo up
echo {BEGIN}
setsid sh /script </dev/null 2>&1
echo "{END} $?"
poweroff -f
"""


# With a root file system that has systemd, the script is a service of it.
SERVICE = f"""[Unit]
After=dbus.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo {BEGIN}; sh /script </dev/null 2>&1; echo {END} $?; systemctl poweroff --force --force'
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
"""


def missing():
    """What this host lacks for such a machine, or None."""
    if not shutil.which(QEMU):
        return f"{QEMU} is not installed (Debian: qemu-system-x86)"
    if not kernel():
        return "no kernel of Debian's cloud flavour in /boot (linux-image-cloud-amd64)"
    if not os.path.exists(BUSYBOX):
        return f"{BUSYBOX} is not installed (busybox-static)"
    return None


def kernel():
    found = sorted(glob.glob("/boot/vmlinuz-*cloud*"))
    return found[-1] if found else None


class Initramfs:
    """A cpio archive of the "newc" form, linux/Documentation/driver-api/early-userspace/buffer-format.rst."""

    def __init__(self):
        self.parts, self.number, self.folders = [], 0, set()

    def entry(self, name, mode, content=b"", device=(0, 0)):
        self.number += 1
        name = name.encode() + b"\0"
        fields = [self.number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        for part in (head, content):
            self.parts.append(part + b"\0" * (-len(part) % 4))

    def folder(self, name):
        parts = name.strip("/").split("/")
        for i in range(1, len(parts) + 1):
            path = "/".join(parts[:i])
            if path and path not in self.folders:
                self.folders.add(path)
                self.entry(path, stat.S_IFDIR | 0o755)

    def file(self, name, content, mode=0o755):
        self.folder(os.path.dirname(name))
        self.entry(name.strip("/"), stat.S_IFREG | mode, content)

    def tree(self, name, source):
        """A file or a folder of the host with all below it."""
        if os.path.islink(source):
            self.folder(os.path.dirname(name))
            self.entry(name.strip("/"), stat.S_IFLNK | 0o777, os.readlink(source).encode())
        elif os.path.isdir(source):
            self.folder(name)
            for child in sorted(os.listdir(source)):
                self.tree(f"{name}/{child}", os.path.join(source, child))
        else:
            with open(source, "rb") as file:
                self.file(name, file.read(), stat.S_IMODE(os.stat(source).st_mode))

    def write(self, path):
        self.entry("TRAILER!!!", 0)
        with open(path, "wb") as file:
            file.write(b"".join(self.parts))


def pack(path, script, files):
    archive = Initramfs()
    archive.tree("bin/busybox", BUSYBOX)
    archive.folder("dev")
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.file("init", FIRST_INIT.encode())
    archive.file("second", SECOND_INIT.encode())
    archive.file("script", script.encode())
    archive.folder("files")
    for name, source in files.items():
        archive.tree("files/" + name.strip("/"), str(source))
    archive.write(path)


def pack_systemd(path, script, files, root):
    archive = Initramfs()
    for name in sorted(os.listdir(root)):
        if name in ("boot", "dev", "proc", "run", "sys", "tmp"):
            archive.folder(name)
        else:
            archive.tree(name, os.path.join(root, name))
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.file("script", script.encode())
    archive.file("etc/systemd/system/script.service", SERVICE.encode(), 0o644)
    archive.folder("etc/systemd/system/multi-user.target.wants")
    archive.entry("etc/systemd/system/multi-user.target.wants/script.service", stat.S_IFLNK | 0o777,
                  b"/etc/systemd/system/script.service")
    for name, source in files.items():
        archive.tree(name.strip("/"), str(source))
    archive.write(path)


def boot(image, kernel_file, memory, timeout, more=""):
    """The console's text, or None when the machine did not power off in time."""
    command = [QEMU, "-M", "q35", "-cpu", "max", "-accel", "tcg", "-smp", "2", "-m", str(memory), "-nodefaults",
               "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel_file,
               "-initrd", image, "-append",
               f"console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off random.trust_cpu=on {WITHOUT_CHECKS} {more}"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, check=False)
    except subprocess.TimeoutExpired as expired:
        sys.stderr.write((expired.stdout or b"").decode(errors="replace")[-2000:])
        return None
    return done.stdout.decode(errors="replace").replace("\r\n", "\n")


def run(script, files=None, kernel_file=None, memory=512, timeout=120, systemd_root=None, layout=""):
    """Runs `script` (text) beside `files` ({path in the machine: path here}); returns (status, what it printed).

    `systemd_root` is a folder with a root file system whose systemd boots the machine; `layout` are words for the kernel's
    command line that choose what it mounts (v2 alone where empty).
    """
    with tempfile.TemporaryDirectory(prefix="onggi-v2-") as folder:
        image = os.path.join(folder, "initramfs")
        if systemd_root:
            pack_systemd(image, script, files or {}, systemd_root)
            more = f"rdinit=/lib/systemd/systemd systemd.show_status=false {layout}"
        else:
            pack(image, script, files or {})
            more = "cgroup_no_v1=all"
        for _ in range(2):
            console = boot(image, kernel_file or kernel(), memory, timeout, more)
            found = console and re.search(rf"{BEGIN}\n(.*)^{END} (\d+)$", console, re.DOTALL | re.MULTILINE)
            if found:
                return int(found.group(2)), found.group(1)
            if console:
                sys.stderr.write(console[-2000:])
        return 124, console or ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--file", action="append", default=[], metavar="SOURCE=PATH")
    parser.add_argument("--kernel")
    parser.add_argument("--memory", type=int, default=512, metavar="MIB")
    parser.add_argument("--timeout", type=int, default=120, metavar="SECONDS")
    parser.add_argument("script")
    options = parser.parse_args()
    if missing() and not options.kernel:
        sys.exit(f"v2_machine: {missing()}")
    files = {path: source for source, _, path in (item.partition("=") for item in options.file)}
    with open(options.script, encoding="utf-8") as file:
        status, output = run(file.read(), files, options.kernel, options.memory, options.timeout)
    sys.stdout.write(output)
    sys.exit(status)


if __name__ == "__main__":
    main()
