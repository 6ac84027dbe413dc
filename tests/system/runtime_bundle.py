# SPDX-License-Identifier: GPL-2.0-or-later
"""What only the tests of onggi-runtime share: ways to run and wait for a container, and edits of its configuration."""
import array
import os
import signal
import socket
import stat
import time
from pathlib import Path


def eventually(condition, seconds=10):
    """Waits until condition() is true: for what happens in another process and sends no event."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def started(runtime, bundle, name, *options):
    """Creates and starts a container."""
    runtime.ok("create", *options, "--bundle", bundle, name, stdout=None, stderr=None)
    runtime.ok("start", name)
    return name


def stopped(runtime, name):
    eventually(lambda: runtime.state(name)["status"] == "stopped")


def end_orphan(pid):
    """Ends a detached exec: its parent is gone, so the tests' own process (their subreaper) is the one to wait for it. Until it
    does, the kernel keeps the pid namespace, and with it the container's first process."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def hook(bundle, point, script, **more):
    """Adds a hook that is a script of the host."""
    path = bundle.path / f"hook-{point}-{len(list(bundle.path.glob('hook-*')))}"
    path.write_text("#!/bin/sh\n" + script + "\n")
    path.chmod(0o755)
    bundle.config.setdefault("hooks", {}).setdefault(point, []).append({"path": str(path), **more})
    return path


def namespaces(bundle, *kinds, **joined):
    """The list of namespaces: new ones by type, joined ones as type=path."""
    bundle.linux["namespaces"] = [{"type": kind} for kind in kinds] + \
                                 [{"type": kind, "path": str(path)} for kind, path in joined.items()]


def with_user_namespace(bundle, uid=100000, gid=200000, size=65536):
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": size}]
    bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": size}]
    for folder in (bundle.path, bundle.path.parent):
        folder.chmod(0o755)


class ConsoleSocket:
    """Where an engine waits for a terminal's master."""

    def __init__(self, path):
        self.path = Path(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(20)

    def receive(self):
        """The master and the name that came with it."""
        connection, _ = self.listener.accept()
        with connection:
            numbers = array.array("i")
            name, control, *_ = connection.recvmsg(128, socket.CMSG_SPACE(4))
            numbers.frombytes(control[0][2][:4])
        return numbers[0], name.decode()

    def close(self):
        self.listener.close()


def read_terminal(master):
    """All that comes until the other side is closed."""
    said = b""
    try:
        while part := os.read(master, 4096):
            said += part
    except OSError:
        pass
    return said.decode()


def descriptors(pid):
    """{number: target} of a process's open descriptors."""
    return {int(path.name): os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}


def is_fifo(path):
    return stat.S_ISFIFO(os.stat(path).st_mode)
