# SPDX-License-Identifier: GPL-2.0-or-later
"""What surrounds a program: user, environment, limits, priorities, keyring, terminal; in the first process and in exec."""
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from runtime_bundle import ConsoleSocket, end_orphan, read_terminal, started

pytestmark = pytest.mark.root


@pytest.fixture
def run(runtime, bundle, unique):
    def call(*args, edit=None, **settings):
        return runtime.ok("run", "--bundle", bundle(*args, edit=edit), unique(), **settings)
    return call


@pytest.fixture
def sleeper(runtime, bundle, unique):
    """The name of a container that runs."""
    def call(edit=None):
        return started(runtime, bundle("sleep", "1000", edit=edit), unique())
    return call


@pytest.mark.core
def test_the_program_is_the_user_that_the_configuration_names(run):
    user = {"uid": 1000, "gid": 1000, "additionalGids": [2000], "umask": 0o27}
    said = run("sh", "-c", "id; umask", edit=lambda b: b.process.update(user=user))
    assert "uid=1000(user) gid=1000(user)" in said and "2000(extra)" in said and said.endswith("0027")


def test_the_environment_is_the_configurations_and_home_comes_from_passwd(run):
    said = run("env", edit=lambda b: b.process.update(env=["PATH=/bin", "A=1"], user={"uid": 1000, "gid": 1000}))
    assert sorted(said.splitlines()) == ["A=1", "HOME=/tmp", "PATH=/bin"]


def test_the_program_starts_in_its_folder(run):
    assert run("pwd", edit=lambda b: b.process.update(cwd="/tmp")) == "/tmp"


def test_a_folder_that_is_missing_is_refused(runtime, bundle, unique):
    assert "process.cwd /none" in runtime.refuses("run", "--bundle", bundle(edit=lambda b: b.process.update(cwd="/none")), unique())


@pytest.mark.parametrize("number", range(3, 12))
def test_a_folder_behind_a_descriptor_of_the_runtime_is_no_way_out(runtime, bundle, unique, number):
    """CVE-2024-21626."""
    made = bundle("ls", "/", edit=lambda b: b.process.update(cwd=f"/proc/self/fd/{number}"))
    assert "process.cwd" in runtime.refuses("run", "--bundle", made, unique())


def test_a_program_behind_a_descriptor_of_the_runtime_is_no_way_out(runtime, sleeper):
    """CVE-2024-21626: the program's path is followed before close-on-exec closes anything, and a link of the image may be the path."""
    name, program = sleeper(), Path("/bin/busybox").resolve()
    for number in range(3, 16):
        for depth in range(1, 8):
            path = f"/proc/self/fd/{number}/{'../' * depth}{str(program)[1:]}"
            said = runtime("exec", name, path, "echo", "out")
            assert said.returncode and "out" not in said.stdout.split(), path


def test_the_largest_number_is_no_limit(run):
    limit = [{"type": "RLIMIT_CORE", "hard": 2**64 - 1, "soft": 2**64 - 1}]
    assert run("sh", "-c", "ulimit -c", edit=lambda made: made.process.update(rlimits=limit)).strip() == "unlimited"


def test_without_capabilities_in_the_configuration_there_are_none(run):
    said = run("grep", "Cap", "/proc/self/status", edit=lambda made: made.process.pop("capabilities"))
    assert {line.split()[1] for line in said.splitlines()} == {"0" * 16}


def test_a_process_that_joins_is_never_seen_among_the_hosts_files(runtime, bundle, unique, folder):
    """Whoever may trace could walk out by /proc/PID/root of an exec that has entered the pid namespace before the mount namespace."""
    secret = folder / "secret"
    secret.write_text("the host's\n")

    def edit(made):
        for kind in ("bounding", "effective", "permitted"):
            made.process["capabilities"][kind] = made.process["capabilities"][kind] + ["CAP_SYS_PTRACE"]
    look = f"while :; do cat /proc/[0-9]*/root{secret} 2>/dev/null >>/tmp/found; done"
    made = bundle("sh", "-c", look, edit=edit)
    name = started(runtime, made, unique())
    for _ in range(100):
        runtime.ok("exec", name, "true")
    assert not runtime.ok("exec", name, "cat", "/tmp/found")


def test_a_fifo_in_the_place_of_passwd_holds_nobody_up(run):
    def edit(made):
        passwd = made.rootfs / "etc/passwd"
        passwd.unlink()
        os.mkfifo(passwd)
    assert run("env", edit=edit)


def test_limits_of_the_program(run):
    limits = [{"type": "RLIMIT_NOFILE", "hard": 77, "soft": 66}, {"type": "RLIMIT_CORE", "hard": 0, "soft": 0}]
    said = run("sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c", edit=lambda b: b.process.update(rlimits=limits))
    assert said.split() == ["66", "77", "0"]


def test_scheduler_priority_and_oom_score(run):
    more = {"scheduler": {"policy": "SCHED_BATCH", "nice": 5}, "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
            "oomScoreAdj": 321}
    said = run("sh", "-c", "cat /proc/self/oom_score_adj; cut -d' ' -f19,41 /proc/self/stat; ionice -p $$",
               edit=lambda b: b.process.update(**more))
    lines = said.splitlines()
    assert lines[0] == "321" and lines[1] == "5 3" and "idle" in lines[2]


def test_no_new_privileges_is_what_the_configuration_says(run):
    for wanted in (True, False):
        said = run("grep", "NoNewPrivs", "/proc/self/status", edit=lambda b: b.process.update(noNewPrivileges=wanted))
        assert said.split() == ["NoNewPrivs:", str(int(wanted))]


def test_personality_makes_a_32_bit_machine(run):
    said = run("uname", "-m", edit=lambda b: b.linux.update(personality={"domain": "LINUX32"}))
    assert said in ("i686", "armv8l")


def test_ignored_and_blocked_signals_of_the_caller_are_not_inherited(run):
    def ignore():
        for number in (signal.SIGPIPE, signal.SIGRTMIN, signal.SIGRTMAX):
            signal.signal(number, signal.SIG_IGN)
    said = run("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status", preexec_fn=ignore)
    assert [line.split()[1] for line in said.splitlines()] == ["0" * 16, "0" * 16]


def test_each_container_has_a_session_keyring_of_its_own(run, unique):
    assert "_ses." in run("cat", "/proc/keys", edit=lambda b: b.linux.update(maskedPaths=[]))


# ---- exec ----

@pytest.mark.core
def test_exec_returns_the_programs_own_exit_status(runtime, sleeper):
    assert runtime("exec", sleeper(), "sh", "-c", "exit 9").returncode == 9


@pytest.mark.core
def test_exec_is_in_all_namespaces_and_groups_of_the_container(runtime, sleeper):
    name = sleeper()
    ours = runtime.ok("exec", name, "sh", "-c", "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done")
    pid = runtime.state(name)["pid"]
    assert ours.split() == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts")]
    assert runtime.ok("exec", name, "cat", "/proc/self/cgroup") == runtime.ok("exec", name, "cat", "/proc/1/cgroup")


def test_exec_changes_what_its_options_say(runtime, sleeper):
    said = runtime.ok("exec", "--user", "1000:1000", "--cwd", "/tmp", "--env", "A=b", "-g", "2000", "--cap", "CAP_NET_RAW", sleeper(),
                      "sh", "-c", "id -u; id -G; pwd; echo $A; grep CapBnd /proc/self/status")
    uid, groups, where, variable, bounding = said.splitlines()
    assert (uid, where, variable) == ("1000", "/tmp", "b") and set(groups.split()) == {"1000", "2000"}
    assert int(bounding.split()[1], 16) & 1 << 13


def test_exec_by_a_process_file(runtime, sleeper, folder):
    process = {"args": ["sh", "-c", "pwd; echo $X; exit 4"], "cwd": "/tmp", "env": ["PATH=/bin", "X=y"], "user": {"uid": 0, "gid": 0}}
    (folder / "process.json").write_text(json.dumps(process))
    done = runtime("exec", "--process", folder / "process.json", sleeper())
    assert (done.returncode, done.stdout) == (4, "/tmp\ny\n")


def test_exec_detached_writes_its_number(runtime, sleeper, folder):
    name = sleeper()
    runtime.ok("exec", "--detach", "--pid-file", folder / "pid", name, "sleep", "1000", stdout=None, stderr=None)
    pid = int((folder / "pid").read_text())
    assert pid in runtime.json("ps", "-f", "json", name)
    end_orphan(pid)


@pytest.mark.parametrize("words,says", [
    (("no-such",), "executable file not found in $PATH"),
    (("--user", "me", "true"), "takes a number"),
    (("--cap", "CAP_NONE", "true"), "not a capability"),
    (("--env", "A", "true"), "NAME=value"),
    (("--cwd", "tmp", "true"), "absolute path"),
    (("--cgroup", "../x", "true"), "leads out"),
    (("--console-socket", "/x", "true"), "without a terminal"),
])
def test_exec_refuses_what_cannot_be(runtime, sleeper, words, says):
    *options, program = words
    assert says in runtime.refuses("exec", *options, sleeper(), program)


def test_exec_needs_a_running_container(runtime, sleeper, bundle, unique):
    name = sleeper()
    runtime.ok("pause", name)
    assert "paused" in runtime.refuses("exec", name, "true")
    runtime.ok("resume", name)
    runtime.ok("kill", "--all", name, "KILL")
    assert "does not exist" in runtime.refuses("exec", unique(), "true")


def test_exec_has_no_descriptor_of_the_host(runtime, sleeper):
    said = runtime.ok("exec", sleeper(), "sh", "-c", "ls -l /proc/self/fd")
    assert "/sys/fs/cgroup" not in said and "state" not in said


def test_exec_affinity_is_set_after_the_move(runtime, sleeper, folder):
    process = {"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin"],
               "execCPUAffinity": {"initial": "0", "final": "0"}}
    (folder / "process.json").write_text(json.dumps(process))
    assert runtime.ok("exec", "--process", folder / "process.json", sleeper()).split()[1] == "0"


# ---- terminal ----

def test_the_terminal_of_a_created_container_goes_to_the_console_socket(runtime, bundle, folder, unique):
    name = unique()
    console = ConsoleSocket(folder / "s")

    def edit(made):
        made.process.update(terminal=True, consoleSize={"height": 33, "width": 99})
    made = bundle("sh", "-c", "tty; stty size; stat -c %t:%T /dev/console; ls /proc/self/fd", edit=edit)
    runtime.ok("create", "--console-socket", console.path, "--bundle", made, name)
    master, said = console.receive()
    console.close()
    runtime.ok("start", name)
    lines = read_terminal(master).split()
    os.close(master)
    assert said.startswith("/dev/pts/") and lines[:4] == ["/dev/pts/0", "33", "99", "88:0"]


def test_a_terminal_without_anyone_to_hold_it_is_refused(runtime, bundle, unique):
    made = bundle(edit=lambda b: b.process.update(terminal=True))
    assert "--console-socket" in runtime.refuses("create", "--bundle", made, unique())
    assert "--console-socket" in runtime.refuses("run", "--detach", "--bundle", made, unique())
    assert "of no use" in runtime.refuses("create", "--console-socket", "/x", "--bundle", bundle(), unique())


def test_a_foreground_run_copies_its_terminal_and_its_size(runtime, bundle, unique):
    made = bundle("sh", "-c", "stty size; read word; echo got $word; exit 5", edit=lambda b: b.process.update(terminal=True))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 111, 0, 0))
    process = runtime.popen("run", "--bundle", made, unique(), stdin=slave, stdout=slave, stderr=subprocess.PIPE)
    said = b""
    while b"44 111" not in said:
        said += os.read(master, 1000)
    os.write(master, b"word\r")
    assert process.wait(20) == 5, process.stderr.read()
    os.set_blocking(master, False)
    assert "got word" in (said + os.read(master, 1000)).decode()
    os.close(master)
    os.close(slave)


def test_much_input_and_much_output_of_a_foreground_terminal_do_not_wait_for_each_other(runtime, bundle, unique):
    script = "stty raw -echo; echo ready; head -c 1000000 | cat"
    made = bundle("sh", "-c", script, edit=lambda b: b.process.update(terminal=True))
    process = runtime.popen("run", "--bundle", made, unique(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False)
    assert process.stdout.readline() == b"ready\n"
    said, _ = process.communicate(b"x" * 1000000, timeout=60)
    assert (len(said), process.returncode) == (1000000, 0)


def test_exec_with_a_terminal_on_a_console_socket(runtime, sleeper, folder):
    console = ConsoleSocket(folder / "s")
    name = sleeper()
    runtime.ok("exec", "--tty", "--detach", "--console-socket", console.path, "--pid-file", folder / "pid", name,
               "sh", "-c", "tty; sleep 1000")
    master, _ = console.receive()
    console.close()
    assert os.read(master, 100).startswith(b"/dev/pts/")
    end_orphan(int((folder / "pid").read_text()))
    os.close(master)
