# SPDX-License-Identifier: GPL-2.0-or-later
"""The ground that the other tests stand on holds: leaks are seen, the host is not touched."""
import os
import subprocess
from pathlib import Path

import pytest

from support import leaks, private_host as hosts

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def needs_root(request):
    if os.geteuid():
        pytest.skip("needs root")


def test_leak_counter_sees_a_mount_a_link_a_table_and_a_file(private_host):
    counter = leaks.Counter()
    place = Path("/run/leak")
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "leak", place], check=True)
    subprocess.run(["ip", "link", "add", "leak0", "type", "bridge"], check=True)
    subprocess.run(["nft", "add", "table", "ip", "leak"], check=True)
    left = counter.left(patience=0)
    assert {text.split(":")[0] for text in left} == {"mount", "link", "nftables table", "file"}


def test_leak_counter_sees_an_orphan_and_its_lock_and_namespace(folder):
    counter = leaks.Counter()
    subprocess.run(["sh", "-c", f"unshare --net flock {folder} sleep 1000 >/dev/null 2>&1 &"], check=True)
    while not any("sleep 1000" in name and "flock" not in name for name in leaks.descendants().values()):
        pass
    left = counter.left(patience=0)
    for pid in leaks.descendants():
        os.kill(pid, 9)
    assert {text.split(":")[0] for text in left} == {"process", "network namespace", "lock"}
    counter.check()


def test_leak_counter_sees_a_control_group():
    counter = leaks.Counter()
    group = Path(hosts.cgroup_hierarchies()[0][0]) / "leak"
    group.mkdir()
    left = counter.left(patience=0)
    group.rmdir()
    assert left == [f"control group: {group}"]


def test_private_host_ends_with_its_test():
    with hosts.Nested():
        subprocess.run(["ip", "link", "add", "leak0", "type", "bridge"], check=True)
    assert "leak0" not in subprocess.run(["ip", "link"], check=True, capture_output=True, text=True).stdout


def test_a_bundle_runs_and_returns_the_programs_own_exit_status(runtime, bundle, unique):
    done = runtime("run", "--bundle", bundle("/bin/sh", "-c", "echo hello; exit 7"), unique())
    assert (done.returncode, done.stdout) == (7, "hello\n")
