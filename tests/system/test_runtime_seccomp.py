# SPDX-License-Identifier: GPL-2.0-or-later
"""Seccomp through onggi-runtime: filters hold, are cached, and reach listeners."""
import array
import json
import socket
import subprocess
import threading

import pytest

pytestmark = pytest.mark.root


def deny(*names, action="SCMP_ACT_ERRNO", **more):
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [dict({"names": list(names), "action": action}, **more)]}


@pytest.fixture
def run(runtime, bundle, unique):
    def call(*args, profile, new_privileges=False):
        def edit(made):
            made.linux["seccomp"] = profile
            made.process["noNewPrivileges"] = not new_privileges
        return runtime("run", "--bundle", bundle(*args, edit=edit), unique())
    return call


@pytest.mark.parametrize("new_privileges", [False, True])
def test_a_denied_call_fails_with_its_errno(run, new_privileges):
    done = run("mkdir", "/tmp/x", profile=deny("mkdir", "mkdirat", errnoRet=28), new_privileges=new_privileges)
    assert done.returncode == 1 and "No space left" in done.stderr


def test_a_killed_program_ends_by_sigsys(run):
    assert run("mkdir", "/tmp/x", profile=deny("mkdir", "mkdirat", action="SCMP_ACT_KILL_PROCESS")).returncode == 128 + 31


def test_the_filter_need_not_allow_what_the_runtime_calls(run):
    """With noNewPrivileges it is loaded last: this one forbids what comes before."""
    assert run("true", profile=deny("setresuid", "capset", "prctl", "mount", "chdir", "setgroups")).returncode == 0


def test_the_mode_and_the_filter_show_in_status(run):
    done = run("grep", "Seccomp", "/proc/self/status", profile=deny("mkdir"))
    assert done.stdout.split() == ["Seccomp:", "2", "Seccomp_filters:", "1"]


def test_exec_is_filtered_too(runtime, bundle, unique):
    name = unique()

    def edit(made):
        made.linux["seccomp"] = deny("mkdir", "mkdirat")
    runtime.ok("create", "--bundle", bundle("sleep", "1000", edit=edit), name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    runtime.ok("start", name)
    done = runtime("exec", name, "mkdir", "/tmp/x")
    assert done.returncode == 1 and "not permitted" in done.stderr
    runtime.ok("delete", "--force", name)


def cached(runtime):
    return [path for path in runtime.root.rglob("*") if path.is_file() and len(path.name) == 64]


def test_a_filter_is_compiled_once_and_a_damaged_one_again(runtime, run):
    assert run("true", profile=deny("mkdir", "mkdirat")).returncode == 0
    files = cached(runtime)
    assert len(files) == 1
    inode = files[0].stat().st_ino
    assert run("true", profile=deny("mkdir", "mkdirat")).returncode == 0
    assert files[0].stat().st_ino == inode

    content = bytearray(files[0].read_bytes())
    content[-3] ^= 0xff
    files[0].write_bytes(content)
    done = run("mkdir", "/tmp/x", profile=deny("mkdir", "mkdirat"))
    assert done.returncode == 1 and "not permitted" in done.stderr
    assert files[0].read_bytes() != bytes(content)


def test_a_listener_gets_the_descriptor_and_the_state_of_the_container(runtime, folder, bundle, unique):
    path, name = folder / "listener", unique()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)
    received = {}

    def listen():
        connection, _ = server.accept()
        received["text"], ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
        received["fds"] = array.array("i", ancillary[0][2]).tolist()
        # Nobody answers: with the listener's end the calls fail with ENOSYS.
        for fd in received["fds"]:
            socket.close(fd)
    listener = threading.Thread(target=listen)
    listener.start()

    def edit(made):
        made.linux["seccomp"] = dict(deny("mkdir", "mkdirat", action="SCMP_ACT_NOTIFY"), listenerPath=str(path), listenerMetadata="meta")
    done = runtime("run", "--bundle", bundle("mkdir", "/tmp/x", edit=edit), name)
    listener.join(30)
    server.close()
    state = json.loads(received["text"])
    assert len(received["fds"]) == 1
    assert state["fds"] == ["seccompFd"] and state["metadata"] == "meta" and state["pid"] > 0
    assert state["state"]["id"] == name and state["state"]["status"] in ("creating", "created")
    assert done.returncode == 1 and "not implemented" in done.stderr


@pytest.mark.parametrize("change, words", [
    ({"defaultAction": "SCMP_ACT_MAYBE"}, "SCMP_ACT_MAYBE"),
    ({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL", "errnoRet": 1}]}, "linux.seccomp.syscalls[0]"),
    ({"architectures": ["SCMP_ARCH_Z80"]}, "linux.seccomp.architectures[0]"),
    ({"flags": ["NONE"]}, "linux.seccomp.flags[0]"),
    ({"syscalls": {}}, "linux.seccomp.syscalls must be an array"),
    ({"listenerMetadata": "x"}, "listenerPath"),
    ({"syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}], "listenerPath": "/no/listener"}, "/no/listener"),
])
def test_an_invalid_profile_is_refused_at_its_field(runtime, bundle, unique, change, words):
    def edit(made):
        made.linux["seccomp"] = dict(deny("mkdir"), **change)
    assert words in runtime.refuses("run", "--bundle", bundle("true", edit=edit), unique())


def test_features_list_what_the_specification_names(runtime):
    seccomp = runtime.json("features")["linux"]["seccomp"]
    assert seccomp["enabled"] and len(seccomp["archs"]) == 23 and len(seccomp["actions"]) == 9 and len(seccomp["operators"]) == 7
    assert "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" in seccomp["knownFlags"]
