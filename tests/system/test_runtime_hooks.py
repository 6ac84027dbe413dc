# SPDX-License-Identifier: GPL-2.0-or-later
"""Hooks: their order and places, what they are told, and what their failure undoes."""
import json
import os
from pathlib import Path

import pytest

from runtime_bundle import end_orphan, hook, started, stopped

pytestmark = pytest.mark.root

POINTS = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")


def log_of(made):
    return made.path / "log"


@pytest.fixture
def recording(bundle):
    """A bundle whose hooks of the host write their name and what they read."""
    def edit(made):
        for point in POINTS:
            hook(made, point, f"read -r state; echo {point} $state >> {log_of(made)}")
    return lambda *args: bundle(*args, edit=edit)


def entries(made):
    return [line.split(" ", 1) for line in log_of(made).read_text().splitlines()]


@pytest.mark.core
def test_hooks_run_at_their_points_in_order(runtime, recording, unique):
    name, made = unique(), recording("sleep", "1000")
    runtime.ok("create", "--bundle", made, name, stdout=None, stderr=None)
    assert [point for point, _ in entries(made)] == ["prestart", "createRuntime", "createContainer"]
    runtime.ok("start", name)
    assert [point for point, _ in entries(made)][3:] == ["poststart"]
    runtime.ok("delete", "--force", name)
    assert [point for point, _ in entries(made)] == list(POINTS)


def test_hooks_are_told_the_state(runtime, recording, unique):
    name, made = unique(), recording("sleep", "1000")
    made.config["annotations"] = {"a": "b"}
    started(runtime, made.write(), name)
    pid = runtime.state(name)["pid"]
    runtime.ok("delete", "--force", name)
    states = {point: json.loads(text) for point, text in entries(made)}
    assert {state["id"] for state in states.values()} == {name}
    assert {state["bundle"] for state in states.values()} == {str(made)}
    assert states["prestart"]["annotations"] == {"a": "b"}
    assert [states[point]["status"] for point in POINTS] == ["creating", "creating", "creating", "running", "stopped"]
    assert [states[point]["pid"] for point in ("prestart", "createRuntime", "createContainer", "poststart")] == [pid, pid, 1, pid]


def test_hooks_run_in_the_namespaces_that_the_specification_says(runtime, bundle, unique):
    def edit(made):
        for point in ("createRuntime", "createContainer", "poststop"):
            hook(made, point, f"echo {point} $(readlink /proc/self/ns/mnt) >> {log_of(made)}")
    name = unique()
    made = bundle("sleep", "1000", edit=edit)
    started(runtime, made, name)
    inside = os.readlink(f"/proc/{runtime.state(name)['pid']}/ns/mnt")
    runtime.ok("delete", "--force", name)
    ours = os.readlink("/proc/self/ns/mnt")
    assert entries(made) == [["createRuntime", ours], ["createContainer", inside], ["poststop", ours]]


def test_what_a_hook_leaves_behind_may_write_for_ever(runtime, bundle, unique, folder):
    made = bundle(edit=lambda b: hook(b, "createRuntime", f"for i in 1 2 3 4 5 6; do /usr/bin/yes & echo $! >>{folder}/numbers; done"))
    try:
        runtime.ok("run", "--bundle", made, unique(), timeout=20)
    finally:
        for number in (folder / "numbers").read_text().split():
            end_orphan(int(number))


def test_start_container_hooks_come_from_the_image(runtime, bundle, unique):
    def edit(made):
        made.config["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "cat > /state"], "env": ["PATH=/bin"]}]}
    name = unique()
    made = bundle("sleep", "1000", edit=edit)
    runtime.ok("create", "--bundle", made, name, stdout=None, stderr=None)
    assert not (made.rootfs / "state").exists()
    runtime.ok("start", name)
    state = json.loads((made.rootfs / "state").read_text())
    assert (state["id"], state["status"], state["pid"]) == (name, "created", 1)


def test_a_hook_finds_the_process_in_its_control_group(runtime, bundle, unique):
    name = unique()
    made = bundle(edit=lambda b: hook(b, "createRuntime", f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); cat /proc/$pid/cgroup > {log_of(b)}"))
    runtime.ok("run", "--bundle", made, name)
    groups = [line.split(":")[2] for line in log_of(made).read_text().splitlines()]
    assert groups and all(group.endswith(f"/{name}") for group in groups)


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_that_fails_undoes_create_and_poststop_still_runs(runtime, bundle, unique, point):
    def edit(made):
        hook(made, point, "echo it is broken >&2; exit 3")
        hook(made, "poststop", f"echo poststop >> {log_of(made)}")
    name = unique()
    made = bundle(edit=edit)
    said = runtime.refuses("create", "--bundle", made, name)
    assert f"{point} hook 0" in said and "status 3" in said and "it is broken" in said
    assert "does not exist" in runtime.refuses("state", name)
    assert log_of(made).read_text() == "poststop\n"


def test_a_poststart_hook_that_fails_ends_the_container(runtime, bundle, unique):
    def edit(made):
        hook(made, "poststart", "exit 1")
        hook(made, "poststop", f"echo poststop >> {log_of(made)}")
    name = unique()
    made = bundle("sleep", "1000", edit=edit)
    runtime.ok("create", "--bundle", made, name, stdout=None, stderr=None)
    assert "poststart hook 0" in runtime.refuses("start", name)
    assert "does not exist" in runtime.refuses("state", name)
    assert log_of(made).read_text() == "poststop\n"


def test_a_start_container_hook_that_fails_is_the_error_of_start(runtime, bundle, unique):
    name = unique()
    made = bundle("sleep", "1000", edit=lambda b: b.config.update(hooks={"startContainer": [{"path": "/bin/false"}]}))
    runtime.ok("create", "--bundle", made, name, stdout=None, stderr=None)
    assert "startContainer hook 0" in runtime.refuses("start", name)
    stopped(runtime, name)


def test_a_poststop_hook_that_fails_is_a_warning_and_the_rest_run(runtime, bundle, folder, unique):
    def edit(made):
        hook(made, "poststop", "exit 1")
        hook(made, "poststop", f"echo second > {log_of(made)}")
    made = bundle(edit=edit)
    runtime.ok("--log", folder / "log", "--log-format", "json", "run", "--bundle", made, unique())
    assert log_of(made).read_text() == "second\n"
    warning = json.loads((folder / "log").read_text().splitlines()[0])
    assert warning["level"] == "warning" and "poststop hook 0" in warning["msg"]


def test_a_hook_past_its_timeout_is_killed_and_fails(runtime, bundle, unique):
    made = bundle(edit=lambda b: hook(b, "prestart", "exec sleep 1000", timeout=1))
    assert "did not end within its 1 seconds" in runtime.refuses("run", "--bundle", made, unique())


def test_a_hook_has_its_own_environment_only(runtime, bundle, unique):
    made = bundle(edit=lambda b: hook(b, "prestart", f"/usr/bin/env > {log_of(b)}", env=["ONE=1"]))
    runtime.ok("run", "--bundle", made, unique())
    assert set(log_of(made).read_text().split()) - {"PWD=/", "SHLVL=0", "_=/usr/bin/env"} <= {"ONE=1", f"PWD={Path.cwd()}"}


def test_a_hook_that_is_missing_is_named(runtime, bundle, unique):
    made = bundle(edit=lambda b: b.config.update(hooks={"prestart": [{"path": "/no/such/hook"}]}))
    assert "/no/such/hook" in runtime.refuses("run", "--bundle", made, unique())
