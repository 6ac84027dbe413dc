# SPDX-License-Identifier: GPL-2.0-or-later
"""The engines that call an OCI runtime, each started in a vault with roots of its own and told to use ours."""
import json
import os
import subprocess
import time
from pathlib import Path

from . import leaks, private_host, programs
from .vault import Vault

POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
IMAGE = "localhost/busybox:test"


class Engine:
    """One engine in its vault. A call runs its command line; `socket`, `folder` and `shared` come from the subclass."""

    name = None
    command = None

    def __init__(self, folder, archive, runtime=None):
        self.folder, self.archive = Path(folder), archive
        self.folder.mkdir()
        self.runtime = runtime or programs.program("onggi-runtime")
        self.shared = []
        self.environment = dict(os.environ)
        self.daemon = None

    def __enter__(self):
        self.vault = Vault()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.vault.close()
        if self.daemon:
            self.daemon.wait()

    def __call__(self, *words, **settings):
        return self.vault.run(self.command, *self.shared, *words, env=self.environment, **settings)

    def ok(self, *words, **settings):
        done = self(*words, **settings)
        assert done.returncode == 0, f"{self.name} {' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n")

    def popen(self, *words, **settings):
        return self.vault.popen(self.command, *self.shared, *words, env=self.environment, **settings)

    def wait_for(self, condition, what, seconds=20):
        """For daemons that tell nobody when they are ready."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{self.name}: {what} did not happen\n{self.log()}"
            time.sleep(0.02)

    def log(self):
        path = self.folder / "log"
        return path.read_text()[-4000:] if path.exists() else ""

    def left_of(self, identity):
        """Mounts, control groups and runtime state in which the container's id still appears."""
        left = [line for line in self.vault.mounts().splitlines() if identity in line]
        left += [folder for point, _, _ in private_host.cgroup_hierarchies() for folder, _, _ in os.walk(point) if identity in folder]
        left += [name for name in leaks.descendants().values() if identity in name and "conmon" not in name and "shim" not in name]
        return left


class Podman(Engine):
    name = "podman"
    command = "podman"

    def start(self):
        self.hooks = self.folder / "hooks"
        self.hooks.mkdir()
        settings = self.folder / "containers.conf"
        settings.write_text('[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
                            '[network]\n'
                            f'network_config_dir = "{self.folder}/networks"\n')
        policy = self.folder / "policy.json"
        policy.write_text(POLICY)
        self.environment["CONTAINERS_CONF"] = str(settings)
        self.vault.run("mount", "--bind", policy, "/etc/containers/policy.json", check=True)
        self.shared = ["--root", self.folder / "root", "--runroot", "/run/podman", "--storage-driver", "overlay",
                       "--hooks-dir", self.hooks, "--runtime", self.runtime]
        self.ok("load", "--input", self.archive)

    def remove(self, identity):
        return self("rm", "--force", "--time", "0", identity)

    def run_words(self, *words):
        """What podman needs where hard limits are low."""
        return ["run", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", *words]


class Docker(Engine):
    name = "docker"
    command = "/usr/bin/docker"

    def start(self):
        socket = "unix:///run/docker.sock"
        settings = self.folder / "daemon.json"  # else the host's own would be read
        settings.write_text("{}")
        with open(self.folder / "log", "w") as log:
            self.daemon = self.vault.popen(
                "dockerd", "--host", socket, "--data-root", self.folder / "root", "--exec-root", "/run/docker",
                "--pidfile", "/run/docker.pid", "--config-file", settings, "--ip-masq=false",
                "--add-runtime", f"ours={self.runtime}", "--default-runtime", "ours", stdout=log, stderr=log,
                stdin=subprocess.DEVNULL)
        self.shared = ["--config", self.folder / "client", "--host", socket]
        self.wait_for(lambda: self("version").returncode == 0, "answer of dockerd")
        self.ok("load", "--input", self.archive)

    def remove(self, identity):
        return self("rm", "--force", identity)

    def run_words(self, *words):
        return ["run", *words]


class Containerd(Engine):
    name = "containerd"
    command = "ctr"

    def start(self):
        settings = self.folder / "containerd.toml"
        settings.write_text(f'version = 2\nroot = "{self.folder}/root"\nstate = "/run/containerd-test"\n'
                            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "/run/containerd.sock"\n')
        with open(self.folder / "log", "w") as log:
            self.daemon = self.vault.popen("containerd", "--config", settings, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.shared = ["--address", "/run/containerd.sock"]
        self.wait_for(lambda: self("version").returncode == 0, "answer of containerd")
        self.ok("images", "import", self.archive)

    def run_container(self, identity, *command, options=(), **settings):
        return self("run", "--runtime", "io.containerd.runc.v2", "--runc-binary", self.runtime, *options, IMAGE, identity, *command,
                    **settings)

    def task(self, identity):
        lines = [line.split() for line in self.ok("tasks", "ls").splitlines()[1:]]
        return {words[0]: words[2] for words in lines}.get(identity)


def inspect(engine, identity):
    return json.loads(engine.ok("inspect", identity))[0]
