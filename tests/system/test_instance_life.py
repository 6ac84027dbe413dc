# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to an instance: restarts, health, limits, its log, its volumes, and what is left when something of ours is killed."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"

# Where `run --rm` can be killed: by the process that reaches the point.
COMMAND_POINTS = ["instance.create.locked", "instance.create.configured", "instance.create.pinned", "instance.create.done",
                  "instance.start.folder.made", "instance.start.root.mounted", "instance.start.monitor.spawned",
                  "instance.end.announced", "instance.end.erased", "instance.erase.renamed", "instance.erase.unpinned"]
MONITOR_POINTS = ["monitor.mounted", "monitor.runtime.spawned", "monitor.started"]
LATE_MONITOR_POINTS = ["monitor.exited", "monitor.deleted"]


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


def start(host, name, *words):
    host.ok("run", "-d", "--network", "none", "--name", name, *words)


def state_of(host, name):
    return json.loads(host.ok("inspect", name))[0]["State"]


def until(condition, seconds=20):
    """Waits for something that no event tells of."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def is_running(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def all_instances(host):
    return host.ok("ps", "--all", "--quiet").split()


def monitor_of(host, name):
    ident = host.ok("inspect", "--format", "{{.Id}}", name)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = open(f"/proc/{entry}/cmdline", "rb").read().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"onggi-monitor") and ident.encode() in words[1]:
                return int(entry)
    raise AssertionError(f"{name} has no monitor")


# ---- Killed at any point, the next command puts it right ----

@pytest.mark.parametrize("point", COMMAND_POINTS)
def test_a_run_killed_in_the_command_leaves_nothing_to_the_next(host, point):
    done = host("run", "--rm", "--network", "none", IMAGE, "true", env={"ONGGI_TEST_KILL": point})
    assert done.returncode == -signal.SIGKILL
    until(lambda: not all_instances(host))


@pytest.mark.parametrize("point", MONITOR_POINTS)
def test_a_run_killed_in_the_monitor_fails_and_leaves_nothing(host, point):
    done = host("run", "--rm", "--network", "none", IMAGE, "true", env={"ONGGI_TEST_KILL": point})
    assert done.returncode == 125
    assert "monitor was killed" in done.stderr
    assert not all_instances(host)


@pytest.mark.parametrize("point", LATE_MONITOR_POINTS)
def test_a_monitor_killed_after_the_end_changes_nothing(host, point):
    assert host("run", "--rm", "--network", "none", IMAGE, "sh", "-c", "exit 3", env={"ONGGI_TEST_KILL": point}).returncode == 3
    assert not all_instances(host)


@pytest.mark.core
def test_a_killed_monitor_is_noticed_and_its_container_stopped(host):
    start(host, "one", IMAGE, "sleep", "1000")
    first = state_of(host, "one")["Pid"]
    os.kill(monitor_of(host, "one"), signal.SIGKILL)
    until(lambda: state_of(host, "one")["Status"] == "exited")
    state = state_of(host, "one")
    assert state["ExitCode"] == 137
    assert "monitor was killed" in state["Error"]
    assert not is_running(first)
    host.ok("start", "one")
    assert state_of(host, "one")["Running"]


def test_an_attached_command_says_that_the_monitor_was_killed(host):
    process = host.popen("run", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "echo ready; exec sleep 1000",
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    os.kill(monitor_of(host, "one"), signal.SIGKILL)
    assert process.wait(30) == 137
    assert "monitor was killed" in process.stderr.read()


def test_an_instance_survives_the_command_that_started_it(host):
    process = host.popen("run", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "echo ready; exec sleep 1000",
                         stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    assert state_of(host, "one")["Running"]


@pytest.mark.slow
def test_two_hundred_commands_at_once_lose_nothing(host):
    failures = []

    def life(name):
        for words in (("create", "--network", "none", "--name", name, IMAGE, "sleep", "1000"), ("start", name), ("rm", "-f", name)):
            done = host(*words, timeout=300)
            if done.returncode:
                failures.append(f"{words}: {done.stderr}")

    threads = [threading.Thread(target=life, args=(f"many{i}",)) for i in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not all_instances(host)


# ---- Restart and health ----

@pytest.mark.core
def test_on_failure_restarts_as_often_as_it_says(host):
    start(host, "one", "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo try; exit 4")
    until(lambda: state_of(host, "one")["Status"] == "exited")
    assert host.ok("logs", "one") == "try\n" * 2 + "try"
    assert host.ok("inspect", "--format", "{{.RestartCount}} {{.State.ExitCode}}", "one") == "2 4"


def test_a_stopped_instance_is_not_restarted(host):
    start(host, "one", "--restart", "always", IMAGE, "sleep", "1000")
    host.ok("stop", "-t", "0", "one")
    assert state_of(host, "one")["Status"] == "exited"


def test_an_instance_that_waits_for_its_next_try_can_be_stopped(host):
    start(host, "one", "--restart", "always", IMAGE, "false")
    until(lambda: state_of(host, "one")["Status"] == "restarting")
    host.ok("stop", "one")
    assert state_of(host, "one")["Status"] == "exited"


@pytest.mark.core
def test_health_follows_the_check(host):
    start(host, "one", "--health-cmd", "test -e /ok", "--health-interval", "50ms", "--health-retries", "2", IMAGE, "sleep", "1000")
    assert state_of(host, "one")["Health"]["Status"] == "starting"
    until(lambda: state_of(host, "one")["Health"]["Status"] == "unhealthy")
    host.ok("exec", "one", "touch", "/ok")
    until(lambda: state_of(host, "one")["Health"]["Status"] == "healthy")
    assert state_of(host, "one")["Health"]["Log"][-1]["ExitCode"] == 0


def test_a_check_that_takes_too_long_is_a_failure(host):
    start(host, "one", "--health-cmd", "sleep 100", "--health-interval", "50ms", "--health-timeout", "100ms", "--health-retries", "1",
          IMAGE, "sleep", "1000")
    until(lambda: state_of(host, "one")["Health"]["Status"] == "unhealthy")
    assert "timeout" in state_of(host, "one")["Health"]["Log"][-1]["Output"]


def test_a_check_that_takes_too_long_is_ended_with_its_programs(host):
    start(host, "one", "--health-cmd", "sleep 77; true", "--health-interval", "50ms", "--health-timeout", "500ms", "--health-retries",
          "3", IMAGE, "sleep", "1000")
    until(lambda: state_of(host, "one")["Health"]["Status"] == "unhealthy")
    # The fourth may run by now.
    assert len([line for line in host.ok("exec", "one", "ps").splitlines() if line.endswith(" sleep 77")]) <= 1


# ---- Output ----

def test_a_program_of_the_hosts_that_goes_on_writing_does_not_keep_the_instance_up(host):
    start(host, "one", "--pid", "host", IMAGE, "sh", "-c", "echo first; yes & sleep 0.2; exit 0")
    until(lambda: state_of(host, "one")["Status"] == "exited")
    assert host.ok("logs", "one").startswith("first")


# ---- Limits, signals ----

def test_too_little_memory_is_reported_as_such(host):
    host("run", "--network", "none", "--name", "one", "--memory", "16m", IMAGE, "sh", "-c",
         "x=$(head -c 60000000 /dev/zero | tr '\\0' a); echo ${#x}")
    state = state_of(host, "one")
    assert state["ExitCode"] == 137
    assert state["OOMKilled"]


@pytest.mark.parametrize("file", ["hosts", "hostname", "resolv.conf"])
def test_what_is_written_to_a_file_in_the_state_folder_counts_as_the_instances_memory(host, file):
    done = host("run", "--rm", "--network", "none", "--memory", "16m", IMAGE, "dd", "if=/dev/zero", f"of=/etc/{file}", "bs=1M", "count=48")
    assert done.returncode == 137 and "memory limit" in done.stderr


@pytest.mark.parametrize("words", [("--rm",), ("--name", "one")])
def test_who_runs_a_program_that_takes_too_much_memory_is_told_the_limit(host, words):
    done = host("run", "--network", "none", "--memory", "8m", *words, IMAGE, "tail", "/dev/zero")
    assert done.returncode == 137
    assert re.fullmatch("onggi: the program was killed because its memory limit of 8 MiB was reached; .*--memory.*\n", done.stderr)
    if "one" in words:
        assert done.stderr == f"onggi: {state_of(host, 'one')['Error']}\n"
        assert host("start", "--attach", "one").stderr == done.stderr
        assert host("logs", "one").stderr == ""


def test_a_program_that_the_user_kills_was_not_short_of_memory(host):
    start(host, "one", "--memory", "8m", IMAGE, "sh", "-c", "tail /dev/zero; echo short; exec sleep 1000")
    until(lambda: host("logs", "one").stdout.endswith("short\n"))
    host.ok("kill", "one")
    host.ok("wait", "one")
    assert state_of(host, "one")["Error"] == ""


def test_stop_sends_the_stop_signal_and_then_kills(host):
    start(host, "polite", "--stop-signal", "USR1", IMAGE, "sh", "-c", "trap 'exit 9' USR1; sleep 1000 & wait")
    start(host, "deaf", IMAGE, "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    host.ok("exec", "polite", "true")
    host.ok("stop", "-t", "20", "polite")
    assert state_of(host, "polite")["ExitCode"] == 9
    host.ok("stop", "-t", "1", "deaf")
    assert state_of(host, "deaf")["ExitCode"] == 137


def test_a_paused_instance_can_be_stopped(host):
    start(host, "one", IMAGE, "sleep", "1000")
    host.ok("pause", "one")
    assert state_of(host, "one")["Paused"]
    host.ok("stop", "-t", "0", "one")
    assert state_of(host, "one")["Status"] == "exited"


# ---- The log ----

@pytest.mark.core
def test_the_log_is_rotated_and_keeps_its_tail(host):
    host.ok("run", "--network", "none", "--name", "one", "--log-opt", "max-size=8k", "--log-opt", "max-file=2", IMAGE, "sh", "-c",
            "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
    lines = host.ok("logs", "one").split("\n")
    assert lines[-1] == "line 1999"
    assert 100 < len(lines) < 1000
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == list(range(numbers[0], 2000))


def test_logs_follow_over_a_rotation_to_the_end(host):
    host.ok("create", "--network", "none", "--name", "one", "--log-opt", "max-size=8k", "--log-opt", "max-file=5", IMAGE, "sh", "-c",
            "i=0; while [ $i -lt 300 ]; do echo line $i; usleep 1000; i=$((i+1)); done")
    host.ok("start", "one")
    assert host.ok("logs", "-f", "one").split("\n")[-1] == "line 299"


# ---- Files ----

def test_a_new_volume_starts_with_what_the_image_has(host):
    host.ok("run", "--rm", "--network", "none", "-v", "data:/bin", IMAGE, "touch", "/bin/mine")
    listed = host.ok("run", "--rm", "--network", "none", "-v", "data:/mnt:ro", IMAGE, "ls", "/mnt").split("\n")
    assert {"busybox", "mine"} <= set(listed)
    host.ok("volume", "rm", "data")


def test_a_volume_whose_filling_was_cut_off_is_filled_anew(host):
    killed = host("run", "--rm", "--network", "none", "-v", "data:/etc", IMAGE, "true", env={"ONGGI_TEST_KILL": "volume.fill.copied"})
    assert killed.returncode == -signal.SIGKILL
    assert not all_instances(host)
    (host.root / "volumes/data/_data/passwd").unlink()
    assert "root" in host.ok("run", "--rm", "--network", "none", "-v", "data:/etc", IMAGE, "cat", "/etc/passwd")
    host.ok("run", "--rm", "--network", "none", "-v", "data:/etc", IMAGE, "rm", "/etc/passwd")
    host.ok("run", "--rm", "--network", "none", "-v", "data:/etc", IMAGE, "test", "!", "-e", "/etc/passwd")
    host.ok("volume", "rm", "data")


def test_a_volume_that_another_fills_is_waited_for(host):
    words = ("run", "--rm", "--network", "none", "-v", "data:/etc", IMAGE, "cat", "/etc/passwd")
    first = host.popen(*words, env={"ONGGI_TEST_STOP": "volume.fill.copied"}, stdout=subprocess.PIPE)
    os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT)
    second = host.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "waiting" in second.stderr.readline()
    first.send_signal(signal.SIGCONT)
    assert "root" in first.communicate(timeout=30)[0] and "root" in second.communicate(timeout=30)[0]
    host.ok("volume", "rm", "data")


def test_what_is_in_a_volume_is_closed_to_other_users_of_the_host(host, tmp_path):
    """CVE-2021-41091: a set-user-ID program of a container's root must not be within their reach, whatever was made first."""
    root = tmp_path / "new"
    host.ok("--root", root, "volume", "create", "data")
    assert (root / "volumes").stat().st_mode & 0o077 == 0


def test_an_anonymous_volume_goes_with_its_instance(host):
    host.ok("run", "--rm", "--network", "none", "-v", "/scratch", IMAGE, "touch", "/scratch/x")
    assert not host.ok("volume", "ls", "-q")


@pytest.mark.core
def test_a_volume_in_use_stays(host):
    start(host, "one", "-v", "data:/data", IMAGE, "sleep", "1000")
    done = host("volume", "rm", "data")
    assert done.returncode and "one" in done.stderr
    host.ok("rm", "-f", "one")
    host.ok("volume", "rm", "data")


def test_what_an_instance_wrote_is_there_after_a_restart(host):
    host.ok("run", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "cat /kept 2>/dev/null; echo kept > /kept")
    host.ok("start", "one")
    host.ok("wait", "one")
    assert host.ok("logs", "one") == "kept"


# ---- User namespaces ----

def test_userns_auto_maps_root_to_ids_of_its_own(host):
    maps = [host.ok("run", "--rm", "--network", "none", "--userns", "auto", IMAGE, "cat", "/proc/self/uid_map").split() for _ in "ab"]
    assert maps[0][0] == "0" and maps[0][1] != "0" and maps[0][2] == "65536"


def test_files_of_the_image_belong_to_root_in_a_user_namespace(host):
    assert host.ok("run", "--rm", "--network", "none", "--userns", "0:200000:1000", IMAGE, "sh", "-c",
                   "touch /new; stat -c %u /new /bin/busybox") == "0\n0"


def test_a_volume_of_a_mapped_instance_has_the_images_ids(host):
    host.ok("run", "--rm", "--network", "none", "--userns", "0:200000:1000", "-v", "data:/bin", IMAGE, "touch", "/bin/mine")
    assert host.ok("run", "--rm", "--network", "none", "-v", "data:/mnt", IMAGE, "stat", "-c", "%u", "/mnt/mine", "/mnt/busybox") == "0\n0"
    host.ok("volume", "rm", "data")


# ---- Shared namespaces ----

@pytest.mark.core
def test_namespaces_of_another_instance_are_shared(host):
    start(host, "one", "--ipc", "shareable", IMAGE, "sh", "-c", "touch /dev/shm/there; exec sleep 1000")
    host.ok("exec", "one", "test", "-e", "/dev/shm/there")
    seen = host.ok("run", "--rm", "--network", "container:one", "--pid", "container:one", "--ipc", "container:one", IMAGE,
                   "sh", "-c", "ls /dev/shm; ps -o args | grep -c '[s]leep 1000'")
    assert seen == "there\n1"


def test_what_was_not_made_to_be_shared_is_refused(host):
    start(host, "one", IMAGE, "sleep", "1000")
    assert "shareable" in host.refuses("run", "--rm", "--network", "none", "--ipc", "container:one", IMAGE, "true", status=125)
    assert "two" in host.refuses("run", "--rm", "--network", "none", "--pid", "container:two", IMAGE, "true", status=125)


# ---- Exec ----

def test_exec_returns_the_programs_own_exit_status(host):
    start(host, "one", IMAGE, "sleep", "1000")
    assert host("exec", "one", "sh", "-c", "exit 42").returncode == 42


@pytest.mark.core
def test_exec_passes_streams_environment_and_folder(host):
    start(host, "one", "-e", "A=1", IMAGE, "sleep", "1000")
    done = host("exec", "-i", "-e", "B=2", "-w", "/bin", "one", "sh", "-c", "cat; echo $A$B; pwd; echo e >&2", input="in\n")
    assert (done.stdout, done.stderr) == ("in\n12\n/bin\n", "e\n")


def test_exec_tells_a_missing_program_in_one_line(host):
    start(host, "one", IMAGE, "sleep", "1000")
    done = host("exec", "one", "nosuch")
    assert done.returncode == 127
    assert done.stderr.count("\n") == 1
