# SPDX-License-Identifier: GPL-2.0-or-later
"""What an instance runs in: how a vessel that this host cannot give is refused, and how one whose program is out of the host's sight
is treated. For the latter the vm vessel's runtime is a stand-in that makes a container, and says what it was asked."""
import json
import os
import time

import pytest

from support import programs

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"

# Called as onggi-runtime-vm is; $ASKED collects the calls. A program with the word "panic" ends as of a panic.
STAND_IN = """#!/bin/sh
echo "$@" >>$ASKED
for word in "$@"; do case $word in */bundle) bundle=$word ;; esac; done
case " $* " in
*" run "*)
    cp $bundle/config.json $ASKED.bundle
    ! grep -q panic $bundle/config.json || echo "the guest's kernel panicked: Attempted to kill init" >${bundle%bundle}reason
    ! grep -q starved $bundle/config.json || echo "out of memory: the guest's kernel killed a program" >${bundle%bundle}reason ;;
*" ps "*) echo "PID COMMAND"; echo "1 from-the-guest"; exit ;;
esac
exec $REAL "$@"
"""


class Vm:
    def __init__(self, onggi, folder):
        libexec, self.asked = folder / "libexec", folder / "asked"
        libexec.mkdir()
        (libexec / "onggi-runtime-vm").write_text(STAND_IN)
        (libexec / "onggi-runtime-vm").chmod(0o755)
        # The verdict of an engine's self-test, which holds until a reboot.
        (onggi.state / "engines").mkdir(parents=True)
        (onggi.state / "engines/auto").write_text("kvm")
        self.onggi, onggi.environment = onggi, dict(onggi.environment, ONGGI_LIBEXEC=str(libexec), ASKED=str(self.asked),
                                                    REAL=str(programs.program("onggi-runtime")))

    def start(self, name, *words, options=()):
        self.onggi.ok("run", "-d", "--isolation", "vm", "--network", "none", "--name", name, *options, IMAGE, *words)

    def calls(self, verb):
        return [line for line in self.asked.read_text().splitlines() if f" {verb} " in f" {line} "]

    def bundle(self):
        return json.loads((self.asked.parent / (self.asked.name + ".bundle")).read_text())

    def inspect(self, name):
        return self.onggi.json("inspect", name)[0]


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


@pytest.fixture(scope="module", name="kernels")
def fixture_kernels(worker_folder):
    """A store with a kernel, which these tests do not boot; beside it disks, which are alike."""
    root = worker_folder / "kernels-root"
    done = programs.Onggi(root, worker_folder / "kernels-state")("kernel", "import")
    if done.returncode and "/boot" in done.stderr:
        pytest.skip(f"no kernel to take: {done.stderr}")
    assert done.returncode == 0, done.stderr
    (root / "disks").mkdir(exist_ok=True)
    return root


@pytest.fixture(name="vm")
def fixture_vm(host, folder, kernels):
    for name in ("kernels", "disks"):
        (host.root / name).symlink_to(kernels / name)
    return Vm(host, folder)


def usable_kvm(host):
    return not any("KVM" in line and line.strip().startswith("limited") for line in host("doctor").stdout.splitlines())


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_vm_is_refused_at_once_and_in_words_where_nothing_can_run_one(host):
    if usable_kvm(host):
        pytest.skip("this host's KVM can run an ordinary kernel")
    begin = time.monotonic()
    text = host.refuses("run", "--rm", "--isolation", "vm", IMAGE, "true", status=125)
    took = time.monotonic() - begin
    assert "/dev/kvm" in text or "cannot run an ordinary kernel" in text
    assert "onggi doctor" in text and "--isolation container" in text
    assert took < 1, f"{took:.3f} s"
    host.refuses("create", "--isolation", "vm", IMAGE, "true")
    assert host.ok("ps", "--all", "--quiet") == ""


@pytest.mark.parametrize("words, told", [
    (("--isolation", "jar"), "neither container nor vm"),
    (("--isolation", "vm", "--engine", "steam"), "none of auto, kvm"),
    (("--isolation", "vm", "--pid", "host"), "--pid does not go with --isolation vm"),
    (("--isolation", "vm", "--network", "host"), "network stack of its own"),
    (("--isolation", "vm", "--memory", "-1"), "has a size"),
    (("--kernel", "6.1"), "give --isolation vm too"),
])
def test_settings_that_do_not_fit_the_vessel_are_refused(host, words, told):
    assert told in host.refuses("run", "--rm", *words, IMAGE, "true", status=125)


def test_the_vessel_and_its_engine_are_listed(vm):
    vm.start("guest", "sleep", "1000", options=["--memory", "96m", "--cpus", "1.5"])
    vm.onggi.ok("run", "-d", "--network", "none", "--name", "plain", IMAGE, "sleep", "1000")
    rows = dict(line.split(" ", 1) for line in
                vm.onggi.ok("ps", "--format", "{{.Names}} {{.Isolation}} {{.Engine}}").splitlines())
    assert rows == {"guest": "vm kvm", "plain": "container "}
    table = vm.onggi.ok("ps")
    assert "ISOLATION" in table and "ENGINE" in table
    assert vm.inspect("guest")["Vessel"] == {"Isolation": "vm", "Engine": "kvm", "Memory": 96 << 20, "Processors": 2, "Kernel": ""}
    assert vm.inspect("plain")["Vessel"] == {"Isolation": "container", "Engine": ""}


def test_the_bundle_says_what_machine_it_is_for(vm):
    vm.start("guest", "true", options=["--memory", "96m", "--cpus", "2"])
    notes = vm.bundle()["annotations"]
    assert notes["org.onggi.vm.memory"] == str(96 << 20) and notes["org.onggi.vm.cpus"] == "2"
    assert notes["org.onggi.vm.engine"] == "kvm" and notes["org.onggi.vm.kernel"] == os.readlink(vm.onggi.root / "kernels/default")
    assert notes["org.onggi.onggi-root"] == str(vm.onggi.root)


def test_a_kernel_that_is_not_there_is_refused_before_anything_is_made(vm):
    assert "there is no kernel 6.0" in vm.onggi.refuses("create", "--isolation", "vm", "--kernel", "6.0", IMAGE, "true")
    assert "/missing" in vm.onggi.refuses("create", "--isolation", "vm", "--kernel", "/missing", IMAGE, "true")
    (vm.onggi.root / "kernels").unlink()
    assert "onggi kernel import" in vm.onggi.refuses("run", "--isolation", "vm", IMAGE, "true", status=125)
    assert vm.onggi.ok("ps", "--all", "--quiet") == ""


def test_signals_for_a_program_out_of_sight_go_through_its_runtime(vm):
    vm.start("guest", "sh", "-c", "trap 'echo heard; exit 7' USR1 TERM; echo listens; while :; do sleep 0.05; done")
    until(lambda: "listens" in vm.onggi.ok("logs", "guest"))
    vm.onggi.ok("kill", "--signal", "USR1", "guest")
    assert vm.onggi.ok("wait", "guest") == "7"
    assert vm.onggi.ok("logs", "guest") == "listens\nheard"
    assert vm.calls("kill")[0].split()[-1] == "10"
    vm.onggi.ok("start", "guest")
    until(lambda: vm.onggi.ok("logs", "guest").count("listens") == 2)
    vm.onggi.ok("stop", "guest")
    assert vm.inspect("guest")["State"]["ExitCode"] == 7
    assert vm.calls("kill")[1].split()[-1] == "15"


def test_sigkill_goes_to_the_guard_itself(vm):
    vm.start("guest", "sleep", "1000")
    vm.onggi.ok("kill", "guest")
    assert vm.onggi.ok("wait", "guest") == "137"
    assert not vm.calls("kill")


@pytest.mark.parametrize("word, reason, short, starved", [
    ("panic", "the guest's kernel panicked: Attempted to kill init", "the guest's kernel panicked", False),
    ("starved", "out of memory: the guest's kernel killed a program", "out of memory", True),
])
def test_the_reason_of_an_end_is_shown(vm, word, reason, short, starved):
    done = vm.onggi("run", "--isolation", "vm", "--network", "none", "--name", "guest", IMAGE, "sh", "-c", f": {word}; exit 70")
    assert done.returncode == 70 and reason in done.stderr
    state = vm.inspect("guest")["State"]
    assert (state["ExitCode"], state["Error"], state["OOMKilled"]) == (70, reason, starved)
    status = vm.onggi.ok("ps", "--all", "--format", "{{.Status}}")
    assert status.startswith("Exited (70)") and status.endswith(f"({short})")


def test_the_death_of_the_guard_is_told(vm):
    vm.start("guest", "sleep", "1000")
    os.kill(vm.inspect("guest")["State"]["Pid"], 9)
    assert vm.onggi.ok("wait", "guest") == "137"
    assert "killed by SIGKILL" in vm.inspect("guest")["State"]["Error"]
    assert "was killed by SIGKILL)" in vm.onggi.ok("ps", "--all", "--format", "{{.Status}}")


def test_exec_finds_users_and_top_asks_the_guest(vm):
    vm.start("guest", "sleep", "1000")
    assert vm.onggi.ok("exec", "--user", "root", "guest", "id", "-u") == "0"
    assert vm.onggi("exec", "guest", "sh", "-c", "exit 9").returncode == 9
    assert vm.onggi.ok("top", "guest").splitlines() == ["PID COMMAND", "1 from-the-guest"]


def test_a_running_machine_does_not_grow(vm):
    vm.start("guest", "sleep", "1000", options=["--memory", "96m", "--cpus", "1"])
    assert "cannot get more while it runs" in vm.onggi.refuses("update", "--memory", "128m", "guest")
    assert "cannot get more while it runs" in vm.onggi.refuses("update", "--cpus", "2", "guest")
    vm.onggi.ok("update", "--cpus", "0.5", "guest")
    vm.onggi.ok("kill", "guest")
    vm.onggi.ok("wait", "guest")
    vm.onggi.ok("update", "--memory", "128m", "guest")
    vm.onggi.ok("start", "guest")
    assert vm.bundle()["annotations"]["org.onggi.vm.memory"] == str(128 << 20)


def test_what_its_runtime_keeps_goes_with_the_instance(vm):
    vm.start("guest", "sleep", "1000")
    containers = vm.onggi.state / "runtime-vm"
    assert len(list(containers.glob("[0-9a-f]*"))) == 1
    vm.onggi.ok("rm", "--force", "guest")
    assert not list(containers.glob("[0-9a-f]*"))
