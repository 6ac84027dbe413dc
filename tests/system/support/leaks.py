# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts what a command may leave behind: mounts, control groups, network namespaces, links, nftables tables, processes, locks, files."""
import json
import os
import subprocess
import time
import weakref
from pathlib import Path

from . import private_host

FILE_PLACES = ("/run", "/dev/shm", "/dev/mqueue", "/var/lib/onggi", "/var/lock")


_children = weakref.WeakSet()
_popen_init = subprocess.Popen.__init__


def _remember(self, *arguments, **settings):
    _popen_init(self, *arguments, **settings)
    _children.add(self)


def watch_children():
    """From now on adopted orphans can be told from children that somebody holds and will wait for."""
    subprocess.Popen.__init__ = _remember


def descendants(statuses=None):
    """{pid: command line} of every living descendant; dead orphans that came to us are reaped, their wait statuses appended."""
    root = os.getpid()
    parents, names, zombies = {}, {}, set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
            command = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        parents[int(entry)] = int(parent)
        names[int(entry)] = command or stat[:stat.rfind(")") + 1]
        if state in "ZX":
            zombies.add(int(entry))
    ours = {root}
    grown = True
    while grown:
        new = {pid for pid, parent in parents.items() if parent in ours} - ours
        ours |= new
        grown = bool(new)
    held = {process.pid for process in _children if process.returncode is None}
    for pid in zombies & ours - held:
        if parents[pid] == os.getpid():
            try:
                _, status = os.waitpid(pid, os.WNOHANG)
            except OSError:
                continue
            if statuses is not None:
                statuses.append(status)
    return {pid: names[pid] for pid in ours - zombies - {root}}


def await_end(word, patience=10.0):
    """Waits until no descendant has the word in its command line; whoever counts afterwards tells if one has it still."""
    deadline = time.monotonic() + patience
    while any(word in command for command in descendants().values()) and time.monotonic() < deadline:
        time.sleep(0.05)


def _mounts():
    lines = (line.split(" - ") for line in Path("/proc/thread-self/mountinfo").read_text().splitlines())
    return {f"{before.split()[4]} ({after.split()[0]} of {before.split()[3]})" for before, after in lines}


def _cgroups():
    """All but the parent of all containers, which stays: making it anew would cost each start half a millisecond."""
    points = [point for point, _, _ in private_host.cgroup_hierarchies()]
    found = {folder for point in points for folder, _, _ in os.walk(point)}
    return found - {f"{point}/onggi" for point in points}


def _network_namespaces(processes):
    found = set()
    for pid in processes:
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            pass
    return found - {os.readlink("/proc/thread-self/ns/net")}


def _output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _links():
    return {link["ifname"] for link in json.loads(_output("ip", "-json", "link") or "[]")}


def _tables():
    return set(_output("nft", "list", "tables").splitlines())


def _locks(processes):
    found = set()
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.replace("->", "").split()
        if int(fields[4]) in processes:
            found.add(f"{fields[1]} {fields[3]} on {fields[5]} by {processes[int(fields[4])]}")
    return found


def _files(places):
    found = set()
    for place in places:
        for folder, folders, files in os.walk(place):
            if folder == "/run" and "mount" in folders:
                folders.remove("mount")  # mount(8)'s own notes
            found.update(os.path.join(folder, name) for name in folders + files)
    # /tmp itself is shared with strangers; a TMPDIR of our own is not. pytest's and our own folders in it are known.
    if "TMPDIR" in os.environ:
        folder = os.environ["TMPDIR"]
        found.update(f"{folder}/{name}" for name in os.listdir(folder) if not name.startswith(("pytest-of-", "onggi-test-")))
    return found


class Snapshot:
    """What there is now. Two snapshots' difference is what was left behind in between."""

    def __init__(self, places=FILE_PLACES):
        processes = descendants()
        self.kinds = {
            "process": {f"{pid} {name}" for pid, name in processes.items()},
            "mount": _mounts(),
            "control group": _cgroups(),
            "network namespace": _network_namespaces(processes),
            "link": _links(),
            "nftables table": _tables(),
            "lock": _locks(processes),
            "file": _files(places),
        }

    def left_since(self, earlier):
        return [f"{kind}: {what}" for kind, now in self.kinds.items() for what in sorted(now - earlier.kinds[kind])]

    def count(self):
        return {kind: len(what) for kind, what in self.kinds.items()}


class Counter:
    """Compares with the moment of its making; the kernel finishes some removals after the command has ended, so it looks repeatedly."""

    def __init__(self, places=FILE_PLACES):
        self.places = places
        self.before = Snapshot(places)

    def left(self, patience=5.0):
        deadline = time.monotonic() + patience
        while True:
            left = Snapshot(self.places).left_since(self.before)
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.05)

    def check(self, patience=5.0):
        left = self.left(patience)
        assert not left, "left behind:\n  " + "\n  ".join(left)
