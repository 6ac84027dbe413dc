# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi-runtime-vm on the real KVM of an emulated machine: bundles whose program runs in a virtual machine of its own."""
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import programs

sys.path.insert(0, str(Path(__file__).parent.parent / "nested"))
import onggi_host  # noqa: E402
import v2_machine  # noqa: E402

CAPABILITIES = ["CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN"]
MOUNTS = [{"destination": "/proc", "type": "proc", "source": "proc"},
          {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
          {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}]

LIFE = """trap 'echo got a signal' USR1; echo ready; cat; echo the end of input; echo trouble >&2
ip -o addr show eth0; ip -o link show eth0; ip route
ping -c 1 -W 5 10.7.0.1 | grep received; echo from the guest | nc -w 5 10.7.0.1 9000; nc -l -p 8080 -e cat; echo served
while :; do sleep 0.1; done"""

TERMINAL = """stty size; before=$(stty size); n=0; echo waiting
while [ "$(stty size)" = "$before" ] && [ $n -lt 300 ]; do n=$((n+1)); usleep 100000; done
stty size; read line; echo "line: $line"; exit 3"""

IMAGE = """cat /etc/hosts; cat /volume/greeting; echo written >/volume/new; echo x >/fixed/new || echo fixed; echo kept >/mine; sync
echo "memory $(grep MemTotal /proc/meminfo | tr -dc 0-9) processors $(nproc)"; echo c >/proc/sysrq-trigger"""

# A network namespace as an engine makes one, with its other end here.
HOST = r"""
export ONGGI_MACHINE_FILES=1; IP=/usr/sbin/ip; R="timeout 120 onggi-runtime-vm"
mkdir -p /b/rootfs/bin /b/rootfs/proc /b/rootfs/dev /b/volume
cp /bin/busybox /b/rootfs/bin/
for i in sh cat id ip nc ping ps sleep stty tty usleep hostname grep; do ln -s busybox /b/rootfs/bin/$i; done
for i in life tty fail lost; do ln -s ../rootfs /b/$i/rootfs; done
echo hello from the volume >/b/volume/greeting; echo 10.7.0.9 somewhere >/b/hosts
unshare -n sleep 100000 & namespace=$!
wait_for test /proc/$namespace/ns/net -ef /proc/$namespace/ns/net; usleep 100000
touch /run/network; mount --bind /proc/$namespace/ns/net /run/network
inside() { nsenter --net=/run/network "$@"; }
$IP link add outer mtu 1400 type veth peer name eth0 mtu 1400 address 02:00:0a:07:00:02 netns $namespace
$IP addr add 10.7.0.1/24 dev outer; $IP link set outer up
inside $IP addr add 10.7.0.2/24 dev eth0; inside $IP link set eth0 up; inside $IP route add default via 10.7.0.1
onggi kernel import >/dev/null
left() { ls -A /run/onggi/runtime; find /sys/fs/cgroup -path '*/onggi/*' -type d; inside $IP -o link | grep -o 'onggi-vm.'; inside /usr/sbin/tc qdisc | grep ingress; }

say life
(echo hello back | nc -l -p 9000 >/run/received) &
(echo this is input | $R run -b /b/life life >/run/out 2>/run/err; echo "ended with $?" >/run/ended) &
wait_for grep 'the end of input' /run/out
wait_for sh -c 'echo through the wire | nc -w 2 10.7.0.2 8080 >/run/echoed 2>/dev/null; [ -s /run/echoed ]'
wait_for grep served /run/out
cat /run/out /run/err /run/received /run/echoed

say exec
echo from outside | $R exec life /bin/sh -c 'id -u; cat; echo err >&2; exit 5'; echo "exec $?"
$R exec life /bin/nothing; echo "exec $?"
$R exec --env A=b --cwd /bin --user 3:4 life /bin/sh -c 'echo $A $(pwd) $(id -u):$(id -g)'
echo '{"args":["/bin/sh","-c","hostname; tty; stty size; exit 4"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0},"terminal":true,"consoleSize":{"height":11,"width":22}}' >/run/process
$R exec --process /run/process life </dev/null; echo "exec $?"
$R exec --detach --pid-file /run/exec-pid life /bin/sh -c 'while :; do sleep 0.1; done' </dev/null
kill $(cat /run/exec-pid); wait_for test ! -d /proc/$(cat /run/exec-pid)/fd; echo "a signal to the stand-in ends the program"
$R ps life

say looks
$R state life | jq -Mc '{id,status}'
$R list -q
$R events --stats life | jq -Mc '[.data.memory.usage > 10000000, .data.guest.type, .data.guest.data.memory.usage.usage < 10000000]'
$R pause life && $R state life | jq -r .status
$R exec life /bin/true; $R kill life USR1; $R resume life && $R state life | jq -r .status
$R update --memory 64m life

say kill
$R kill life USR1 && wait_for grep 'got a signal' /run/out && echo signalled
$R kill life KILL; echo "kill $?"; wait_for cat /run/ended; cat /run/ended; left

say tty
cat >/run/terminal.sh <<'E'
stty rows 30 cols 90; tty >/run/terminal
timeout 100 onggi-runtime-vm run -b /b/tty tty; echo "ended with $?"
E
(wait_for grep waiting /run/typescript && stty -F $(cat /run/terminal) rows 44 cols 144; wait_for grep '44 144' /run/typescript; echo typed) |
    script -q -f -c "sh /run/terminal.sh" /run/typescript >/dev/null
cat /run/typescript

say fail
$R run -b /b/fail fail </dev/null; echo "ended with $?"; left

say image
$R create -b /b/image --pid-file /run/pid image </dev/null >/run/out 2>&1; echo "create $?"
$R state image | jq -r .status; grep -z -q create /proc/$(cat /run/pid)/cmdline && echo waits
$R start image; echo "start $?"
wait_for sh -c 'onggi-runtime-vm state image | grep -q stopped'
cat /run/out /b/volume/new /run/reason; ls -1 /b/volume; $R state image | jq -r '.annotations."org.onggi.vm.ended"'
grep -c kept /ext4; $R delete image; echo "delete $?"; left

say lost
$R run -d -b /b/lost --pid-file /run/pid lost </dev/null >/run/out 2>&1; echo "run $?"; left | sort | uniq | wc -l
kill -9 $(cat /run/pid); wait_for sh -c 'onggi-runtime-vm state lost | grep -q stopped'
$R exec lost /bin/true; $R kill lost TERM; $R delete lost; echo "delete $?"; left
kill $namespace
"""


def configuration(script, terminal=False, mounts=(), network=False, **more):
    """A bundle's config.json as engines write it."""
    namespaces = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]
    return {"ociVersion": "1.0.2", "hostname": "inside", "root": {"path": "rootfs"}, "mounts": [*MOUNTS, *mounts],
            "process": {"terminal": terminal, "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], "cwd": "/",
                        "args": ["/bin/sh", "-c", script] if " " in script else [script],
                        "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}},
            "linux": {"namespaces": [*namespaces, {"type": "network", **({"path": "/run/network"} if network else {})}]}, **more}


def image_files(folder):
    """A root file system as EROFS, and an empty disk for what is written."""
    tree = folder / "tree"
    for name in ("bin", "proc", "dev", "volume", "fixed", "etc"):
        (tree / name).mkdir(parents=True)
    (tree / "etc/hosts").touch()
    shutil.copy(v2_machine.BUSYBOX, tree / "bin/busybox")
    for name in ("sh", "cat", "grep", "tr", "nproc", "sync"):
        (tree / "bin" / name).symlink_to("busybox")
    subprocess.run(["mkfs.erofs", "--quiet", folder / "erofs", tree], check=True)
    subprocess.run(["truncate", "--size", "16M", folder / "ext4"], check=True)
    subprocess.run(["mkfs.ext4", "-q", folder / "ext4"], check=True)
    return {"/erofs": folder / "erofs", "/ext4": folder / "ext4"}


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    """What each section of the script above printed, in one boot of the emulated machine."""
    if v2_machine.missing():
        pytest.skip(v2_machine.missing())
    tools = ["/usr/bin/jq", "/usr/bin/script", "/usr/sbin/ip", "/usr/sbin/tc"]
    for tool in (*tools, "mkfs.erofs", "mkfs.ext4"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed (Debian: jq, bsdutils, iproute2, erofs-utils, e2fsprogs)")
    folder = tmp_path_factory.mktemp("runtime-vm")
    binds = [{"destination": "/volume", "type": "bind", "source": "/b/volume", "options": ["rbind"]},
             {"destination": "/fixed", "type": "bind", "source": "/b/volume", "options": ["bind", "ro"]},
             {"destination": "/etc/hosts", "type": "bind", "source": "../hosts", "options": ["bind"]}]
    annotations = {"org.onggi.vm.image": "/erofs", "org.onggi.vm.disk": "/ext4", "org.onggi.vm.memory": str(192 << 20),
                   "org.onggi.vm.cpus": "2", "org.onggi.vm.reason": "/run/reason"}
    bundles = {"life": configuration(LIFE, network=True), "tty": configuration(TERMINAL, terminal=True),
               "fail": configuration("/bin/nothing"), "lost": configuration("while :; do sleep 1; done", network=True),
               "image": configuration(IMAGE, mounts=binds, annotations=annotations)}
    files = {**onggi_host.kernel_tree(), **image_files(folder), **onggi_host.tool_files(*tools),
             **onggi_host.program_files([programs.program(name) for name in (
                 "onggi", "onggi-runtime-vm", "onggi-runtime", "onggi-vmm", "onggi-init", "onggi-kernel", "onggi-monitor")])}
    for name, content in bundles.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
        files[f"/b/{name}/config.json"] = folder / f"{name}.json"
    found, output = onggi_host.run(HOST, files, folder)
    assert "lost" in found, output[-6000:]
    # The emulated machine's kernel talks on the same line.
    return {name: re.sub(r"^\[ *\d+\.\d+\] .*\n", "", text, flags=re.MULTILINE) for name, text in found.items()}


@pytest.mark.slow
def test_the_streams_of_a_program_are_those_that_the_runtime_was_given(sections):
    text = sections["life"]
    assert "ready\nthis is input\nthe end of input\n" in text, text
    assert "trouble" in text.partition("served")[2], text


@pytest.mark.slow
def test_a_guest_takes_over_the_interface_of_its_network_namespace(sections):
    text = sections["life"]
    assert re.search(r"inet 10\.7\.0\.2/24", text) and "mtu 1400" in text and "02:00:0a:07:00:02" in text, text
    assert "default via 10.7.0.1" in text and "1 packets received" in text, text
    assert text.count("from the guest") == 1 and text.count("through the wire") == 1, text   # in, and back out


@pytest.mark.slow
def test_exec_returns_the_programs_own_exit_status(sections):
    text = sections["exec"]
    assert "0\nfrom outside\n" in text and "err\n" in text and "exec 5\n" in text, text
    assert "no such file or directory" in text and "exec 1\n" in text, text
    assert "b /bin 3:4\n" in text, text


@pytest.mark.slow
def test_exec_with_a_terminal_has_one_of_the_guests(sections):
    text = sections["exec"].replace("\r", "")
    assert re.search(r"inside\n/dev/pts/\d+\n11 22\nexec 4\n", text), text


@pytest.mark.slow
def test_signals_reach_an_executed_program_by_its_stand_in(sections):
    assert "a signal to the stand-in ends the program" in sections["exec"]
    assert "waited in vain" not in sections["exec"]


@pytest.mark.slow
def test_ps_shows_what_runs_inside(sections):
    lines = [line for line in sections["exec"].splitlines() if "ps -ef" in line]
    assert len(lines) == 1, sections["exec"]


@pytest.mark.slow
def test_what_is_said_of_a_running_machine(sections):
    lines = sections["looks"].splitlines()
    assert lines[:3] == ['{"id":"life","status":"running"}', "life", '[true,"stats",true]'], lines


@pytest.mark.slow
def test_a_paused_machine_is_told_so_and_goes_on(sections):
    text = sections["looks"]
    assert re.search(r"^paused\n.*cannot exec in a paused container.*\n.*it is paused, and would not answer\nrunning$", text,
                     re.MULTILINE), text


@pytest.mark.slow
def test_a_running_machine_does_not_get_less_memory(sections):
    assert "was started with 256 MiB and cannot do with less" in sections["looks"]


@pytest.mark.slow
def test_signals_go_to_the_program_and_a_kill_gives_its_status(sections):
    text = sections["kill"]
    assert text.startswith("signalled\nkill 0\nended with 137\n"), text
    assert text.endswith("ended with 137\n"), text                # nothing is left


@pytest.mark.slow
def test_a_terminal_has_the_size_of_the_one_outside_and_follows_it(sections):
    text = sections["tty"].replace("\r", "")
    assert "30 90\nwaiting\n44 144\n" in text, text
    assert "line: typed\n" in text and "ended with 3" in text, text


@pytest.mark.slow
def test_a_program_that_cannot_be_executed_is_the_runtimes_error(sections):
    text = sections["fail"]
    assert re.search(r'onggi-runtime-vm: exec: "/bin/nothing".*no such file', text), text
    assert text.endswith("ended with 1\n"), text


@pytest.mark.slow
def test_a_created_machine_waits_and_a_started_one_runs(sections):
    assert sections["image"].startswith("create 0\ncreated\nwaits\nstart 0\n"), sections["image"]


@pytest.mark.slow
def test_an_image_a_disk_folders_and_files_are_where_the_bundle_wants_them(sections):
    text = sections["image"]
    assert "10.7.0.9 somewhere\nhello from the volume\n" in text and "fixed\n" in text, text
    memory, processors = map(int, re.search(r"memory (\d+) processors (\d+)", text).groups())
    assert 150 << 10 < memory < 192 << 10 and processors == 2, text
    assert "written\n" in text and "greeting\nnew\n" in text, text


@pytest.mark.slow
def test_the_reason_of_a_panic_is_told(sections):
    text = sections["image"]
    assert text.count("the guest's kernel panicked: sysrq triggered crash\n") == 2, text
    assert re.search(r"^[1-9]\d*\ndelete 0\n\Z", text, re.MULTILINE), text       # what was synced is on the disk


@pytest.mark.slow
def test_nothing_is_left_of_a_machine_whose_process_was_killed(sections):
    text = sections["lost"]
    assert text.startswith("run 0\n") and int(text.splitlines()[1]) >= 4, text
    assert "cannot exec in a stopped container" in text and "container not running" in text, text
    assert text.endswith("delete 0\n"), text
