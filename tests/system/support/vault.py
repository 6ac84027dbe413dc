# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespaces for a program with many helpers (an engine and its shims): when the vault closes, all of them end."""
import os
import signal
import subprocess
import time
from pathlib import Path

from . import leaks, private_host

# The first process reaps what is orphaned inside, as an init does.
FIRST = "mount -t tmpfs -o mode=755 tmpfs /run && ip link set lo up && echo ready && while :; do sleep 1000 & wait; done"


class Vault:
    def __init__(self):
        self.cgroups = leaks.Snapshot(places=()).kinds["control group"]
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
             "/bin/sh", "-c", FIRST], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"the vault's first process failed: {self.holder.communicate()[1]}")
        self.first = int(Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()[0])

    def command(self, *words):
        return ["nsenter", f"--target={self.first}", "--mount", "--net", "--ipc", "--pid", *(str(word) for word in words)]

    def run(self, *words, **settings):
        settings.setdefault("stdout", subprocess.PIPE)
        settings.setdefault("stderr", subprocess.PIPE)
        settings.setdefault("text", True)
        settings.setdefault("timeout", 60)
        if "input" not in settings:
            settings.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*words), **settings)

    def popen(self, *words, **settings):
        return subprocess.Popen(self.command(*words), **settings)

    def mounts(self):
        return self.run("cat", "/proc/self/mountinfo").stdout

    def close(self):
        # The kernel ends every other process of the namespace with the first one, and lets the first be waited for only when
        # all were reaped: daemons that nsenter brought in are our orphans.
        os.kill(self.first, signal.SIGKILL)
        while self.holder.poll() is None:
            leaks.descendants()
            time.sleep(0.01)
        self.holder.stdout.close()
        self.holder.stderr.close()
        # Engines keep their own groups ("docker", "libpod_parent") for the next container; for us they are leftovers.
        for point, _, _ in private_host.cgroup_hierarchies():
            for folder, _, _ in os.walk(point, topdown=False):
                if folder not in self.cgroups:
                    try:
                        os.rmdir(folder)
                    except OSError:
                        pass  # another vault's, still in use
