# SPDX-License-Identifier: GPL-2.0-or-later
"""create, start, state, kill, delete, run, list, ps, pause, update, events: a container's life as engines drive it."""
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from runtime_bundle import descriptors, eventually, started, stopped

pytestmark = pytest.mark.root


@pytest.mark.core
def test_run_returns_the_programs_own_exit_status(runtime, bundle, unique):
    assert runtime("run", "--bundle", bundle("sh", "-c", "echo said; exit 7"), unique()).returncode == 7


def test_run_returns_128_and_the_signal_that_ended_the_program(runtime, bundle, unique):
    assert runtime("run", "--bundle", bundle("sh", "-c", "kill -KILL $$; sleep 9"), unique()).returncode in (137, 0)
    name = unique()
    process = runtime.popen("run", "--bundle", bundle("sleep", "1000"), name)
    eventually(lambda: runtime("state", name).returncode == 0 and runtime.state(name)["status"] == "running")
    runtime.ok("kill", name, "KILL")
    assert process.wait(20) == 137


@pytest.mark.core
def test_a_container_goes_from_created_to_running_to_stopped(runtime, bundle, unique):
    name, made = unique(), bundle("sleep", "1000")
    runtime.ok("create", "--bundle", made, name, stdout=None, stderr=None)
    state = runtime.state(name)
    assert (state["status"], state["bundle"], state["id"]) == ("created", str(made), name)
    assert state["rootfs"] == str(made.rootfs) and state["pid"] > 0 and state["created"].endswith("Z")
    runtime.ok("start", name)
    assert runtime.state(name)["status"] == "running"
    runtime.ok("kill", name, "SIGKILL")
    stopped(runtime, name)
    assert runtime.state(name)["pid"] == 0
    runtime.ok("delete", name)
    assert "does not exist" in runtime.refuses("state", name)


def test_the_program_is_not_executed_before_start(runtime, bundle, folder, unique):
    name = unique()
    made = bundle("sh", "-c", "echo ran > /ran")
    runtime.ok("create", "--bundle", made, name, stdout=None, stderr=None)
    assert not (made.rootfs / "ran").exists()
    runtime.ok("start", name)
    stopped(runtime, name)
    assert (made.rootfs / "ran").exists()


def test_start_is_refused_without_effect_unless_the_container_is_created(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000"), unique())
    assert "it is running, not created" in runtime.refuses("start", name)
    assert runtime.state(name)["status"] == "running"


def test_a_configuration_without_process_can_be_created_but_not_started(runtime, bundle, unique):
    name = unique()
    made = bundle(edit=lambda b: b.config.pop("process"))
    runtime.ok("create", "--bundle", made, name, stdout=None, stderr=None)
    assert "no process" in runtime.refuses("start", name)
    assert runtime.state(name)["status"] == "created"


def test_edits_of_the_bundle_after_create_have_no_effect(runtime, bundle, unique):
    name, made = unique(), bundle("sh", "-c", "exit 0")
    runtime.ok("create", "--bundle", made, name, stdout=None, stderr=None)
    (made.path / "config.json").write_text("{}")
    runtime.ok("start", name)
    stopped(runtime, name)
    runtime.ok("delete", name)


def test_an_identifier_is_taken_once_and_the_first_container_lives_on(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000"), unique())
    assert "exists" in runtime.refuses("create", "--bundle", bundle(), name)
    assert runtime.state(name)["status"] == "running"


@pytest.mark.parametrize("name", ["../up", "", "a/b", ".dot", "a b"])
def test_identifiers_that_are_no_names_are_refused(runtime, bundle, name):
    assert "invalid container id" in runtime.refuses("create", "--bundle", bundle(), name)


def test_delete_refuses_what_runs_and_with_force_kills_it(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000"), unique())
    assert "not stopped" in runtime.refuses("delete", name)
    runtime.ok("delete", "--force", name)
    assert "does not exist" in runtime.refuses("state", name)
    runtime.ok("delete", "--force", name)


def test_the_error_of_a_program_that_is_missing_comes_from_create(runtime, bundle, unique):
    name = unique()
    said = runtime.refuses("create", "--bundle", bundle("no-such-program"), name)
    assert 'exec: "no-such-program": executable file not found in $PATH' in said
    assert "does not exist" in runtime.refuses("state", name)


def test_the_error_of_a_program_that_cannot_be_executed_comes_from_start(runtime, bundle, unique):
    name = unique()

    def edit(made):
        (made.rootfs / "bin/broken").write_bytes(b"\x7fELF but no more")
        (made.rootfs / "bin/broken").chmod(0o755)
    runtime.ok("create", "--bundle", bundle("/bin/broken", edit=edit), name, stdout=None, stderr=None)
    assert "/bin/broken" in runtime.refuses("start", name)
    stopped(runtime, name)


@pytest.mark.parametrize("program,says", [("/bin", "is a directory"), ("/etc/passwd", "permission denied"),
                                          ("/no/such", "no such file or directory")])
def test_a_program_that_is_none_is_named_with_its_reason(runtime, bundle, unique, program, says):
    said = runtime.refuses("run", "--bundle", bundle(program), unique())
    assert says in said and program in said


def test_signals_to_a_foreground_run_go_on_to_the_program(runtime, bundle, unique):
    made = bundle("sh", "-c", "trap 'exit 33' TERM; echo ready; while :; do sleep 0.1; done")
    process = runtime.popen("run", "--bundle", made, unique(), stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 33


def test_a_kill_succeeds_though_no_control_group_is_known(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000"), unique())
    file = runtime.root / name / "state.json"
    state = json.loads(file.read_text())
    group = state.pop("cgroup")
    file.write_text(json.dumps(state))
    runtime.ok("kill", name, "KILL")
    stopped(runtime, name)
    file.write_text(json.dumps(dict(state, cgroup=group)))


def test_kill_all_reaches_every_process(runtime, bundle, unique):
    name = started(runtime, bundle("sh", "-c", "sleep 1000 & sleep 1000 & wait"), unique())
    eventually(lambda: len(json.loads(runtime.ok("ps", "--format", "json", name))) == 3)
    runtime.ok("kill", "--all", name, "KILL")
    stopped(runtime, name)
    assert "container not running" in runtime.refuses("kill", name, "KILL")


def test_an_unknown_signal_is_refused(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000"), unique())
    assert 'unknown signal "NOPE"' in runtime.refuses("kill", name, "NOPE")


def test_a_paused_container_stands_still_and_can_be_deleted(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000"), unique())
    runtime.ok("pause", name)
    assert runtime.state(name)["status"] == "paused"
    assert "it is paused" in runtime.refuses("pause", name)
    runtime.ok("resume", name)
    assert runtime.state(name)["status"] == "running"
    runtime.ok("pause", name)
    runtime.ok("delete", "--force", name)


def test_list_and_ps_say_what_runs(runtime, bundle, unique):
    first, second = sorted((started(runtime, bundle("sleep", "1000"), unique()), started(runtime, bundle("sleep", "999"), unique())))
    assert [one["id"] for one in runtime.json("list", "--format", "json")] == [first, second]
    assert runtime.ok("list", "--quiet").split() == [first, second]
    assert runtime.ok("list").splitlines()[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    pid = runtime.state(first)["pid"]
    assert runtime.json("ps", "-f", "json", first) == [pid]
    table = runtime.ok("ps", first).splitlines()
    assert len(table) == 2 and str(pid) in table[1]


def test_list_of_an_empty_root_is_empty(runtime):
    assert runtime.json("list", "-f", "json") == []


def test_pid_file_and_annotations(runtime, bundle, folder, unique):
    name = unique()
    made = bundle("sleep", "1000", edit=lambda b: b.config.update(annotations={"org.example": "yes"}))
    runtime.ok("create", "--pid-file", folder / "pid", "--bundle", made, name, stdout=None, stderr=None)
    state = runtime.state(name)
    assert (folder / "pid").read_text() == str(state["pid"])
    assert state["annotations"] == {"org.example": "yes"}


def test_a_process_that_waits_for_its_start_has_nothing_of_the_host_open(runtime, bundle, unique):
    name = unique()
    runtime.ok("create", "--bundle", bundle(), name, stdout=None, stderr=None)
    others = {number: target for number, target in descriptors(runtime.state(name)["pid"]).items() if number > 2}
    assert sorted(os.path.basename(target) for target in others.values()) == ["result", "start"]


def test_the_program_gets_only_the_descriptors_that_it_was_promised(runtime, bundle, unique):
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    made = bundle("sh", "-c", "exec 9</dev/null; cd /proc/self/fd; echo *")
    said = runtime.ok("run", "--bundle", made, unique(), pass_fds=[writing])
    assert set(said.split()) <= {"0", "1", "2", "3", "9", "10"} and str(writing) not in set(said.split()) - {"3", "9", "10"}
    os.close(reading)
    os.close(writing)


def test_preserved_descriptors_reach_the_program(runtime, bundle, unique):
    def in_child():
        os.dup2(writing, 3)
    reading, writing = os.pipe()
    runtime.ok("run", "--preserve-fds", "1", "--bundle", bundle("sh", "-c", "echo through >&3"), unique(),
               close_fds=False, preexec_fn=in_child)
    assert os.read(reading, 100) == b"through\n"
    os.close(reading)
    os.close(writing)
    assert "descriptor" in runtime.refuses("run", "--preserve-fds", "40", "--bundle", bundle(), unique())


# Waits for a process that executes the runtime, opens its program, lets it end, and writes to the program until nobody executes it.
ATTACK = r"""
mkfifo /fifo
echo ready > /ready
while test -z "$caught"; do
    for process in /proc/[0-9]*; do
        case "$(tr '\0' ' ' < $process/cmdline)" in "/proc/self/exe "*) caught=$process; exec 9< $process/exe; break;; esac
    done 2> /dev/null
done
wc -c < /proc/self/fd/9 > /size
cat /fifo > /dev/null
while test -e $caught; do :; done
while said="$( (echo overwritten >> /proc/self/fd/9 && echo written) 2>&1)"; case "$said" in *busy*) true;; *) false;; esac; do :; done
echo "$said" > /new
mv /new /said
"""


def test_the_own_program_cannot_be_overwritten_from_inside(runtime, bundle, unique, folder):
    """CVE-2019-5736: exec executes a script of the container whose interpreter is /proc/self/exe, which is the runtime."""
    own = folder / "copy"
    shutil.copy(runtime.path, own)
    before, runtime.path = own.read_bytes(), str(own)
    made = bundle("sh", "-c", ATTACK)
    trap = made.rootfs / "trap"
    trap.write_text("#!/proc/self/exe --log=/fifo\n")  # which waits for somebody to read
    trap.chmod(0o755)
    name = started(runtime, made, unique())
    eventually((made.rootfs / "ready").exists)
    assert "unknown command" in runtime("exec", name, "/trap").stderr
    eventually((made.rootfs / "said").exists)
    said = (made.rootfs / "said").read_text()
    assert int((made.rootfs / "size").read_text()) == len(before), "it caught another program"
    assert "Read-only file system" in said or "not permitted" in said
    assert own.read_bytes() == before


def test_a_container_whose_creator_was_killed_can_be_deleted(runtime, bundle, unique):
    name, made = unique(), bundle()
    marker = made.path / "in-hook"
    made.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"echo > {marker}; sleep 1000"],
                                               "env": ["PATH=/bin"]}]}
    process = runtime.popen("create", "--bundle", made.write(), name, start_new_session=True)
    eventually(marker.exists)
    assert runtime.state(name)["status"] == "creating"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: runtime.state(name)["status"] == "stopped")
    runtime.ok("delete", "--force", name)
    assert runtime.json("list", "-f", "json") == []


@pytest.mark.parametrize("point", ["folder.made", "config.kept", "cgroup.made", "process.started", "process.ready", "state.written"])
def test_create_killed_at_any_point_leaves_what_delete_removes(runtime, bundle, unique, point):
    name = unique()
    done = runtime("create", "--bundle", bundle("sleep", "1000"), name, env={"ONGGI_TEST_KILL": f"container.{point}"}, stdout=None,
                   stderr=None)
    assert done.returncode == -signal.SIGKILL
    eventually(lambda: runtime.state(name)["status"] == "stopped")
    runtime.ok("delete", name)
    assert "does not exist" in runtime.refuses("state", name)


def test_a_paused_container_can_be_killed(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000"), unique())
    runtime.ok("pause", name)
    runtime.ok("kill", name, "KILL")
    stopped(runtime, name)


def test_sockets_of_systemd_reach_the_program(runtime, bundle, unique):
    def in_child():
        os.dup2(writing, 3)
    reading, writing = os.pipe()
    runtime.ok("run", "--bundle", bundle("sh", "-c", "echo $LISTEN_FDS $LISTEN_PID >&3"), unique(), env={"LISTEN_FDS": "1"},
               close_fds=False, preexec_fn=in_child)
    assert os.read(reading, 100) == b"1 1\n"
    os.close(reading)
    os.close(writing)


def test_update_and_events_show_the_new_limit(runtime, bundle, unique):
    name = started(runtime, bundle("sleep", "1000"), unique())
    runtime.ok("update", "--memory", "32m", "--pids-limit", "17", name)
    data = json.loads(runtime.ok("events", "--stats", name))
    assert data["type"] == "stats" and data["id"] == name
    assert data["data"]["memory"]["usage"]["limit"] == 32 << 20 and data["data"]["pids"]["limit"] == 17
    runtime.ok("update", "-r", "-", name, input='{"pids": {"limit": 18}}')
    assert json.loads(runtime.ok("events", "--stats", name))["data"]["pids"]["limit"] == 18
    assert "--memory takes a size" in runtime.refuses("update", "--memory", "much", name)


def test_run_detached_returns_while_the_container_runs(runtime, bundle, unique):
    name = unique()
    runtime.ok("run", "--detach", "--bundle", bundle("sleep", "1000"), name, stdout=None, stderr=None)
    assert runtime.state(name)["status"] == "running"


def test_run_keep_leaves_a_stopped_container(runtime, bundle, unique):
    name = unique()
    runtime.ok("run", "--keep", "--bundle", bundle(), name)
    assert runtime.state(name)["status"] == "stopped"


def test_hundred_containers_at_once_end_with_nothing_lost(runtime, bundle, unique):
    made = bundle()
    names = [unique() for _ in range(100)]
    for batch in range(0, 100, 20):
        processes = [runtime.popen("run", "--bundle", made, name) for name in names[batch:batch + 20]]
        assert [process.wait(60) for process in processes] == [0] * 20
    assert runtime.json("list", "-f", "json") == []


def test_a_container_that_was_paused_before_its_start_is_not_started_but_resumed(runtime, bundle, unique):
    name = unique()
    runtime.ok("create", "--bundle", bundle("sleep", "1000"), name, stdout=None, stderr=None)
    runtime.ok("pause", name)
    assert runtime.state(name)["status"] == "paused"
    assert "it is paused, not created" in runtime.refuses("start", name)
    runtime.ok("resume", name)
    assert runtime.state(name)["status"] == "created"
    runtime.ok("start", name)
