# SPDX-License-Identifier: GPL-2.0-or-later
"""The runtime on a host with cgroup v2 alone: in an emulated machine, which boots once for all of these tests.

Each scenario is a shell script that runs in the machine with its bundles in /bundles/NAME; the tests look at what it
printed.
"""
import copy
import importlib.util
import json
import os
import re
import subprocess

import pytest

from support import bundle as bundles, programs

MACHINE = programs.REPOSITORY / "tests/nested/v2_machine.py"
CGROUP_MOUNT = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "relatime"]}
READ_ONLY_CGROUP_MOUNT = dict(CGROUP_MOUNT, options=CGROUP_MOUNT["options"] + ["ro"])
DENY_ALL = {"allow": False, "access": "rwm"}
CONSOLE = {"allow": True, "type": "c", "major": 5, "minor": 1, "access": "rwm"}
SCENARIOS = {}

PREPARE = """
mkdir -p /container/bin /container/dev /container/proc /container/sys /container/tmp /container/etc
cp /bin/busybox /container/bin/busybox
chroot /container /bin/busybox --install -s /bin
echo root:x:0:0::/:/bin/sh >/container/etc/passwd
"""

# Read by each scenario.
FUNCTIONS = """
rt() { /onggi-runtime --root /run/rt "$@"; }
group() { echo /sys/fs/cgroup/onggi/$1; }
# wait_for COMMAND...: until it succeeds, ten seconds at most
wait_for() { n=0; until "$@" >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 1000 ] || return 1; usleep 10000; done; }
"""
SCENARIO_SECONDS = 20


def config(*args, resources=None, **edits):
    """A bundle whose control group is /onggi/NAME; the container's own view of it is mounted read-only."""
    made = bundles.base_config(args)
    made["root"] = {"path": "/container", "readonly": False}
    made["mounts"].append(copy.deepcopy(edits.pop("cgroup_mount", READ_ONLY_CGROUP_MOUNT)))
    made["linux"]["resources"] = resources or {}
    made["linux"].update(edits)
    return made


def scenario(name, script, **configs):
    SCENARIOS[name] = (script, configs)


def shell(text, **settings):
    return config("/bin/sh", "-c", text, **settings)


scenario("limits", "rt run --bundle /bundles/limits limits", limits=shell(
    "cd /sys/fs/cgroup; cat memory.max memory.swap.max memory.low pids.max cpu.weight cpu.max cpuset.cpus memory.high",
    resources={"memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}, "pids": {"limit": 20},
               "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0"},
               "unified": {"memory.high": str(48 << 20)}}))

scenario("controllers", "rt run --bundle /bundles/plain plain",
         plain=shell("cat /sys/fs/cgroup/cgroup.controllers; cat /proc/self/cgroup"))

scenario("oom", """
rt run --bundle /bundles/oom oom
echo "status $?"
""", oom=shell("tail /dev/zero", resources={"memory": {"limit": 16 << 20, "swap": 16 << 20}}))

scenario("devices", """
mknod /container/tmp/node c 5 1
rt create --bundle /bundles/devices devices
rt start devices
rt exec devices sh -c 'echo x >/dev/null && echo null-allowed'
rt exec devices dd if=/tmp/node of=/dev/null bs=1 count=0 2>/dev/null && echo node-allowed || echo node-denied
rt update --resources /bundles/allow/config.json devices
rt exec devices dd if=/tmp/node of=/dev/null bs=1 count=0 2>/dev/null && echo node-allowed || echo node-denied
rt update --resources /bundles/deny/config.json devices
rt exec devices dd if=/tmp/node of=/dev/null bs=1 count=0 2>/dev/null && echo node-allowed || echo node-denied
rt update --pids-limit 33 devices
rt exec devices sh -c 'echo x >/dev/null && echo null-allowed'
rt delete --force devices
""", devices=shell("exec sleep 1000", resources={"devices": [DENY_ALL]}),
    allow={"devices": [DENY_ALL, CONSOLE]}, deny={"devices": [DENY_ALL]})

scenario("pause", """
rt create --bundle /bundles/counter counter
rt start counter
wait_for test -s /container/tmp/count
rt pause counter
cat $(group counter)/cgroup.freeze
rt state counter | grep '"status"'
before=$(cat /container/tmp/count)
usleep 200000
[ "$before" = "$(cat /container/tmp/count)" ] && echo stands
rt resume counter
rt state counter | grep '"status"'
moved() { [ "$before" != "$(cat /container/tmp/count)" ]; }
wait_for moved && echo moves
rt pause counter
rt delete --force counter && echo deleted
ls -d $(group counter)
""", counter=shell("n=0; while :; do n=$((n+1)); echo $n >/tmp/next; mv /tmp/next /tmp/count; usleep 5000; done"))

scenario("children", """
rt create --bundle /bundles/children children
rt start children
wait_for test -e /container/tmp/ready
find $(group children) -type d | wc -l
rt ps children | grep -c sleep
rt kill --all children KILL
stopped() { rt state children | grep -q stopped; }
wait_for stopped && echo stopped
rt delete children && echo deleted
ls -d $(group children)
""", children=shell("cd /sys/fs/cgroup; mkdir -p a/b; sleep 1000 & echo $! >a/cgroup.procs;"
                    "sleep 1001 & echo $! >a/b/cgroup.procs; touch /tmp/ready; exec sleep 1002",
                    cgroup_mount=CGROUP_MOUNT))

scenario("delegation", """
rt run --bundle /bundles/delegation delegation
mkdir /sys/fs/cgroup/kept
rt create --bundle /bundles/kept kept
stat -c '%u %n' $(group kept) $(group kept)/cgroup.procs $(group kept)/memory.max
rt delete --force kept
""", delegation=shell("cd /sys/fs/cgroup; mkdir inner && echo made; echo $$ >inner/cgroup.procs && echo moved;"
                      "(echo max >memory.max) 2>/dev/null || echo limit-kept", cgroup_mount=CGROUP_MOUNT,
                      uidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
                      gidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
                      namespaces=[{"type": kind} for kind in ("user", "pid", "ipc", "uts", "mount", "cgroup")]),
    kept=shell("exit", uidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
               gidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
               namespaces=[{"type": kind} for kind in ("user", "pid", "ipc", "uts", "mount", "cgroup")]))

scenario("processes_inside", """
mkdir -p /sys/fs/cgroup/busy
sleep 1000 & echo $! >/sys/fs/cgroup/busy/cgroup.procs
rt run --bundle /bundles/busy busy
echo "status $?"
find /sys/fs/cgroup/busy -type d
kill $!
""", busy=shell("exit", cgroupsPath="/busy/below", resources={"pids": {"limit": 5}}))

scenario("occupied", """
mkdir -p /sys/fs/cgroup/occupied
sleep 1000 & echo $! >/sys/fs/cgroup/occupied/cgroup.procs
rt run --bundle /bundles/occupied occupied
echo "status $?"
cat /sys/fs/cgroup/occupied/cgroup.procs | wc -l
kill $!
""", occupied=shell("exit", cgroupsPath="/occupied"))

REFUSED = {
    "swappiness": ({"memory": {"swappiness": 10}}, "memory.swappiness"),
    "kernel": ({"memory": {"kernel": 1 << 20}}, "memory.kernel"),
    "oom_killer": ({"memory": {"disableOOMKiller": True}}, "memory.disableOOMKiller"),
    "realtime": ({"cpu": {"realtimeRuntime": 5000}}, "cpu.realtimeRuntime"),
    "class": ({"network": {"classID": 1}}, "network.classID"),
    "pages": ({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}, "3MB"),
    "unknown_file": ({"unified": {"memory.nothing": "1"}}, "memory.nothing"),
    "unknown_controller": ({"unified": {"nothing.max": "1"}}, "nothing.max"),
}
for word, (limits, _) in REFUSED.items():
    scenario(f"refused_{word}",
             f"rt run --bundle /bundles/refused_{word} refused; echo \"status $?\"; ls -d $(group refused)",
             **{f"refused_{word}": shell("exit", resources=limits)})

scenario("update", """
rt create --bundle /bundles/update update
rt start update
rt update --memory 33554432 --memory-swap 67108864 --pids-limit 7 --cpu-quota 20000 update
cd $(group update)
cat memory.max memory.swap.max pids.max cpu.max
rt exec update cat /proc/self/cgroup
rt events --stats update
cd /
rt delete --force update
ls -d $(group update)
""", update=shell("exec sleep 1000", resources={"memory": {"limit": 16 << 20}}))


def load_machine():
    specification = importlib.util.spec_from_file_location("v2_machine", MACHINE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def is_static(path):
    return b"INTERP" not in subprocess.run(["readelf", "-lW", path], check=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(scope="module", name="printed")
def fixture_printed(worker_folder):
    """{scenario: what it printed}, after one boot."""
    machine = load_machine()
    lacking = machine.missing()
    if lacking:
        pytest.skip(f"no machine with cgroup v2 alone: {lacking}")
    runtime = programs.program("onggi-runtime")
    if not is_static(runtime):
        pytest.skip(f"{runtime} is not static, as sanitized programs are; it cannot run in the emulated machine")

    folder = worker_folder / "bundles"
    script = PREPARE
    for name, (text, configs) in SCENARIOS.items():
        for bundle, content in configs.items():
            (folder / bundle).mkdir(parents=True)
            (folder / bundle / "config.json").write_text(json.dumps(content))
        (folder / f"{name}.sh").write_text(FUNCTIONS + text)
        script += f"echo '@@ {name}'\ntimeout {SCENARIO_SECONDS} sh /bundles/{name}.sh\n"
    status, output = machine.run(script, {"/onggi-runtime": runtime, "/bundles": folder}, timeout=120)
    parts = re.split(r"^@@ (\w+)\n", output, flags=re.MULTILINE)
    assert status != 124, f"the machine did not end:\n{output}"
    if os.environ.get("ONGGI_VERBOSE"):
        print(output)
    return dict(zip(parts[1::2], parts[2::2]))


def test_limits_are_written_as_v2_words_them(printed):
    assert printed["limits"].split("\n")[:8] == [
        str(64 << 20), str(32 << 20), str(32 << 20), "20", "100", "50000 100000", "0", str(48 << 20)]


def test_a_new_container_has_the_usual_controllers_and_is_alone(printed):
    controllers, own = printed["controllers"].splitlines()
    assert set(controllers.split()) >= {"cpu", "cpuset", "io", "memory", "pids"}
    assert own == "0::/"


def test_a_process_beyond_its_memory_is_killed(printed):
    assert "status 137" in printed["oom"]


def test_device_rules_are_replaced_and_not_stacked(printed):
    assert printed["devices"].split() == ["null-allowed", "node-denied", "node-allowed", "node-denied", "null-allowed"]


def test_pause_stops_the_container_and_delete_works_while_paused(printed):
    lines = printed["pause"].splitlines()
    assert lines[0] == "1"
    assert "paused" in lines[1] and lines[2] == "stands"
    assert "running" in lines[3] and lines[4] == "moves"
    assert lines[5] == "deleted"
    assert "No such file" in lines[6]


def test_kill_and_delete_reach_child_control_groups(printed):
    lines = printed["children"].splitlines()
    assert lines[:4] == ["3", "3", "stopped", "deleted"]
    assert "No such file" in lines[4]


def test_a_user_namespace_gets_its_control_group_but_not_its_limits(printed):
    lines = printed["delegation"].splitlines()
    assert lines[:3] == ["made", "moved", "limit-kept"]


def test_without_a_writable_mount_nothing_is_handed_over(printed):
    owners = [line.split()[0] for line in printed["delegation"].splitlines()[3:]]
    assert owners == ["0", "0", "0"]


def test_processes_in_the_parent_are_named_as_the_reason(printed):
    lines = printed["processes_inside"].splitlines()
    assert "/sys/fs/cgroup/busy" in lines[0] and "holds processes itself" in lines[0]
    assert lines[1] != "status 0"
    assert lines[2:] == ["/sys/fs/cgroup/busy"]


def test_an_occupied_control_group_is_refused_and_left_alone(printed):
    lines = printed["occupied"].splitlines()
    assert "holds processes already" in lines[0]
    assert lines[1] != "status 0"
    assert lines[2] == "1"


@pytest.mark.parametrize("word", REFUSED)
def test_what_v2_cannot_hold_is_refused_by_its_name(printed, word):
    lines = printed[f"refused_{word}"].splitlines()
    assert REFUSED[word][1] in lines[0]
    assert lines[1] != "status 0"
    assert "No such file" in lines[2]


def test_update_exec_and_statistics(printed):
    lines = printed["update"].splitlines()
    assert lines[:3] == [str(32 << 20), str(32 << 20), "7"]
    assert lines[3].split()[0] == "20000"
    assert lines[4] == "0::/"
    event = json.loads(lines[5])
    assert event["type"] == "stats" and event["id"] == "update"
    assert event["data"]["memory"]["usage"]["limit"] == 32 << 20
    assert event["data"]["pids"]["limit"] == 7
    assert event["data"]["pids"]["current"] >= 1
    assert event["data"]["cpu"]["usage"]["total"] > 0
    assert "No such file" in lines[6]
