# SPDX-License-Identifier: GPL-2.0-or-later
"""--systemd-cgroup with a real systemd: Debian's, in an emulated machine, with cgroup v2, hybrid and v1."""
import json
import os
import re
import subprocess

import pytest

from support import bundle as bundles, programs
from test_cgroup_v2 import is_static, load_machine

pytestmark = [pytest.mark.root, pytest.mark.slow]

LAYOUTS = {
    "v2": "",
    "hybrid": "systemd.unified_cgroup_hierarchy=0",
    "v1": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
}

SCRIPT = """
mkdir -p /container/bin /container/dev /container/proc /container/sys
cp /bin/busybox /container/bin/busybox
rt() { /onggi-runtime --root /run/rt --systemd-cgroup "$@"; }
stop() { rt delete --force $1; }
show() { systemctl show --value -p "$2" "$1"; }
fields() { for field in ActiveState Slice Delegate TasksMax ControlGroup; do echo "$field $(show $1 $field)"; done; }
run() {
    # An initial ramdisk cannot be pivoted away from.
    rt create --no-pivot --bundle /bundle one && rt start one
    fields pre-one.scope
    sed 's/^/member /' /proc/$(rt state one | sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p')/cgroup
    rt update --pids-limit 21 one && echo "updated $(show pre-one.scope TasksMax)"
    stop one && echo "deleted"
    echo "after $(systemctl is-active pre-one.scope)"
    find /sys/fs/cgroup -name pre-one.scope
}
echo failure
rt create --bundle /bundle one 2>&1 | wc -l
find /sys/fs/cgroup -name pre-one.scope
echo over-the-private-socket; run
# Later systemds may do without it: the message bus it is then.
rm /run/systemd/private; systemctl is-active dbus.service >/dev/null || systemctl start dbus.service
echo over-the-bus; run
"""


@pytest.fixture(scope="module", name="systemd_root")
def fixture_systemd_root(worker_folder):
    lacking = load_machine().missing()
    if lacking:
        pytest.skip(f"no machine to emulate: {lacking}")
    if not is_static(programs.program("onggi-runtime")):
        pytest.skip("sanitized programs are not static; they cannot run in the emulated machine")
    root = worker_folder / "systemd"
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]
    # Packages come from outside the network namespace that the tests live in; who started them lives there.
    made = subprocess.run(["nsenter", "--target", str(os.getppid()), "--net", "mmdebstrap", "--variant=minbase",
                           "--include=systemd,systemd-sysv,dbus,busybox-static", *excluded, "bookworm", root],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"mmdebstrap cannot make a root file system with systemd: {made.stderr.strip().splitlines()[-1]}")
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_container_is_a_scope_of_systemd_while_it_lives(systemd_root, folder, layout):
    config = bundles.base_config(["/bin/busybox", "sleep", "1000"])
    config["root"] = {"path": "/container"}
    config["linux"]["cgroupsPath"] = "a-b.slice:pre:one"
    config["linux"]["resources"] = {"pids": {"limit": 20}, "memory": {"limit": 64 << 20}}
    (folder / "bundle").mkdir()
    (folder / "bundle/config.json").write_text(json.dumps(config))
    status, output = load_machine().run(
        SCRIPT, {"/onggi-runtime": programs.program("onggi-runtime"), "/bundle": folder / "bundle"}, memory=1536,
        timeout=200, systemd_root=systemd_root, layout=LAYOUTS[layout])
    assert status != 124, output
    parts = re.split(r"^over-the-[\w-]+\n", output, flags=re.MULTILINE)
    assert len(parts) == 3, output
    # Pivoting fails: one line of explanation, and nothing is left.
    assert parts[0].split() == ["failure", "1"], output
    for part in parts[1:]:
        lines = part.splitlines()
        assert lines[:5] == ["ActiveState active", "Slice a-b.slice", "Delegate yes", "TasksMax 20",
                             "ControlGroup /a.slice/a-b.slice/pre-one.scope"], output
        members = [line for line in lines if line.startswith("member")]
        assert members and all(line.endswith("/a.slice/a-b.slice/pre-one.scope") for line in members), output
        assert lines[5 + len(members):] == ["updated 21", "deleted", "after inactive"], output
