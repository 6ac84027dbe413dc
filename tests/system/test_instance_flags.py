# SPDX-License-Identifier: GPL-2.0-or-later
"""What each option of `run` changes, seen by the program inside or in the instance's control groups."""
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from support import private_host, programs

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"
SLEEP = ("sleep", "1000")


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


@pytest.fixture(name="inside")
def fixture_inside(host):
    """inside('--option value', 'script') is what the script writes in an instance without a network."""
    def call(options, script, **settings):
        words = options.split() if isinstance(options, str) else options
        return host.ok("run", "--rm", "--network", "none", *words, IMAGE, "sh", "-c", script, **settings)
    return call


def until(condition, seconds=20):
    """Waits for something that no event tells of."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


# ---- What the program sees ----

SIZE_OF = "df -k {0} | tail -n 1 | awk '{{print $2}}'"

SEEN = [
    ("--hostname box", "hostname; cat /etc/hostname", "box box"),
    ("--domainname example.org", "cat /proc/sys/kernel/domainname", "example.org"),
    ("--ulimit nofile=77:88 --ulimit core=0", "ulimit -n; ulimit -Hn; ulimit -c", "77 88 0"),
    ("--ulimit nproc=999", "ulimit -u; ulimit -Hu", "999 999"),
    ("--read-only", "touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo memory", "refused memory"),
    ("--read-only --tmpfs /run", "touch /run/x && echo written", "written"),
    ("--tmpfs /t:size=1m,mode=700", SIZE_OF.format("/t") + "; stat -c %a /t", "1024 700"),
    ("--tmpfs /t", "grep ' /t ' /proc/mounts | grep nosuid | grep nodev | grep -c noexec", "1"),
    ("--tmpfs /t:exec", "cp /bin/busybox /t/echo; /t/echo ran", "ran"),
    ("-u 1000 --tmpfs /u", "touch /u/x && stat -c %a /u", "1777"),
    ("-u 1000 --tmpfs /tmp", "touch /tmp/x && stat -c %a /tmp", "1777"),
    ("--tmpfs /etc", "stat -c %a /etc", "755"),
    ("", SIZE_OF.format("/dev/shm"), "65536"),
    ("--shm-size 2m", SIZE_OF.format("/dev/shm"), "2048"),
    ("", "grep NoNewPrivs /proc/self/status", "NoNewPrivs: 0"),
    ("--security-opt no-new-privileges", "grep NoNewPrivs /proc/self/status", "NoNewPrivs: 1"),
    ("--security-opt no-new-privileges=false", "grep NoNewPrivs /proc/self/status", "NoNewPrivs: 0"),
    ("--security-opt seccomp=unconfined", "grep Seccomp: /proc/self/status", "Seccomp: 0"),
    ("--security-opt systempaths=unconfined", "grep ' /proc/' /proc/mounts; echo end", "end"),
    ("--sysctl net.ipv4.ip_default_ttl=99", "cat /proc/sys/net/ipv4/ip_default_ttl", "99"),
    ("--sysctl kernel.msgmax=9999", "cat /proc/sys/kernel/msgmax", "9999"),
    ("--group-add 3000 --group-add extra", "id -G", "0 2000 3000"),
    ("--user user", "id -u; id -g; id -G; echo $HOME", "1000 1000 1000 2000 /tmp"),
    ("--user user:extra", "id -u; id -g", "1000 2000"),
    ("--user 1234:2345", "id -u; id -g; echo $HOME", "1234 2345 /"),
    ("--workdir /made/here", "pwd", "/made/here"),
    ("--oom-score-adj 123", "cat /proc/self/oom_score_adj", "123"),
    ("--dns 192.0.2.1 --dns 192.0.2.2 --dns-search example.org --dns-option ndots:3", "grep -v '^#' /etc/resolv.conf",
     "nameserver 192.0.2.1 nameserver 192.0.2.2 search example.org options ndots:3"),
    ("--add-host db:192.0.2.9", "grep db /etc/hosts", "192.0.2.9 db"),
    ("--userns 0:200000:1000", "cat /proc/self/uid_map /proc/self/gid_map", "0 200000 1000 0 200000 1000"),
    ("--env A=1 -e B=x=y", "echo $A $B", "1 x=y"),
    ("--init", "cat /proc/1/comm", "onggi-reaper"),
    ("--ipc none", "test -e /dev/shm || echo none", "none"),
]


@pytest.mark.parametrize("options, script, seen", SEEN, ids=[f"{options or 'default'}: {script[:20]}" for options, script, _ in SEEN])
def test_an_option_shows_inside(inside, options, script, seen):
    assert sorted(inside(options, script).split()) == sorted(seen.split())


@pytest.mark.parametrize("option, kind", [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup"),
                                          ("--network", "net")])
def test_host_is_the_hosts_own_namespace(host, option, kind):
    ours = os.readlink(f"/proc/thread-self/ns/{kind}")
    script = f"readlink /proc/self/ns/{kind}"
    network = () if option == "--network" else ("--network", "none")
    assert host.ok("run", "--rm", *network, option, "host", IMAGE, "sh", "-c", script) == ours
    assert host.ok("run", "--rm", "--network", "none", IMAGE, "sh", "-c", script) != ours


def test_uts_host_has_the_hosts_name(inside):
    assert inside("--uts host", "hostname") == os.uname().nodename


def test_pid_host_sees_the_hosts_processes(inside):
    assert inside("--pid host", f"cat /proc/{os.getpid()}/comm") == Path("/proc/self/comm").read_text().strip()


# ---- Capabilities ----

CHOWN, NET_RAW, SYS_TIME, NET_ADMIN = 1 << 0, 1 << 13, 1 << 25, 1 << 12
DOCKERS_FOURTEEN = 0xa80425fb  # moby's oci/caps/defaults.go


def all_capabilities():
    """Nobody can give more than he may have himself."""
    return int(re.search(r"CapBnd:\t(\w+)", Path("/proc/self/status").read_text())[1], 16)


@pytest.mark.parametrize("options, expected", [
    ("", DOCKERS_FOURTEEN),
    ("--cap-add SYS_TIME", DOCKERS_FOURTEEN | SYS_TIME),
    ("--cap-add CAP_SYS_TIME --cap-add net_admin", DOCKERS_FOURTEEN | SYS_TIME | NET_ADMIN),
    ("--cap-drop CHOWN --cap-drop NET_RAW", DOCKERS_FOURTEEN & ~CHOWN & ~NET_RAW),
    ("--cap-drop ALL", 0),
    ("--cap-drop ALL --cap-add CHOWN", CHOWN),
    ("--cap-add ALL --cap-drop CHOWN", "all but chown"),
    ("--privileged", "all"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_capabilities_are_exactly_what_was_asked_for(inside, options, expected):
    every = all_capabilities()
    wanted = {"all": every, "all but chown": every & ~CHOWN}.get(expected, expected)
    sets = dict(line.split(":\t") for line in inside(options, "grep Cap /proc/self/status").splitlines())
    assert {name: int(text, 16) for name, text in sets.items()} == \
        {"CapInh": 0, "CapPrm": wanted, "CapEff": wanted, "CapBnd": wanted, "CapAmb": 0}


def test_an_ordinary_user_has_no_capability(inside):
    assert int(inside("-u 1000", "grep CapEff /proc/self/status").split()[1], 16) == 0


def test_privileged_has_the_devices_and_writes_where_others_may_not(inside):
    script = "ls /dev | grep -c loop-control; echo $(cat /proc/sys/kernel/msgmax) > /proc/sys/kernel/msgmax && echo written; " \
             "grep Seccomp: /proc/self/status; grep ' /sys ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1"
    assert inside("--privileged", script).split() == ["1", "written", "Seccomp:", "0", "rw"]


# ---- Control groups ----

def control_group_file(ident, v1, v2, parent="onggi"):
    """What a file of the instance's control group holds; v1 is (controller, file), v2 the file's name on the unified hierarchy."""
    for point, kind, controllers in private_host.cgroup_hierarchies():
        if kind == "cgroup" and v1[0] in controllers.split(","):
            return Path(point, parent, ident, v1[1])
    return Path("/sys/fs/cgroup", parent, ident, v2)


LIMITS = [
    ("--cpus 1.5", ("cpu", "cpu.cfs_quota_us"), "150000", "cpu.max", "150000 100000"),
    ("--cpu-quota 30000 --cpu-period 50000", ("cpu", "cpu.cfs_period_us"), "50000", "cpu.max", "30000 50000"),
    ("--cpu-shares 2", ("cpu", "cpu.shares"), "2", "cpu.weight", "1"),
    ("--cpuset-cpus 0", ("cpuset", "cpuset.cpus"), "0", "cpuset.cpus", "0"),
    ("--cpuset-mems 0", ("cpuset", "cpuset.mems"), "0", "cpuset.mems", "0"),
    ("--memory 64m", ("memory", "memory.limit_in_bytes"), str(64 << 20), "memory.max", str(64 << 20)),
    ("--memory 64m", ("memory", "memory.memsw.limit_in_bytes"), str(128 << 20), "memory.swap.max", str(64 << 20)),
    ("--memory 64m --memory-swap 96m", ("memory", "memory.memsw.limit_in_bytes"), str(96 << 20), "memory.swap.max", str(32 << 20)),
    ("--memory-reservation 32m", ("memory", "memory.soft_limit_in_bytes"), str(32 << 20), "memory.low", str(32 << 20)),
    ("--memory-swappiness 7", ("memory", "memory.swappiness"), "7", None, None),
    ("--memory 64m --oom-kill-disable", ("memory", "memory.oom_control"), "oom_kill_disable 1", None, None),
    ("--pids-limit 33", ("pids", "pids.max"), "33", "pids.max", "33"),
    ("--blkio-weight 300", ("blkio", "blkio.bfq.weight"), "300", "io.bfq.weight", "300"),
]


@pytest.mark.parametrize("options, v1, text1, v2, text2", LIMITS, ids=[f"{limit[0]}: {limit[1][1]}" for limit in LIMITS])
def test_a_limit_lands_in_the_control_group(host, options, v1, text1, v2, text2):
    ident = host.ok("create", "--network", "none", *options.split(), IMAGE, *SLEEP)
    done = host("start", ident)
    file = control_group_file(ident, v1, v2 or "none")
    if not file.exists():
        pytest.skip(f"this host has no {file.name}")
    assert done.returncode == 0, done.stderr
    expected = text2 if file.parent.parent == Path("/sys/fs/cgroup/onggi") else text1
    assert expected in file.read_text().replace("default ", "").splitlines()


def test_pids_limit_stops_a_fork(host):
    done = host("run", "--rm", "--network", "none", "--pids-limit", "5", IMAGE, "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 100 & done")
    assert done.returncode == 2 and "can't fork" in done.stderr


def test_cpuset_confines_the_program(inside):
    assert inside("--cpuset-cpus 0", "grep Cpus_allowed_list /proc/self/status; nproc").split() == ["Cpus_allowed_list:", "0", "1"]


@pytest.fixture(name="disk")
def fixture_disk(folder):
    """A loop device with 4 MiB."""
    image = folder / "disk"
    image.write_bytes(bytes(4 << 20))
    done = subprocess.run(["losetup", "--find", "--show", "--direct-io=off", image], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no loop device: {done.stderr.strip()}")
    yield done.stdout.strip()
    subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


RATES = [("--device-read-bps", "1mb", "blkio.throttle.read_bps_device", str(1 << 20), "rbps"),
         ("--device-write-bps", "2mb", "blkio.throttle.write_bps_device", str(2 << 20), "wbps"),
         ("--device-read-iops", "30", "blkio.throttle.read_iops_device", "30", "riops"),
         ("--device-write-iops", "40", "blkio.throttle.write_iops_device", "40", "wiops")]


@pytest.mark.core
@pytest.mark.parametrize("option, rate, file, number, key", RATES, ids=[rate[0] for rate in RATES])
def test_a_rate_of_a_disk_lands_in_the_control_group(host, disk, option, rate, file, number, key):
    ident = host.ok("run", "-d", "--network", "none", option, f"{disk}:{rate}", IMAGE, *SLEEP)
    device = os.stat(disk).st_rdev
    path = control_group_file(ident, ("blkio", file), "io.max")
    line, = path.read_text().splitlines()
    assert line.startswith(f"{os.major(device)}:{os.minor(device)} ")
    assert line.endswith(f" {number}") or f"{key}={number}" in line.split()


def test_a_slow_disk_is_slow(inside, disk):
    script = "dd if=/dev/disk of=/dev/null bs=256k count=8 iflag=direct 2>/dev/null; echo read"
    begin = time.monotonic()
    assert inside(f"--device {disk}:/dev/disk --device-read-bps {disk}:1mb", script) == "read"
    assert time.monotonic() - begin > 1.5


def test_cgroup_parent_is_where_it_lives(host, unique):
    parent = unique("parent")
    ident = host.ok("run", "-d", "--network", "none", "--cgroup-parent", f"/{parent}", IMAGE, *SLEEP)
    assert control_group_file(ident, ("pids", "cgroup.procs"), "cgroup.procs", parent).read_text().split()
    host.ok("rm", "-f", ident)
    for point, _, _ in private_host.cgroup_hierarchies():
        if Path(point, parent).exists():
            Path(point, parent).rmdir()


# ---- Devices ----

@pytest.mark.core
def test_a_device_is_there_under_its_name_with_its_rights(inside):
    script = "stat -c %t:%T /dev/mine; (: < /dev/mine) && echo read; (: > /dev/mine) 2>/dev/null || echo refused"
    assert inside("--device /dev/fuse:/dev/mine:r", script).split() == ["a:e5", "read", "refused"]


def test_a_device_that_was_not_given_cannot_be_opened_even_if_made(inside):
    script = "mknod /mine c 10 229 && (: < /mine) 2>/dev/null || echo refused"
    assert inside("", script) == "refused"
    assert inside(["--device-cgroup-rule", "c 10:229 rwm"], "mknod /mine c 10 229 && (: < /mine) && echo read") == "read"


# ---- Mounts ----

def test_mount_of_a_folder_is_written_through_or_read_only(inside, folder):
    place = folder / "shared"
    place.mkdir()
    inside(["--mount", f"type=bind,source={place},target=/m"], "echo hello > /m/x")
    assert (place / "x").read_text() == "hello\n"
    script = "cat /m/x; touch /m/y 2>/dev/null || echo refused"
    for words in (["--mount", f"type=bind,src={place},dst=/m,readonly"], ["-v", f"{place}:/m:ro"],
                  ["--mount", f"type=bind,source={place},destination=/m,ro"]):
        assert inside(words, script).split() == ["hello", "refused"]


def test_mount_of_a_folder_that_is_missing_is_refused(host, folder):
    assert "nosuch" in host.refuses("run", "--rm", "--network", "none", "--mount", f"type=bind,source={folder}/nosuch,target=/m", IMAGE,
                                    status=125)


@pytest.mark.core
def test_mount_of_a_volume_keeps_what_was_written(host, inside):
    inside(["--mount", "type=volume,source=jar,target=/m"], "echo kept > /m/x")
    assert inside(["--mount", "type=volume,source=jar,target=/m,readonly"], "cat /m/x; touch /m/y 2>/dev/null || echo refused").split() == \
        ["kept", "refused"]
    host.ok("volume", "rm", "jar")


def test_mount_of_memory_has_its_size_and_mode(inside):
    words = ["--mount", "type=tmpfs,target=/m,tmpfs-size=1m,tmpfs-mode=0700"]
    assert inside(words, SIZE_OF.format("/m") + "; stat -c %a /m").split() == ["1024", "700"]


@pytest.mark.core
def test_volumes_from_brings_what_the_other_has(host, inside, folder):
    (folder / "given").mkdir()
    host.ok("create", "--network", "none", "--name", "one", "-v", "jar:/jar", "-v", f"{folder}/given:/given", IMAGE)
    inside("--volumes-from one", "echo a > /jar/x; echo b > /given/x")
    assert inside("--volumes-from one:ro", "cat /jar/x /given/x; touch /jar/y 2>/dev/null || echo refused").split() == \
        ["a", "b", "refused"]
    host.ok("rm", "one")
    host.ok("volume", "rm", "jar")


def test_rm_takes_anonymous_volumes_and_leaves_named_ones(host, inside):
    inside("--rm -v /anonymous -v jar:/jar", "touch /anonymous/x /jar/x")
    assert host.ok("volume", "ls", "-q") == "jar"
    host.ok("volume", "rm", "jar")


# ---- Programs and files ----

@pytest.mark.parametrize("entrypoint, words, seen", [("/bin/echo", ("a", "b"), "a b"), ("", ("echo", "c"), "c")])
def test_entrypoint_replaces_the_images_and_an_empty_one_removes_it(host, folder, entrypoint, words, seen):
    host.ok("create", "--network", "none", "--name", "one", "--entrypoint", "/bin/false", IMAGE)
    assert host.ok("run", "--rm", "--network", "none", "--entrypoint", entrypoint, IMAGE, *words) == seen


@pytest.mark.core
def test_files_of_variables_and_labels(host, folder):
    (folder / "env").write_text("# a remark\nA=1\n\nB=two words\nGIVEN\nABSENT\n")
    (folder / "labels").write_text("# a remark\nx=1\ny\n")
    host.ok("run", "-d", "--network", "none", "--name", "one", "--env-file", folder / "env", "--label-file", folder / "labels", "-l", "x=2",
            IMAGE, *SLEEP, env={"GIVEN": "from outside"})
    assert host.ok("exec", "one", "sh", "-c", "echo $A,$B,$GIVEN,${ABSENT-unset}") == "1,two words,from outside,unset"
    assert json.loads(host.ok("inspect", "-f", "{{json .Config.Labels}}", "one")) == {"x": "2", "y": ""}


def test_init_reaps_orphans_and_passes_signals_on(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", "--init", IMAGE, "sh", "-c",
            "trap 'exit 7' TERM; while :; do sleep 1000 & wait; done")
    orphan = host.ok("exec", "one", "sh", "-c", "true & echo $!")
    until(lambda: host("exec", "one", "test", "-e", f"/proc/{orphan}").returncode == 1)
    host.ok("stop", "one")
    assert host.ok("inspect", "-f", "{{.State.ExitCode}}", "one") == "7"


def test_stop_signal_is_what_stop_sends(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", "--stop-signal", "USR1", IMAGE, "sh", "-c",
            "trap 'exit 9' USR1; touch /ready; while :; do sleep 1000 & wait; done")
    until(lambda: host("exec", "one", "test", "-e", "/ready").returncode == 0)
    host.ok("stop", "one")
    assert host.ok("inspect", "-f", "{{.State.ExitCode}}", "one") == "9"


def test_stop_timeout_is_how_long_stop_waits(host):
    host.ok("run", "-d", "--network", "none", "--name", "deaf", "--stop-timeout", "1", IMAGE, *SLEEP)
    begin = time.monotonic()
    host.ok("stop", "deaf")
    assert 0.9 < time.monotonic() - begin < 7
    assert host.ok("inspect", "-f", "{{.State.ExitCode}}", "deaf") == "137"


# ---- Networks ----

@pytest.mark.core
def test_publish_all_opens_every_exposed_port(host):
    host.ok("run", "-d", "--name", "one", "--expose", "80", "--expose", "53/udp", "-P", IMAGE, "nc", "-l", "-p", "80", "-e", "echo", "hello")
    ports = dict(line.split(" -> ") for line in host.ok("port", "one").splitlines() if "[" not in line)
    assert set(ports) == {"80/tcp", "53/udp"}
    assert all(int(place.rpartition(":")[2]) > 1023 for place in ports.values())


def test_a_network_alias_is_a_name_for_the_others(host):
    host.ok("network", "create", "side")
    host.ok("run", "-d", "--name", "one", "--network", "side", "--network-alias", "db", IMAGE, *SLEEP)
    assert "1 packets received" in host.ok("run", "--rm", "--network", "side", IMAGE, "ping", "-c", "1", "-W", "2", "db")


def test_network_none_has_only_loopback(inside):
    assert inside("", "ls /sys/class/net") == "lo"


# ---- What an instance may not do when nothing is asked for ----

MASKED = ["/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"]


@pytest.mark.parametrize("path", MASKED)
def test_a_masked_path_tells_nothing(inside, path):
    if not Path(path).exists():
        pytest.skip(f"this kernel has no {path}")
    script = f"if test -d {path}; then ls -A {path}; touch {path}/x 2>/dev/null && echo written; else head -c 100 {path}; fi; true"
    assert inside("", script) == ""


@pytest.mark.parametrize("path", ["/proc/sys/kernel/msgmax", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity",
                                  "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/sys/kernel/core_pattern"])
def test_settings_of_the_kernel_are_read_only(inside, path):
    if not Path(path).exists():
        pytest.skip(f"this kernel has no {path}")
    assert "Read-only file system" in inside("", f"(: > {path}) 2>&1; true")


def test_control_groups_are_read_only(inside):
    assert "Read-only" in inside("", "for d in /sys/fs/cgroup/pids /sys/fs/cgroup; do test -d $d && mkdir $d/mine 2>&1; done; true")


def test_system_calls_are_filtered(inside):
    assert inside("", "grep Seccomp: /proc/self/status").split() == ["Seccomp:", "2"]


EPERM, ENOSYS = 1, 38
REFUSED = {"add_key": EPERM, "bpf": EPERM, "clone3": ENOSYS, "io_uring_setup": EPERM, "kcmp": EPERM, "keyctl": EPERM, "mount": EPERM,
           "open_by_handle_at": EPERM, "perf_event_open": EPERM, "pidfd_getfd": EPERM, "request_key": EPERM, "setns": EPERM,
           "umount2": EPERM, "unshare_user": EPERM, "userfaultfd": EPERM}
# Allowed by a right, refused without a filter too: they show nothing of the filter.
NEED_RIGHTS = {"bpf", "mount", "open_by_handle_at", "umount2", "perf_event_open", "userfaultfd"}


def errors(output):
    return {name: int(number) for name, number in (line.split(": ") for line in output.splitlines())}


@pytest.fixture(name="driver")
def fixture_driver():
    return ["-v", f"{programs.build_folder()}/tests/system/call_driver:/call:ro"]


def test_calls_are_refused_as_docker_refuses_them(inside, driver):
    assert errors(inside(driver, "/call " + " ".join(REFUSED))) == REFUSED


def test_without_the_filter_they_are_not(inside, driver):
    plain = sorted(set(REFUSED) - NEED_RIGHTS)
    free = errors(inside([*driver, "--security-opt", "seccomp=unconfined"], "/call " + " ".join(plain)))
    assert [name for name, number in free.items() if number == REFUSED[name]] == []


def test_a_right_opens_the_calls_that_need_it(inside, driver):
    opened = errors(inside([*driver, "--cap-add", "SYS_ADMIN"], "/call mount unshare_user setns bpf"))
    assert [name for name, number in opened.items() if number == EPERM] == []
    assert errors(inside([*driver, "--cap-add", "SYS_PTRACE"], "/call kcmp"))["kcmp"] != EPERM


def test_a_program_may_trace_its_children(inside, driver):
    """As with docker, on every kernel that has 4.8's fix."""
    assert errors(inside(driver, "/call ptrace")) == {"ptrace": 0}
