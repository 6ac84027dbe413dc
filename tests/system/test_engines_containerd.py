# SPDX-License-Identifier: GPL-2.0-or-later
"""containerd's runc shim with our runtime: `ctr run --runc-binary onggi-runtime`."""
import json
import re
import subprocess

import pytest

from support import bundle as bundles
from support.engines import IMAGE, Containerd

pytestmark = pytest.mark.xdist_group("containerd")  # one engine for all its tests


@pytest.fixture(scope="module")
def engine(root_only, worker_folder, docker_archive):
    with Containerd(worker_folder / "containerd", docker_archive) as started:
        yield started


@pytest.fixture
def name(engine, unique):
    identity = unique()
    yield identity
    engine("tasks", "kill", "--signal", "KILL", identity)
    engine("tasks", "rm", "--force", identity)
    engine("containers", "rm", identity)
    engine.wait_for(lambda: not engine.left_of(identity), "removal of all that the container had")


@pytest.fixture
def running(engine, name):
    done = engine.run_container(name, "sleep", "1000", options=["--detach"])
    assert done.returncode == 0, done.stderr
    return name


def test_run_returns_the_programs_own_exit_status(engine, name):
    done = engine.run_container(name, "sh", "-c", "echo out; exit 6", options=["--rm"])
    assert (done.returncode, done.stdout) == (6, "out\n"), done.stderr


def test_a_missing_program_is_named_to_the_user(engine, name):
    done = engine.run_container(name, "/no/such", options=["--rm"])
    assert done.returncode and "/no/such" in done.stderr and "no such file" in done.stderr.lower()


def test_task_goes_from_running_to_stopped_to_gone(engine, running):
    assert engine.task(running) == "RUNNING"
    engine.ok("tasks", "kill", "--signal", "KILL", running)
    engine.wait_for(lambda: engine.task(running) == "STOPPED", "the end of the task")
    engine.ok("tasks", "rm", running)
    assert engine.task(running) is None


def test_exec_returns_the_programs_own_exit_status(engine, running):
    done = engine("tasks", "exec", "--exec-id", "first", running, "sh", "-c", "echo inside; exit 4")
    assert (done.returncode, done.stdout) == (4, "inside\n"), done.stderr


def test_exec_with_user_and_folder(engine, running):
    text = engine.ok("tasks", "exec", "--exec-id", "second", "--user", "1000", "--cwd", "/tmp", running, "sh", "-c", "id -u; pwd")
    assert text.split() == ["1000", "/tmp"]


def test_exec_with_a_terminal(engine, running):
    # ctr wants a terminal of its own for --tty; script(1) gives it one.
    command = " ".join(engine.vault.command("ctr", "--address", "/run/containerd.sock", "tasks", "exec", "--exec-id", "third", "--tty",
                                            running, "tty"))
    done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, timeout=60, check=False)
    assert "/dev/pts/" in done.stdout, done.stdout + done.stderr


def test_pause_and_resume(engine, running):
    engine.ok("tasks", "pause", running)
    assert engine.task(running) == "PAUSED"
    engine.ok("tasks", "resume", running)
    assert engine.task(running) == "RUNNING"


def test_processes_are_listed(engine, running):
    lines = engine.ok("tasks", "ps", running).splitlines()
    assert len(lines) == 2 and re.match(r"\d+", lines[1])


def test_metrics_are_told(engine, running):
    assert "memory" in engine.ok("tasks", "metrics", running)


def test_more_memory_than_the_limit_is_killed(engine, name):
    done = engine.run_container(name, "sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1",
                                options=["--rm", "--memory-limit", str(24 << 20)])
    assert done.returncode == 137


def test_read_only_root(engine, name):
    done = engine.run_container(name, "touch", "/x", options=["--rm", "--read-only"])
    assert done.returncode == 1 and "Read-only file system" in done.stderr


def test_seccomp_default_profile(engine, name):
    done = engine.run_container(name, "grep", "Seccomp:", "/proc/self/status", options=["--rm", "--seccomp"])
    assert done.stdout.split() == ["Seccomp:", "2"], done.stderr


def test_privileged(engine, name):
    done = engine.run_container(name, "sh", "-c", "mount -t tmpfs x /tmp && echo mounted", options=["--rm", "--privileged"])
    assert done.stdout == "mounted\n", done.stderr


def test_a_mount_of_the_hosts(engine, name, folder):
    (folder / "file").write_text("shared\n")
    done = engine.run_container(name, "cat", "/data/file",
                                options=["--rm", "--mount", f"type=bind,src={folder},dst=/data,options=rbind:ro"])
    assert done.stdout == "shared\n", done.stderr


@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
def test_hook_of_the_configuration_runs(engine, name, folder, busybox_root, stage):
    config = bundles.base_config(["sleep", "1000"])
    config["root"]["path"] = str(busybox_root)
    config["linux"]["cgroupsPath"] = f"/default/{name}"
    mark = "/dev/shm/mark" if stage == "startContainer" else str(folder / "mark")
    config["hooks"] = {stage: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {mark}"], "env": ["PATH=/bin"]}]}
    (folder / "config.json").write_text(json.dumps(config))
    engine.ok("run", "--detach", "--runtime", "io.containerd.runc.v2", "--runc-binary", engine.runtime,
              "--config", folder / "config.json", name)
    if stage == "startContainer":
        state = json.loads(engine.ok("tasks", "exec", "--exec-id", "look", name, "cat", mark))
    else:
        if stage == "poststop":
            engine.ok("tasks", "kill", "--signal", "KILL", name)
            engine.wait_for(lambda: engine.task(name) == "STOPPED", "the end of the task")
            engine.ok("tasks", "rm", name)
        engine.wait_for(lambda: (folder / "mark").exists() and (folder / "mark").read_text(), "the hook")
        state = json.loads((folder / "mark").read_text())
    assert state["id"] == name


def test_kill_all_reaches_processes_of_a_shared_pid_namespace(engine, name):
    engine.run_container(name, "sh", "-c", "sleep 1000 & sleep 1000 & wait", options=["--detach", "--with-ns", "pid:/proc/1/ns/pid"])
    engine.ok("tasks", "kill", "--all", "--signal", "KILL", name)
    engine.wait_for(lambda: engine.task(name) == "STOPPED", "the end of the task")
    engine.ok("tasks", "rm", name)
