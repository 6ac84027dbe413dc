# SPDX-License-Identifier: GPL-2.0-or-later
"""An ordinary user with subordinate ids, known in the private host alone, and the onggi command as that user types it."""
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from . import private_host, programs

NAME, UID = "onggitester", 61234
SUB_FIRST, SUB_COUNT = 2000000000, 65536
LINES = {"/etc/passwd": f"{NAME}:x:{UID}:{UID}::/home/{NAME}:/bin/sh", "/etc/group": f"{NAME}:x:{UID}:",
         "/etc/subuid": f"{NAME}:{SUB_FIRST}:{SUB_COUNT}", "/etc/subgid": f"{NAME}:{SUB_FIRST}:{SUB_COUNT}"}
MS_BIND = 4096


def make_known(folder):
    """Binds account files with one more line over the host's own: seen in this mount namespace only."""
    for path, line in LINES.items():
        own = folder / Path(path).name
        own.write_text((Path(path).read_text() if os.path.exists(path) else "") + line + "\n")
        own.chmod(0o644)
        private_host.mount(str(own), path, flags=MS_BIND)


def own_folder(path):
    path.mkdir(parents=True)
    path.chmod(0o700)
    os.chown(path, UID, UID)
    return path


class OrdinaryOnggi(programs.Caller):
    """onggi with the folders that it chooses by itself for a user who has logged in."""

    def __init__(self, home, runtime_folder, environment=None):
        self.home = home
        self.root, self.state = home / ".local/share/onggi", runtime_folder / "onggi"
        super().__init__(programs.program("onggi"), [], {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime_folder),
                                                         "XDG_DATA_HOME": "", **(environment or {})})

    def _settings(self, settings):
        return super()._settings({"user": UID, "group": UID, "extra_groups": [], "cwd": self.home, **settings})

    def holder(self):
        """The pid of the process that keeps the user namespace."""
        return json.loads((self.state / "userns.json").read_text())["pid"]

    def inside(self, *command):
        """Runs a command of the host in the user's namespaces; returns what it prints."""
        return subprocess.run(["nsenter", f"--target={self.holder()}", "--user", "--mount", "--", *command], check=True,
                              capture_output=True, text=True).stdout

    def remove_all(self):
        ids = self("ps", "--all", "--quiet").stdout.split()
        if ids:
            self("rm", "--force", *ids)
        for name in self("network", "ls", "--quiet").stdout.split():
            self("network", "rm", name)

    def log_out(self):
        """Ends the holder, which stays as long as the user is logged in, and removes the folders."""
        if (self.state / "userns.json").exists():
            os.kill(self.holder(), signal.SIGKILL)
        for folder in (self.state.parent, self.home):
            shutil.rmtree(folder, ignore_errors=True)
