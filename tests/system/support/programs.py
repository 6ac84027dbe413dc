# SPDX-License-Identifier: GPL-2.0-or-later
"""The built programs, and ways to call them that forget nothing at the end."""
import json
import os
import signal
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PLACES = {"onggi": "src/cli/onggi", "onggi-runtime": "src/container/onggi-runtime",
          "onggi-monitor": "src/instance/onggi-monitor", "onggi-finish": "src/instance/onggi-finish",
          "onggi-reaper": "src/instance/onggi-reaper", "onggi-image": "src/image/onggi-image",
          "onggi-runtime-vm": "src/runtime_vm/onggi-runtime-vm",
          "onggi-init": "src/guest/onggi-init",
          "onggi-kernel": "src/kernel/onggi-kernel",
          "onggi-load": "src/compare/onggi-load",
          "onggi-vmm": "src/hosted/onggi-vmm", "onggi-init": "src/guest/onggi-init",
          "onggi-kernel": "src/kernel/onggi-kernel"}


def build_folder():
    return Path(os.environ.get("ONGGI_BUILD", REPOSITORY / "build")).resolve()


def program(name):
    """Path of a built program. ONGGI_RUNTIME names another runtime with runc's command line, to try the tests themselves."""
    if name == "onggi-runtime" and os.environ.get("ONGGI_RUNTIME"):
        return Path(os.environ["ONGGI_RUNTIME"])
    path = build_folder() / PLACES[name]
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built; run `make`, or name another build folder in ONGGI_BUILD")
    return path


class Caller:
    """Runs one program with arguments that all its calls share. A call returns subprocess.CompletedProcess with text."""

    def __init__(self, path, shared, environment=None):
        self.path = str(path)
        self.shared = [str(word) for word in shared]
        self.environment = environment or {}

    def command(self, *words):
        return [self.path, *self.shared, *(str(word) for word in words)]

    def _settings(self, settings):
        environment = dict(os.environ, **self.environment)
        environment.update(settings.pop("env", {}))
        settings["env"] = environment
        return settings

    def __call__(self, *words, timeout=60, text=True, **settings):
        """stdin is empty unless `input` is given."""
        settings = self._settings(settings)
        if "input" not in settings:
            settings.setdefault("stdin", subprocess.DEVNULL)
        settings.setdefault("stdout", subprocess.PIPE)
        settings.setdefault("stderr", subprocess.PIPE)
        return subprocess.run(self.command(*words), timeout=timeout, text=text, **settings)

    def ok(self, *words, **settings):
        """The call must succeed; returns its standard output without the last newline."""
        done = self(*words, **settings)
        assert done.returncode == 0, f"{' '.join(self.command(*words))}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n") if isinstance(done.stdout, str) else done.stdout

    def refuses(self, *words, status=None, **settings):
        """The call must fail with one line of explanation; returns that line."""
        done = self(*words, **settings)
        assert done.returncode != 0 if status is None else done.returncode == status, \
            f"{' '.join(self.command(*words))}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, f"expected one line of explanation, got:\n{done.stderr}"
        return lines[0]

    def json(self, *words, **settings):
        return json.loads(self.ok(*words, **settings))

    def popen(self, *words, **settings):
        settings = self._settings(settings)
        settings.setdefault("text", True)
        return subprocess.Popen(self.command(*words), **settings)


class Runtime(Caller):
    """onggi-runtime with a root of its own."""

    def __init__(self, root):
        self.root = Path(root)
        super().__init__(program("onggi-runtime"), ["--root", root])

    def state(self, identity):
        return self.json("state", identity)

    def remove_all(self):
        if not self.root.is_dir():
            return
        for entry in sorted(self.root.iterdir()):
            if entry.is_dir() and not entry.name.startswith("."):
                self("delete", "--force", entry.name)


class Onggi(Caller):
    """The onggi command with a root and a state of its own."""

    def __init__(self, root, state, environment=None):
        self.root, self.state = Path(root), Path(state)
        super().__init__(program("onggi"), ["--root", root, "--state", state], environment)

    def remove_all(self):
        ids = self("ps", "--all", "--quiet").stdout.split()
        if ids:
            self("rm", "--force", *ids)
        for name in self("network", "ls", "--quiet").stdout.split():
            self("network", "rm", name)


def end(processes):
    """Kills what is left of a test, so that the next one starts clean."""
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
