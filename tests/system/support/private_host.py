# SPDX-License-Identifier: GPL-2.0-or-later
"""A host of our own inside the host.

The process that runs tests enters new mount, network and cgroup namespaces once, so that nothing a test does (mounts, bridges,
nftables rules, control groups) can touch the machine, and whatever a test leaves behind can be counted exactly.
It also becomes the reaper of its descendants: a monitor or a container whose parent died is still ours to find and to end.
"""
import ctypes
import os
import subprocess
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 16384, 1 << 18
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result, what):
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags):
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor, kind):
    _checked(_libc.setns(descriptor, kind), "setns")


def mount(source, target, kind=None, flags=0, data=None):
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _checked(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount on {target}")


def bind(source, target):
    mount(source, target, flags=4096)


def detach(target):
    """Takes a mount and all below it out of this namespace."""
    _checked(_libc.umount2(os.fsencode(target), 2), f"umount of {target}")


def cgroup_hierarchies():
    """[(mount point, file system type, controllers)] of this host, for example ('/sys/fs/cgroup/cpu', 'cgroup', 'cpu')."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        kind, _, options = after.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            named = [o for o in options.split(",") if o not in ("rw", "ro") and not o.startswith("release_agent")]
            found.append((before.split()[4], kind, ",".join(named) if kind == "cgroup" else ""))
    return found


def _own_cgroups():
    """{controllers: path}; the key of the v2 hierarchy is ''."""
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    return {controllers: path for _, controllers, path in lines}


class PrivateCgroups:
    """A cgroup of our own in every hierarchy, seen as its root from inside our cgroup namespace."""

    def __init__(self, name):
        self.name = name
        self.parents = []  # descriptors: the paths mean something else once we are inside
        self.hierarchies = cgroup_hierarchies()
        own = _own_cgroups()
        for point, _, controllers in self.hierarchies:
            parent = os.path.join(point, own.get(controllers, "/").lstrip("/"))
            self.parents.append(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for parent in self.parents:
            os.mkdir(name, dir_fd=parent)
            for knob in ("cpuset.cpus", "cpuset.mems"):
                if self._exists(parent, knob):
                    self._write(parent, f"{name}/{knob}", self._read(parent, knob))
            self._write(parent, f"{name}/cgroup.procs", str(os.getpid()))
        unshare(CLONE_NEWCGROUP)
        # On v2 a group with processes cannot hand controllers down, so the processes live one level below.
        for parent in self.parents:
            if self._exists(parent, f"{name}/cgroup.controllers"):
                os.mkdir(f"{name}/tests", dir_fd=parent)
                self._write(parent, f"{name}/tests/cgroup.procs", str(os.getpid()))

    @staticmethod
    def _exists(parent, path):
        return os.access(path, os.F_OK, dir_fd=parent)

    @staticmethod
    def _read(parent, path):
        with open(path, opener=lambda name, flags: os.open(name, flags, dir_fd=parent)) as file:
            return file.read()

    @staticmethod
    def _write(parent, path, text):
        with open(path, "w", opener=lambda name, _: os.open(name, os.O_WRONLY, dir_fd=parent)) as file:
            file.write(text)

    def mount_view(self):
        """Mounts every hierarchy again, as the new cgroup namespace sees it, over /sys/fs/cgroup."""
        if len(self.hierarchies) == 1 and self.hierarchies[0][1] == "cgroup2":
            mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC)
            return
        mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755")
        for point, kind, controllers in self.hierarchies:
            os.makedirs(point, exist_ok=True)
            mount(kind, point, kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, controllers or None)

    def leave(self):
        """Moves this process back out and removes the groups; what is not empty is left for the one who looks after us."""
        for parent in self.parents:
            self._write(parent, "cgroup.procs", str(os.getpid()))
            for folder, _, _, _ in os.fwalk(self.name, topdown=False, dir_fd=parent):
                try:
                    os.rmdir(folder, dir_fd=parent)
                except OSError as error:
                    print(f"control group {folder}: {error.strerror}")


def loopback_up():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def enter(name):
    """Enters the private host. Needs root and a caller that is the process' main thread. Returns the cgroups, to leave() at the end."""
    _checked(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    cgroups = PrivateCgroups(name)
    unshare(CLONE_NEWNS | CLONE_NEWNET)
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    # A program that reads the mount table must see one /sys and one of each hierarchy: the outside ones go.
    detach("/sys")
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    cgroups.mount_view()
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    loopback_up()
    return cgroups


class Nested:
    """New mount and network namespaces for the length of one test."""

    def __enter__(self):
        self.before = [(os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC), flag)
                       for kind, flag in (("net", CLONE_NEWNET), ("mnt", CLONE_NEWNS))]
        self.folder = os.getcwd()
        unshare(CLONE_NEWNS | CLONE_NEWNET)
        mount(None, "/", flags=MS_REC | MS_PRIVATE)
        mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        loopback_up()
        return self

    def __exit__(self, *_):
        for descriptor, flag in self.before:
            setns(descriptor, flag)
            os.close(descriptor)
        os.chdir(self.folder)
