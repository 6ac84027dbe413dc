# SPDX-License-Identifier: GPL-2.0-or-later
"""What docker and podman promise their users, asked of them while they call our runtime. Their command lines are the same."""
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from .engines import IMAGE, inspect

# Docker's default set, capabilities(7) numbers: what CapEff shows in a container that asked for nothing.
DOCKER_CAPABILITIES = 0x00000000A80425FB


def status_field(text, field):
    return re.search(rf"^{field}:\s*(\S+)", text, re.M).group(1)


class Terminal:
    """A client of an engine on a terminal that is its controlling one, as in a user's window."""

    def __init__(self, engine, words):
        self.master, slave = pty.openpty()
        self.resize(24, 80)
        self.client = engine.popen(*words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def read_until(self, word, seconds=20):
        deadline = time.monotonic() + seconds
        while word not in self.seen:
            assert time.monotonic() < deadline, f"no {word!r} in {self.seen[-500:]!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 4096).decode()

    def saw(self, word):
        try:
            self.read_until(word, seconds=0.2)
        except AssertionError:
            return False
        return True

    def wait(self):
        status = self.client.wait(20)
        os.close(self.master)
        return status


class EngineCases:
    """A subclass gives the fixture `engine`, shared by its tests."""

    @pytest.fixture(autouse=True)
    def started(self, engine, unique):
        self.engine = engine
        self.name = unique()
        yield
        engine.remove(self.name)

    def run(self, *words, options=(), network="none", **settings):
        return self.engine(*self.engine.run_words("--network", network, *options, IMAGE, *words), **settings)

    def output(self, *words, options=(), **settings):
        done = self.run(*words, options=("--rm", *options), **settings)
        assert done.returncode == 0, f"{done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def detached(self, *words, options=(), network="none"):
        done = self.run(*words, options=("--detach", "--name", self.name, *options), network=network)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def test_run_returns_the_programs_own_exit_status(self):
        assert self.run("sh", "-c", "exit 42", options=["--rm"]).returncode == 42

    def test_run_keeps_output_and_error_output_apart(self):
        done = self.run("sh", "-c", "echo out; echo err >&2", options=["--rm"])
        assert (done.stdout, done.stderr) == ("out\n", "err\n")

    def test_run_passes_standard_input(self):
        assert self.output("cat", options=["--interactive"], input="through\n") == "through"

    def test_run_of_a_missing_program_is_127(self):
        done = self.run("/no/such", options=["--rm"])
        assert done.returncode == 127, done.stderr

    def test_run_of_a_file_that_is_no_program_is_126(self):
        done = self.run("/etc/passwd", options=["--rm"])
        assert done.returncode == 126, done.stderr

    def test_nothing_is_left_of_a_removed_container(self):
        identity = self.detached("sleep", "1000")
        assert self.engine.left_of(identity)
        assert self.engine.remove(self.name).returncode == 0
        self.engine.wait_for(lambda: not self.engine.left_of(identity), "removal of all that the container had")

    def test_logs_of_a_detached_container(self):
        self.detached("sh", "-c", "echo one; echo two >&2")
        self.engine.ok("wait", self.name)
        done = self.engine("logs", self.name)
        assert (done.stdout, done.stderr) == ("one\n", "two\n")

    def test_create_start_and_start_again(self):
        self.engine.ok("create", "--name", self.name, "--network", "none", IMAGE, "sh", "-c", "echo x >> /tmp/runs; wc -l < /tmp/runs")
        assert self.engine.ok("start", "--attach", self.name).strip() == "1"
        assert self.engine.ok("start", "--attach", self.name).strip() == "2"

    def test_exec_returns_the_programs_own_exit_status(self):
        self.detached("sleep", "1000")
        assert self.engine("exec", self.name, "sh", "-c", "exit 9").returncode == 9

    def test_exec_runs_beside_the_first_process_with_user_environment_and_folder(self):
        self.detached("sleep", "1000")
        text = self.engine.ok("exec", "--user", "1000:2000", "--env", "COLOUR=blue", "--workdir", "/tmp", self.name, "sh", "-c",
                              "id -u; id -g; echo $COLOUR; pwd; tr '\\0' ' ' < /proc/1/cmdline")
        assert text.split("\n")[:4] == ["1000", "2000", "blue", "/tmp"]
        assert text.split("\n")[4].startswith("sleep 1000")

    def test_exec_detached_runs_on(self):
        self.detached("sleep", "1000")
        self.engine.ok("exec", "--detach", self.name, "sh", "-c", "echo done > /tmp/mark")
        self.engine.wait_for(lambda: self.engine("exec", self.name, "cat", "/tmp/mark").stdout == "done\n", "the detached program")

    def test_exec_of_a_missing_program_is_127_and_harms_nothing(self):
        self.detached("sleep", "1000")
        assert self.engine("exec", self.name, "/no/such").returncode in (126, 127)
        assert self.engine("exec", self.name, "true").returncode == 0

    def test_terminal_is_one_inside(self):
        text = self.output("sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo all", options=["--tty"])
        assert text.splitlines() == ["/dev/pts/0", "all"]

    def test_exec_with_a_terminal(self):
        self.detached("sleep", "1000")
        assert self.engine.ok("exec", "--tty", self.name, "sh", "-c", "test -t 1 && echo yes").strip() == "yes"

    def test_terminal_passes_input_and_follows_the_window(self):
        script = """echo ready; read line; echo "<$line>"
                    while test "$(stty size)" != '33 101'; do sleep 0.05; done
                    echo followed; exit 5"""
        terminal = Terminal(self.engine, self.engine.run_words("--rm", "-it", "--network", "none", IMAGE, "sh", "-c", script))
        terminal.read_until("ready")
        terminal.type("hello\n")
        terminal.read_until("<hello>")
        # docker's client follows only once it has seen the container start; nobody tells when that is.
        while not terminal.saw("followed"):
            terminal.resize(33, 100)
            terminal.resize(33, 101)
        assert terminal.wait() == 5

    def test_pause_stops_the_clock_and_unpause_starts_it(self):
        self.detached("sh", "-c", "while :; do date +%s%N > /tmp/now; done")
        read = ["sh", "-c", f"cat /proc/{inspect(self.engine, self.name)['State']['Pid']}/root/tmp/now"]
        self.engine.ok("pause", self.name)
        assert inspect(self.engine, self.name)["State"]["Status"] == "paused"
        first = self.engine.vault.run(*read).stdout
        time.sleep(0.1)
        assert self.engine.vault.run(*read).stdout == first
        self.engine.ok("unpause", self.name)
        self.engine.wait_for(lambda: self.engine.vault.run(*read).stdout not in (first, ""), "the next tick")

    def test_a_paused_container_can_be_removed(self):
        self.detached("sleep", "1000")
        self.engine.ok("pause", self.name)
        assert self.engine.remove(self.name).returncode == 0

    def test_kill_with_a_signal_is_128_and_its_number(self):
        self.detached("sleep", "1000")
        self.engine.ok("kill", "--signal", "KILL", self.name)
        assert self.engine.ok("wait", self.name) == "137"

    def test_kill_delivers_the_signal_that_is_asked_for(self):
        self.detached("sh", "-c", "trap 'exit 11' USR1; echo ready; while :; do sleep 0.1; done")
        self.engine.wait_for(lambda: "ready" in self.engine("logs", self.name).stdout, "the trap")
        self.engine.ok("kill", "--signal", "USR1", self.name)
        assert self.engine.ok("wait", self.name) == "11"

    def test_stop_sends_term_first(self):
        self.detached("sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done")
        self.engine.wait_for(lambda: "ready" in self.engine("logs", self.name).stdout, "the trap")
        self.engine.ok("stop", "--time", "20", self.name)
        assert inspect(self.engine, self.name)["State"]["ExitCode"] == 3

    def test_restart_gives_a_new_first_process(self):
        self.detached("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
        before = inspect(self.engine, self.name)["State"]["Pid"]
        self.engine.ok("restart", self.name)
        after = inspect(self.engine, self.name)["State"]
        assert after["Running"] and after["Pid"] != before

    def test_all_processes_end_with_the_first_one(self):
        identity = self.detached("sh", "-c", "sleep 1000 & sleep 1000 & read line < /dev/zero", options=["--pid", "host"])
        assert self.engine.remove(self.name).returncode == 0
        self.engine.wait_for(lambda: not self.engine.left_of(identity), "the end of every process")

    def test_top_lists_the_processes(self):
        self.detached("sleep", "1000")
        assert "sleep 1000" in self.engine.ok("top", self.name)

    def test_stats_tell_memory_and_processes(self):
        self.detached("sleep", "1000")
        text = self.engine.ok("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", self.name)
        assert re.fullmatch(r"[\d.]+\w+ / [\d.]+\w+ 1", text.strip()), text

    def test_memory_limit_is_set(self):
        text = self.output("sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true",
                           options=["--memory", "64m"])
        assert text == "67108864"

    def test_more_memory_than_the_limit_is_killed(self):
        done = self.run("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1",
                        options=["--rm", "--memory", "24m", "--memory-swap", "24m"])
        assert done.returncode == 137

    def test_process_limit_holds(self):
        done = self.run("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait", options=["--rm", "--pids-limit", "4"])
        assert "can't fork" in done.stderr

    def test_cpu_shares_and_quota_are_set(self):
        text = self.output("sh", "-c", "cd /sys/fs/cgroup/cpu && cat cpu.shares cpu.cfs_quota_us cpu.cfs_period_us",
                           options=["--cpu-shares", "300", "--cpu-quota", "50000", "--cpu-period", "100000"])
        assert text.split() == ["300", "50000", "100000"]

    def test_cpuset_is_set(self):
        assert self.output("grep", "Cpus_allowed_list", "/proc/self/status", options=["--cpuset-cpus", "0"]).split()[1] == "0"

    def test_read_only_root(self):
        done = self.run("touch", "/x", options=["--rm", "--read-only"])
        assert done.returncode == 1 and "Read-only file system" in done.stderr

    def test_tmpfs_and_volume(self):
        shared = self.engine.folder / self.name
        shared.mkdir()
        text = self.output("sh", "-c", "echo kept > /data/file; grep ' /scratch ' /proc/mounts",
                           options=["--volume", f"{shared}:/data", "--tmpfs", "/scratch:size=1m"])
        assert (shared / "file").read_text() == "kept\n" and text.startswith("tmpfs /scratch tmpfs") and "size=1024k" in text

    def test_read_only_volume(self):
        shared = self.engine.folder / self.name
        shared.mkdir()
        done = self.run("touch", "/data/x", options=["--rm", "--volume", f"{shared}:/data:ro"])
        assert "Read-only file system" in done.stderr

    def test_user_and_group_of_the_image(self):
        assert self.output("id", options=["--user", "user", "--group-add", "2000"]) == \
            "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)"

    def test_default_capabilities_and_seccomp_filter(self):
        text = self.output("cat", "/proc/self/status")
        assert int(status_field(text, "CapEff"), 16) & ~DOCKER_CAPABILITIES == 0
        assert int(status_field(text, "CapBnd"), 16) != 0
        assert status_field(text, "Seccomp") == "2"

    def test_seccomp_profile_of_the_users_own(self):
        profile = self.engine.folder / f"{self.name}.json"
        profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}))
        done = self.run("mkdir", "/tmp/x", options=["--rm", "--security-opt", f"seccomp={profile}"])
        assert "not supported" in done.stderr

    def test_no_capabilities(self):
        text = self.output("cat", "/proc/self/status", options=["--cap-drop", "ALL"])
        assert int(status_field(text, "CapEff"), 16) == 0 == int(status_field(text, "CapBnd"), 16)

    def test_privileged_has_all_and_no_filter(self):
        text = self.output("sh", "-c", "cat /proc/self/status; mount -t tmpfs x /mnt 2>/dev/null || mount -t tmpfs x /tmp && echo mounted",
                           options=["--privileged"])
        assert status_field(text, "Seccomp") == "0" and text.endswith("mounted")
        assert status_field(text, "CapEff") == status_field(text, "CapBnd")

    def test_no_new_privileges(self):
        text = self.output("cat", "/proc/self/status", options=["--security-opt", "no-new-privileges"])
        assert status_field(text, "NoNewPrivs") == "1"

    def test_kernel_files_are_masked_and_read_only(self):
        done = self.run("sh", "-c", "head -c1 /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/panic", options=["--rm"])
        assert done.stdout.split()[0] == "0" and "Read-only file system" in done.stderr

    def test_host_name_environment_and_folder(self):
        text = self.output("sh", "-c", "hostname; echo $A; pwd", options=["--hostname", "jar", "--env", "A=b", "--workdir", "/var"])
        assert text.split() == ["jar", "b", "/var"]

    def test_resource_limits(self):
        assert self.output("sh", "-c", "ulimit -n; ulimit -c", options=["--ulimit", "nofile=333:444", "--ulimit", "core=0"]).split() == \
            ["333", "0"]

    def test_sysctl_of_the_containers_own(self):
        assert self.output("cat", "/proc/sys/kernel/shm_rmid_forced", options=["--sysctl", "kernel.shm_rmid_forced=1"]) == "1"

    def test_a_device(self):
        text = self.output("sh", "-c", "stat -c %t:%T /dev/nothing; echo x > /dev/nothing && echo written",
                           options=["--device", "/dev/null:/dev/nothing"])
        assert text.split() == ["1:3", "written"]

    def test_a_device_that_was_not_given_is_refused(self):
        done = self.run("sh", "-c", "mknod /tmp/disk b 254 0 && head -c1 /tmp/disk", options=["--rm", "--cap-add", "MKNOD"])
        assert done.returncode and "Operation not permitted" in done.stderr

    def test_init_reaps_orphans(self):
        assert "init" in self.output("cat", "/proc/1/cmdline", options=["--init"])

    def test_shared_namespaces_of_another_container(self):
        self.detached("sleep", "1000")
        text = self.output("sh", "-c", "ps | grep -c 'sleep 100[0]'", options=["--pid", f"container:{self.name}"],
                           network=f"container:{self.name}")
        assert text == "1"

    def test_published_port_answers(self):
        self.detached("sh", "-c", "echo pot > /tmp/index.html; exec httpd -f -p 80 -h /tmp", options=["--publish", "127.0.0.1:8099:80"],
                      network="bridge")
        fetch = ["curl", "-s", "--max-time", "2", "http://127.0.0.1:8099/"]
        self.engine.wait_for(lambda: self.engine.vault.run(*fetch).stdout == "pot\n", "answer on the published port")

    def test_ten_at_once(self):
        started = [self.engine.popen(*self.engine.run_words("--rm", "--network", "none", IMAGE, "sh", "-c", f"exit {number}"),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                   for number in range(10)]
        ended = [(client.communicate(timeout=100)[1], client.returncode) for client in started]
        assert [status for _, status in ended] == list(range(10)), ended
