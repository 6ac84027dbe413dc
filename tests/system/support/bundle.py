# SPDX-License-Identifier: GPL-2.0-or-later
"""An OCI bundle of a static busybox, and the configuration that containers get where a test does not say otherwise."""
import json
import os
import shutil
from pathlib import Path

BUSYBOX = "/bin/busybox"
FOLDERS = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var")
CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID",
                "CAP_SETUID"]


def make_root(folder):
    """A root file system: busybox under the names of its applets, passwd and group."""
    folder = Path(folder)
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    os.chmod(folder / "tmp", 0o1777)
    shutil.copy(BUSYBOX, folder / "bin/busybox")
    for name in os.popen(f"{BUSYBOX} --list").read().split():
        if name != "busybox":
            (folder / "bin" / name).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\nuser:x:1000:\nextra:x:2000:user\n")
    return folder


def base_config(args):
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": list(args),
            "env": ["PATH=/bin", "TERM=xterm", "HOME=/root"], "noNewPrivileges": True,
            "capabilities": {name: list(CAPABILITIES) for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "bundle",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network", "cgroup")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


class Bundle:
    """path/config.json and path/rootfs. Change .config, then write()."""

    def __init__(self, path, args, root):
        self.path = Path(path)
        self.rootfs = self.path / "rootfs"
        self.config = base_config(args)
        self.path.mkdir(parents=True, exist_ok=True)
        # A copy by hard links: the tree is the same for all, each test may still add and remove names.
        shutil.copytree(root, self.rootfs, symlinks=True, copy_function=os.link)

    @property
    def process(self):
        return self.config["process"]

    @property
    def linux(self):
        return self.config["linux"]

    def write(self):
        (self.path / "config.json").write_text(json.dumps(self.config, indent=1))
        return self

    def __fspath__(self):
        return str(self.path)

    def __str__(self):
        return str(self.path)
