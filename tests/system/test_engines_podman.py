# SPDX-License-Identifier: GPL-2.0-or-later
"""podman with our runtime: `podman --runtime onggi-runtime`."""
import json

import pytest

from support.engine_cases import EngineCases
from support.engines import IMAGE, Podman, inspect

pytestmark = pytest.mark.xdist_group("podman")  # one engine for all its tests


@pytest.fixture(scope="module")
def engine(root_only, worker_folder, docker_archive):
    with Podman(worker_folder / "podman", docker_archive) as started:
        yield started


class TestPodman(EngineCases):
    def test_inspect_names_our_runtime(self):
        self.detached("sleep", "1000")
        assert inspect(self.engine, self.name)["OCIRuntime"] == str(self.engine.runtime)

    def test_update_changes_a_running_container(self):
        self.detached("sleep", "1000", options=["--cpu-shares", "300"])
        self.engine.ok("update", "--cpu-shares", "700", self.name)
        assert self.engine.ok("exec", self.name, "cat", "/sys/fs/cgroup/cpu/cpu.shares") == "700"

    @pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
    def test_hook_runs_with_the_containers_state(self, stage):
        mark = self.engine.folder / f"{self.name}.state"
        inside = stage == "startContainer"
        program = {"path": "/bin/sh", "args": ["sh", "-c", "cat > /tmp/hook" if inside else f"cat > {mark}"]}
        if stage == "createContainer":
            # It runs in the container's namespaces, but the path and the files are still the host's.
            program["args"][2] = f"cat > {mark}"
        hook = self.engine.hooks / f"{self.name}.json"
        hook.write_text(json.dumps({"version": "1.0.0", "hook": program, "when": {"annotations": {"^hook$": self.name}},
                                    "stages": [stage]}))
        self.detached("sleep", "1000", options=["--annotation", f"hook={self.name}"])
        identity = inspect(self.engine, self.name)["Id"]
        if inside:
            state = json.loads(self.engine.ok("exec", self.name, "cat", "/tmp/hook"))
        else:
            if stage == "poststop":
                assert self.engine.remove(self.name).returncode == 0
            self.engine.wait_for(lambda: mark.exists() and mark.read_text(), "the hook")
            state = json.loads(mark.read_text())
        hook.unlink()
        assert state["id"] == identity
        assert state["status"] == {"prestart": "created", "createRuntime": "created", "createContainer": "created",
                                   "startContainer": "created", "poststart": "running", "poststop": "stopped"}[stage] or \
            stage in ("prestart", "createRuntime", "createContainer") and state["status"] == "creating"

    def test_a_failing_hook_fails_the_run_and_leaves_nothing(self):
        hook = self.engine.hooks / f"{self.name}.json"
        hook.write_text(json.dumps({"version": "1.0.0", "hook": {"path": "/bin/false"}, "when": {"annotations": {"^hook$": self.name}},
                                    "stages": ["createRuntime"]}))
        done = self.run("true", options=["--rm", "--annotation", f"hook={self.name}"])
        hook.unlink()
        assert done.returncode == 126 or done.returncode == 125 or done.returncode == 127, done
        assert "hook" in done.stderr

    def test_pod_shares_a_network_namespace(self):
        infra = ["--infra-image", IMAGE, "--infra-command", "/bin/sleep 1000"]
        self.engine.ok("pod", "create", "--name", f"pod-{self.name}", "--network", "none", *infra)
        try:
            first = self.engine.ok("run", "--pod", f"pod-{self.name}", "--rm", IMAGE, "readlink", "/proc/self/ns/net")
            second = self.engine.ok("run", "--pod", f"pod-{self.name}", "--rm", IMAGE, "readlink", "/proc/self/ns/net")
            assert first == second
        finally:
            self.engine("pod", "rm", "--force", "--time", "0", f"pod-{self.name}")

    def test_user_namespace_maps_root(self):
        text = self.output("cat", "/proc/self/uid_map", options=["--uidmap", "0:100000:5000", "--gidmap", "0:100000:5000"])
        assert text.split() == ["0", "100000", "5000"]
