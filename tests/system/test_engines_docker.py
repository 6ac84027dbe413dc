# SPDX-License-Identifier: GPL-2.0-or-later
"""dockerd with our runtime: `dockerd --add-runtime ours=onggi-runtime --default-runtime ours`."""
import pytest

from support.engine_cases import EngineCases
from support.engines import Docker, inspect

pytestmark = pytest.mark.xdist_group("docker")  # one engine for all its tests


@pytest.fixture(scope="module")
def engine(root_only, worker_folder, docker_archive):
    with Docker(worker_folder / "docker", docker_archive) as started:
        yield started


class TestDocker(EngineCases):
    def test_inspect_names_our_runtime(self):
        self.detached("sleep", "1000")
        assert inspect(self.engine, self.name)["HostConfig"]["Runtime"] == "ours"

    def test_update_changes_a_running_container(self):
        self.detached("sleep", "1000", options=["--memory", "64m", "--memory-swap", "64m"])
        self.engine.ok("update", "--memory", "32m", "--memory-swap", "32m", "--cpu-shares", "700", "--pids-limit", "77", self.name)
        text = self.engine.ok("exec", self.name, "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/cpu/cpu.shares",
                              "/sys/fs/cgroup/pids/pids.max")
        assert text.split() == ["33554432", "700", "77"]

    def test_seccomp_profile_refuses_new_namespaces(self):
        done = self.run("unshare", "-r", "true", options=["--rm"])
        assert done.returncode != 0 and "Operation not permitted" in done.stderr

    def test_death_for_want_of_memory_is_told(self):
        # The first process lives on: docker's shim can lose the news when it arrives together with the container's end.
        self.detached("sh", "-c", "while :; do dd if=/dev/zero of=/dev/null bs=200M count=1; done",
                      options=["--memory", "24m", "--memory-swap", "24m"])
        words = ["events", "--since", "1h", "--until", "0s", "--filter", f"container={self.name}", "--filter", "event=oom"]
        self.engine.wait_for(lambda: "container oom" in self.engine.ok(*words), "news of the killed program")

    def test_restart_policy_starts_it_again(self):
        self.detached("sh", "-c", "echo x >> /tmp/runs; test $(wc -l < /tmp/runs) = 3", options=["--restart", "on-failure"])
        self.engine.wait_for(lambda: inspect(self.engine, self.name)["State"]["Status"] == "exited", "the third run")
        assert inspect(self.engine, self.name)["RestartCount"] == 2

    def test_health_check_runs_inside(self):
        self.detached("sleep", "1000", options=["--health-cmd", "test -e /proc/1", "--health-interval", "1s"])
        self.engine.wait_for(lambda: inspect(self.engine, self.name)["State"]["Health"]["Status"] == "healthy", "health")

    def test_containers_resolve_each_other_on_a_network(self):
        self.engine.ok("network", "create", f"net-{self.name}")
        try:
            self.detached("httpd", "-f", "-p", "80", "-h", "/etc", network=f"net-{self.name}")
            assert "root:x:0" in self.output("wget", "-q", "-O", "-", f"http://{self.name}/passwd", network=f"net-{self.name}")
        finally:
            self.engine.remove(self.name)
            self.engine.ok("network", "rm", f"net-{self.name}")

    def test_cp_into_and_out_of_a_container(self, folder):
        self.detached("sleep", "1000")
        (folder / "in").write_text("carried\n")
        self.engine.ok("cp", folder / "in", f"{self.name}:/tmp/in")
        assert self.engine.ok("exec", self.name, "cat", "/tmp/in") == "carried"
        self.engine.ok("cp", f"{self.name}:/tmp/in", folder / "out")
        assert (folder / "out").read_text() == "carried\n"
