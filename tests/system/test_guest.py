# SPDX-License-Identifier: GPL-2.0-or-later
"""An image inside a virtual machine: onggi-init and its agent under a stock kernel, on the real KVM of an emulated machine."""
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from support import programs

sys.path.insert(0, str(Path(__file__).parent.parent / "nested"))
import guests  # noqa: E402
import v2_machine  # noqa: E402

MIB = 1 << 20
MACHINE = {"version": 1, "root": {"disk": "image"}, "writable": {"disk": "writable"}, "hostname": "jar"}
PIPES = {"input": 1025, "output": 1026, "errors": 1027}
PATH = "PATH=/bin:/sbin:/usr/bin"

PROGRAM = """
echo "arguments $0 $1"
echo "variable $VARIABLE"
echo "user $(id -u):$(id -g) groups $(id -G)"
echo "host $(hostname) process $$"
echo "limit $(ulimit -n)"
echo "address $(ip -o addr show dev eth0 | tr -s ' ' | cut -d' ' -f4 | tr '\\n' ' ')"
echo "route $(ip route | head -n 1)"
echo "loopback $(ip -o link show lo | grep -c UP)"
echo "forwarding $(cat /proc/sys/net/ipv4/ip_forward)"
cat /etc/resolv.conf
read line; echo "input $line"; cat >/dev/null; echo "input ended"
echo "written by the first" >/var/tmp/kept
echo "a word on errors" >&2
exit 7
"""

# Waits for a signal, in a way that one wakes it.
WAITS = 'trap "echo got TERM; exit 42" TERM; cat /var/tmp/kept; echo waiting; while :; do sleep 1 & wait; done'

AGENT = """
agent=/bin/agent
$agent /v watch >/watched &
$agent /v start 0 0; echo "start $?"
until grep -q waiting /output; do sleep 0.1; done
echo "line one" | $agent /v exec "$(cat /exec-shell.json)"; echo "exec $?"
$agent /v exec "$(cat /exec-missing.json)" </dev/null; echo "missing $?"
$agent /v exec "$(cat /exec-sleep.json)" </dev/null 2>/process & sleeping=$!
until grep -q process /process; do sleep 0.1; done
$agent /v signal $(cut -d' ' -f2 /process) 15; echo "signalled $?"
wait $sleeping; echo "sleeper $?"
$agent /v signal 77777 9; echo "nobody $?"
$agent /v statistics; echo "statistics $?"
$agent /v exec "$(cat /exec-terminal.json)" </dev/null | tr -d '\\r'
$agent /v copy-in /var/tmp <"/in.tar"; echo "copied in $?"
$agent /v exec "$(cat /exec-look.json)" </dev/null; echo "looked $?"
$agent /v copy-out /var/tmp/in >/out.tar; echo "copied out $?"
echo "archive $(base64 </out.tar | tr -d '\\n')"
$agent /v copy-out /nowhere; echo "nowhere $?"
$agent /v copy-in /var/tmp <"/evil.tar"; echo "evil $?"
$agent /v exec "$(cat /exec-evil.json)" </dev/null; echo "seen $?"
for hex in ffffffff01000000 0000000063000000 0100000001000000 00000000070000000000; do $agent /v raw $hex; done
$agent /v signal 0 15; echo "stopped $?"
"""


def process(*args, **more):
    return {"args": list(args), "cwd": "/", "env": [PATH], "user": {"uid": 0, "gid": 0}, **more}


def config(*args, **more):
    """The configuration that `onggi-runtime spec` writes, with another program, and with what only a host understands."""
    spec = json.loads(subprocess.run([programs.program("onggi-runtime"), "spec", "--bundle", config.folder], check=True,
                                     capture_output=True, text=True).stdout or Path(config.folder, "config.json").read_text())
    Path(config.folder, "config.json").unlink()
    spec["process"].update(process(*args, terminal=False, **more))
    spec["root"] = {"path": "rootfs"}
    spec["linux"]["cgroupsPath"] = "/somewhere/on/the/host"
    spec["linux"]["namespaces"] = [{"type": "network", "path": "/run/netns/of-the-host"}, {"type": "pid"}]
    spec["linux"].setdefault("resources", {})["memory"] = {"limit": 4096}
    spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    spec["hooks"] = {"createRuntime": [{"path": "/of/the/host"}]}
    spec["mounts"].append({"destination": "/etc/resolv.conf", "type": "bind", "source": "/run/onggi/files/resolv.conf",
                           "options": ["bind", "ro"]})
    return spec


def tar(*members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid = kind, 0o750, 1000
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content.decode()
                archive.addfile(info)
    return data.getvalue()


class Machines:
    """Collects machines of the image onggi/base for one boot of the emulated machine."""

    def __init__(self, folder):
        self.folder, self.root = folder, folder / "root"
        self.bench = guests.Bench(folder, programs.program("onggi-vmm"))
        self.root.mkdir()
        config.folder = folder
        build = programs.build_folder()
        driver = [build / "tests/system/image_driver", self.root]
        subprocess.run([programs.program("onggi-image"), "--root", self.root, "load", "-q", "-i", build / "src/image/base.tar"],
                       check=True)
        erofs = subprocess.run([*driver, "erofs", "onggi/base"], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run([*driver, "disk", self.root, str(32 * MIB), folder / "disk"], check=True)
        subprocess.run([programs.program("onggi"), "--root", self.root, "--state", folder / "state", "kernel", "import"], check=True, capture_output=True)
        kernel = self.root / "kernels/default"
        agent = folder / "agent"
        subprocess.run(["cc", "-static", "-I", programs.REPOSITORY / "src", "-o", agent, Path(__file__).parent.parent / "nested/agent.c"],
                       check=True)
        self.bench.files.update({"/erofs": erofs, "/disk": folder / "disk", "/bin/agent": agent,
                                 "/vmlinux": kernel / "vmlinux", "/initramfs": kernel / "initramfs"})
        del self.bench.files["/kernel"]

    def add(self, name, machine, spec, options=(), before="", after="", redirect=""):
        archive = v2_machine.Initramfs()
        archive.file("onggi/machine.json", json.dumps({**MACHINE, **machine}).encode(), 0o600)
        archive.file("onggi/config.json", json.dumps(spec).encode(), 0o600)
        archive.write(self.folder / f"{name}.cpio")
        self.bench.files[f"/{name}.cpio"] = self.folder / f"{name}.cpio"
        self.bench.commands += [
            f"echo 'guest {name}:'", before,
            f"timeout 90 onggi-vmm --kernel /vmlinux --initrd /initramfs --initrd /{name}.cpio --disk /erofs,ro,serial=image "
            f"--disk /disk,serial=writable --vsock /v --append 'console=ttyS0 {self.command_line()}' {' '.join(options)} {redirect}",
            f"echo 'onggi-vmm of {name} ended with '$?", after]

    @staticmethod
    def command_line():
        text = (programs.REPOSITORY / "src/kernel/kernel.h").read_text()
        return "".join(re.findall(r'"([^"\n]*)"', text[text.index("#define KERNEL_COMMAND_LINE"):text.index("struct kernel {")]))


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """Every machine of this file, one after the other in one emulated machine."""
    if v2_machine.missing():
        pytest.skip(v2_machine.missing())
    for tool in ("mkfs.erofs", "mkfs.ext4"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed (Debian: erofs-utils, e2fsprogs)")
    machines = Machines(tmp_path_factory.mktemp("guest"))
    bench = machines.bench
    for name, document in {"shell": process("sh", "-c", "read line; echo \"got $line in $(hostname)\"; echo wrong >&2; exit 3"),
                           "missing": process("/no/such/program"), "sleep": process("sleep", "100"),
                           "terminal": process("sh", "-c", "tty; test -t 0 && echo on a terminal", terminal=True),
                           "look": process("sh", "-c", "cd /var/tmp; ls -ln in | tr -s ' ' | cut -d' ' -f1,3,9-; cat in/file"), "evil": process("ls", "/etc/evil")}.items():
        bench.file(f"/exec-{name}.json", json.dumps(document).encode())
    bench.file("/in.tar", tar(("in", tarfile.DIRTYPE, b""), ("in/file", tarfile.REGTYPE, b"copied\n"),
                              ("in/link", tarfile.SYMTYPE, b"file"), ("in/" + "long" * 40, tarfile.REGTYPE, b"")))
    bench.file("/evil.tar", tar(("out", tarfile.SYMTYPE, b"/etc"), ("out/evil", tarfile.REGTYPE, b"")))

    network = {"interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:09", "mtu": 1400, "addresses": ["10.9.1.2/24", "fd00:9::2/64"]}],
               "routes": [{"to": "default", "via": "10.9.1.1", "interface": "eth0"}],
               "files": [{"name": "resolv.conf", "text": "nameserver 10.9.1.1\n"}], "streams": PIPES}
    user = {"uid": 1000, "gid": 1001, "additionalGids": [1002]}
    machines.add("program", network,
                 config("sh", "-c", PROGRAM, "one", "two words", env=[PATH, "VARIABLE=a value"], user=user,
                        rlimits=[{"type": "RLIMIT_NOFILE", "hard": 2000, "soft": 2000}]),
                 options=["--network tap=tap0,address=02:00:00:00:00:09", "--stream 1025=3 --stream 1026=1 --stream 1027=2"],
                 before="mknod /dev/net/tun c 10 200; tunctl -t tap0 >/dev/null && ip addr add 10.9.1.1/24 dev tap0 && ip link set tap0 up\n"
                        "echo 'a line' >/input", redirect="3</input </dev/null 2>/errors", after="cat /errors; ls /v 2>&1")
    files = {"files": network["files"]}
    machines.add("agent", {**files, "streams": {"output": 1026}, "start": False}, config("sh", "-c", WAITS),
                 options=["--stream 1026=1"], redirect="</dev/null >/output",
                 before=f"cat >/drive <<'END'\n{AGENT}\nEND\nsh /drive >/driven 2>&1 & driver=$!",
                 after="wait $driver; cat /driven; cat /output; cat /watched")
    machines.add("down", files, config("sleep", "100"), redirect="</dev/null", before="agent /v shut-down 0 0 &")
    machines.add("fails", files, config("/no/such/program"), redirect="</dev/null", before="agent /v watch &")
    return bench.run(memory=1200)


@pytest.mark.slow
def test_a_program_runs_as_its_configuration_says(nested):
    status, output = nested["program"]
    assert status == 7, output
    for line in ("arguments one two words", "variable a value", "user 1000:1001 groups 1001 1002", "process 1",
                 "limit 2000", "input a line", "input ended", "nameserver 10.9.1.1"):
        assert line in output, output
    assert "a word on errors" in output.partition("ended with")[2]


@pytest.mark.slow
def test_a_machine_has_the_network_it_was_given(nested):
    output = nested["program"][1]
    assert "address 10.9.1.2/24 fd00:9::2/64" in output
    assert "route default via 10.9.1.1 dev eth0" in output
    assert "loopback 1" in output and "forwarding 1" in output


@pytest.mark.slow
def test_what_is_written_stays_on_the_disk(nested):
    assert "written by the first" in nested["agent"][1]


@pytest.mark.slow
def test_the_program_waits_for_its_start_and_tells_how_it_ended(nested):
    status, output = nested["agent"]
    assert status == 42, output
    assert "start 0" in output and "got TERM" in output and "stopped 0" in output
    assert re.findall(r"^state (\d) exit (\d+)", output, re.MULTILINE)[-2:] == [("3", "0"), ("4", "42")], output


@pytest.mark.slow
def test_exec_has_streams_and_an_exit_status_of_its_own(nested):
    output = nested["agent"][1]
    assert "got line one in " in output and "wrong" in output and "exec 3" in output
    assert re.search(r"error -\d+: .*no/such/program", output) and "missing 98" in output
    assert "on a terminal" in output and "/dev/pts/0" in output, output


@pytest.mark.slow
def test_a_signal_reaches_the_program_that_it_is_for(nested):
    output = nested["agent"][1]
    assert "signalled 0" in output and "sleeper 143" in output
    assert "error -3: program 77777 does not run" in output and "nobody 98" in output


@pytest.mark.slow
def test_statistics_are_those_of_the_runtime_inside(nested):
    line = re.search(r"^(\{.*\"type\":\"stats\".*\})$", nested["agent"][1], re.MULTILINE)
    data = json.loads(line.group(1))["data"]
    assert data["pids"]["current"] >= 1 and data["cpu"]["usage"]["total"] > 0


@pytest.mark.slow
def test_trees_are_copied_in_and_out(nested):
    output = nested["agent"][1]
    assert "copied in 0" in output and re.search(r"^-rwxr-x--- 1000 file$", output, re.MULTILINE) and "link -> file" in output
    archive = re.search(r"^archive (\S+)$", output, re.MULTILINE).group(1)
    with tarfile.open(fileobj=io.BytesIO(__import__("base64").b64decode(archive))) as copied:
        assert {member.name for member in copied} == {"in", "in/file", "in/link", "in/" + "long" * 40}
        assert copied.extractfile("in/file").read() == b"copied\n" and copied.getmember("in/link").linkname == "file"
        assert copied.getmember("in/file").uid == 1000
    assert "seen 1" in output                   # a link in the archive led nowhere out of the folder
    assert "error -2: /nowhere" in output and "nowhere 98" in output


@pytest.mark.slow
def test_frames_that_are_none_close_their_connection_alone(nested):
    assert nested["agent"][1].count("closed after 0 bytes") == 4


@pytest.mark.slow
def test_a_shut_down_ends_the_machine_at_once(nested):
    assert nested["down"][0] == 137, nested["down"][1]


@pytest.mark.slow
def test_a_program_that_is_not_there_is_reported_in_one_line(nested):
    status, output = nested["fails"]
    assert status == 125 and re.search(r"onggi-init: .*/no/such/program", output), output
