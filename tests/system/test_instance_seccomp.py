# SPDX-License-Identifier: GPL-2.0-or-later
"""--security-opt seccomp=FILE: profiles in the runtime-spec's form and in Docker's language."""
import errno
import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"
ENGINES_PROFILE = Path("/usr/share/containers/seccomp.json")


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


def write(folder, **profile):
    """A profile that lets everything happen but what its rules say."""
    path = folder / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", **profile}))
    return path


def run(host, profile, *words):
    return host("run", "--rm", "--network", "none", "--security-opt", f"seccomp={profile}", *words)


def refuse_mkdir(**conditions):
    return {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOTTY, **conditions}


def is_refused(done):
    assert done.returncode == 0 or "Inappropriate ioctl" in done.stderr, done.stderr
    return done.returncode != 0


@pytest.mark.core
def test_a_profile_of_the_specification_is_applied(host, folder):
    assert is_refused(run(host, write(folder, syscalls=[refuse_mkdir()]), IMAGE, "mkdir", "/tmp/x"))


def test_a_rule_follows_the_capabilities_of_the_instance(host, folder):
    profile = write(folder, archMap=[{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
                    syscalls=[refuse_mkdir(includes={}, excludes={"caps": ["CAP_SYS_TIME"]})])
    assert is_refused(run(host, profile, IMAGE, "mkdir", "/tmp/x"))
    assert not is_refused(run(host, profile, "--cap-add", "SYS_TIME", IMAGE, "mkdir", "/tmp/x"))


def test_a_rule_follows_the_kernel(host, folder):
    old = write(folder, syscalls=[refuse_mkdir(includes={"minKernel": "4.1"})])
    assert is_refused(run(host, old, IMAGE, "mkdir", "/tmp/x"))
    new = write(folder, syscalls=[refuse_mkdir(includes={"minKernel": "99.0"})])
    assert not is_refused(run(host, new, IMAGE, "mkdir", "/tmp/x"))


@pytest.mark.core
def test_the_profile_that_other_engines_use_is_understood(host):
    if not ENGINES_PROFILE.exists():
        pytest.skip(f"{ENGINES_PROFILE} of the package golang-github-containers-common is not there")
    done = run(host, ENGINES_PROFILE, IMAGE, "sh", "-c", "mkdir /tmp/x && grep Seccomp: /proc/self/status")
    assert (done.returncode, done.stdout) == (0, "Seccomp:\t2\n"), done.stderr


@pytest.mark.parametrize("rule, word", [({"names": ["mkdir"], "action": "DENY"}, "syscalls[0].action"),
                                        (refuse_mkdir(excludes={"cap": ["CAP_CHOWN"]}), "syscalls[0].excludes")])
def test_a_misfit_is_named_and_nothing_is_made(host, folder, rule, word):
    profile = write(folder, syscalls=[rule])
    line = host.refuses("create", "--security-opt", f"seccomp={profile}", IMAGE, status=125)
    assert str(profile) in line and word in line
    assert host.ok("ps", "--all", "--quiet") == ""


def test_a_missing_profile_is_named(host):
    assert "seccomp=/nosuch" in host.refuses("create", "--security-opt", "seccomp=/nosuch", IMAGE, status=125)


def test_a_relative_profile_is_found_from_elsewhere(host, folder):
    write(folder, syscalls=[refuse_mkdir()])
    host.ok("create", "--name", "one", "--network", "none", "--security-opt", "seccomp=profile.json", IMAGE, "mkdir", "/tmp/x",
            cwd=folder)
    assert is_refused(host("start", "--attach", "one", cwd="/"))
