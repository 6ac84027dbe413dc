# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi run --isolation vm from end to end: the same image as in a container, in a virtual machine with a stock kernel, on the real KVM of
an emulated machine, which boots once for all of these tests."""
import json
import os
import re
import sys
from pathlib import Path

import pytest

from support import programs

sys.path.insert(0, str(Path(__file__).parent.parent / "nested"))
import onggi_host  # noqa: E402
import v2_machine  # noqa: E402

PROGRAMS = ["onggi", "onggi-runtime", "onggi-runtime-vm", "onggi-monitor", "onggi-finish", "onggi-reaper", "onggi-image", "onggi-init",
            "onggi-kernel", "onggi-load", "onggi-vmm"]

TOOLS = ["/usr/bin/mkfs.erofs", "/usr/sbin/mkfs.ext4"]

# Machines are started beside each other where they can be: booting is what takes the time.
SCRIPT = r"""
vm() { onggi run --isolation vm "$@"; }
say kernel
onggi kernel import && onggi kernel ls
onggi run -d --name web onggi/base sh -c 'mkdir /www; echo "from the container" >/www/x; exec httpd -f -h /www' >/dev/null
vm -d --name guest --memory 160m --cpus 1 -p 8081:80 -v data:/data --health-cmd 'test -e /www/x' --health-interval 500ms onggi/base sh -c '
    mkdir -p /www; echo "from the guest" >/www/x; echo kept >>/kept; wc -l </kept; echo shared >/data/file
    trap "echo told; exit 9" TERM; httpd -h /www; echo ready; while :; do sleep 1000 & wait $!; done' >/dev/null &
say hello
echo typed | vm --rm -i onggi/base sh -c 'echo out; echo err >&2; uname -r; cat; cat /proc/1/comm; id -u; exit 7' 2>/errors
echo "status $? errors $(tail -n 1 /errors)"
say settings
vm --rm -t --user 33:44 --workdir /srv/deep --env COLOUR=blue --hostname pot --read-only --tmpfs /scratch --cap-drop ALL onggi/base sh -c '
    tty; id -u; id -g; pwd; echo $COLOUR; hostname; touch /x; touch /scratch/x && echo scratch; grep CapEff /proc/self/status' 2>&1 | tr -d '\r'

say background
wait_for sh -c 'onggi logs guest | grep ready'
onggi logs guest
say ps
onggi ps --format '{{.Names}} {{.Isolation}} {{.Engine}} {{.State}}'
say inspect
onggi inspect guest
say exec
onggi exec guest sh -c 'echo inside; uname -r; exit 5'; echo "status $?"
echo typed | onggi exec -i --user 12 guest sh -c 'cat; id -u'
say top
onggi top guest
say stats
onggi stats --no-stream --format json guest
say names
onggi run --rm onggi/base wget -q -O - http://guest/x
onggi exec guest wget -q -O - http://web/x
say published
wget -q -O - http://127.0.0.1:8081/x
say volume
onggi run --rm --network none -v data:/data onggi/base cat /data/file
say health
wait_for sh -c 'onggi ps --format "{{.Status}}" | grep "(healthy)"' && echo healthy
say pause
onggi pause guest
onggi ps --filter name=guest --format '{{.State}}'
timeout 2 wget -q -T 1 -O - http://127.0.0.1:8081/x >/answer 2>/dev/null; cat /answer
onggi unpause guest
wget -q -O - http://127.0.0.1:8081/x
say limits
onggi update --memory 1g guest; onggi update --cpus 2 guest; onggi network create more; onggi network connect more guest
onggi update --cpus 0.5 guest
available() { onggi exec guest sh -c 'free -m' | awk '/^Mem/ { print $7 }'; }
before=$(available); onggi update --memory 120m guest
given() { [ $(available) -le $((before - 30)) ]; }
wait_for given && echo given
vm -d --name again --network none --restart on-failure:1 onggi/base sh -c 'echo try; exec sleep 1000' >/dev/null &
say stop
onggi stop guest
onggi inspect --format '{{.State.ExitCode}}' guest; onggi logs guest | tail -n 1
onggi start guest
wait_for sh -c 'onggi logs guest | grep -c ready | grep 2'
onggi logs guest | grep -x 2
onggi kill guest; onggi wait guest; onggi rm guest
say killed
kill_machine() { kill -9 $(onggi inspect --format '{{.State.Pid}}' again); }
wait_for sh -c 'onggi logs again | grep try'
kill_machine
wait_for sh -c 'onggi logs again | grep -c try | grep 2'
kill_machine
onggi wait again
onggi inspect --format '{{.RestartCount}} {{.State.ExitCode}} {{.State.Error}}' again; onggi ps -a --format '{{.Status}}' --filter name=again
onggi rm again
say compare
onggi compare --runs 1 --timeout 200s --format json onggi/base 2>/dev/null
say remains
onggi rm -f web; sleep 2
onggi ps -aq; pidof onggi-vmm onggi-monitor; ip link | grep -c tap; grep -c onggi /proc/mounts; ls /run/onggi/runtime-vm; find /sys/fs/cgroup/onggi -mindepth 1 -maxdepth 1 -type d
"""


@pytest.fixture(scope="module", name="found")
def fixture_found(tmp_path_factory):
    if v2_machine.missing():
        pytest.skip(v2_machine.missing())
    for tool in TOOLS:
        if not os.path.exists(tool):
            pytest.skip(f"{tool} is not installed (Debian: erofs-utils, e2fsprogs)")
    files = onggi_host.program_files(programs.program(name) for name in PROGRAMS)
    files.update(onggi_host.kernel_tree())
    files.update(onggi_host.tool_files(*TOOLS))
    files["/onggi/base.tar"] = programs.build_folder() / "src/image/base.tar"
    sections, everything = onggi_host.run(SCRIPT, files, tmp_path_factory.mktemp("isolation"), timeout=500)
    assert "remains" in sections, everything[-4000:]
    return sections


def release():
    return v2_machine.kernel().rpartition("vmlinuz-")[2]


def test_the_kernel_of_the_host_becomes_that_of_guests(found):
    assert release() in found["kernel"]


def test_streams_and_exit_status_are_the_programs_own(found):
    assert found["hello"].splitlines() == ["out", release(), "typed", "sh", "0", "status 7 errors err"]


def test_settings_mean_what_they_mean_in_a_container(found):
    lines = [line for line in found["settings"].splitlines() if "touch:" not in line and not line.startswith("[")]
    assert lines[0].startswith("/dev/") and lines[1:7] == ["33", "44", "/srv/deep", "blue", "pot", "scratch"], lines
    assert lines[7].split() == ["CapEff:", "0000000000000000"]
    assert "Read-only file system" in found["settings"]


def test_the_log_is_kept(found):
    assert "1\nready\n" in found["background"]


def test_ps_and_inspect_show_the_vessel(found):
    assert set(found["ps"].splitlines()) == {"guest vm kvm running", "web container  running"}
    inspected = json.loads(found["inspect"])[0]
    assert inspected["Vessel"]["Memory"] == 160 << 20 and inspected["Vessel"]["Engine"] == "kvm"
    assert inspected["State"]["Running"]


def test_exec_runs_a_program_beside(found):
    assert found["exec"].splitlines() == ["inside", release(), "status 5", "typed", "12"]


def test_top_shows_the_guests_processes(found):
    assert "PID" in found["top"] and "httpd" in found["top"] and "onggi-vmm" not in found["top"]


def test_stats_count_the_machine(found):
    row = json.loads(found["stats"])
    assert row["Name"] == "guest" and row["MemUsage"].split(" / ")[0] != "0B" and int(row["PIDs"]) >= 1


def test_a_container_and_a_guest_reach_each_other_by_name(found):
    assert found["names"].splitlines() == ["from the guest", "from the container"]


def test_a_published_port_leads_into_the_guest(found):
    assert found["published"] == "from the guest\n"


def test_a_volume_is_shared_with_a_container(found):
    assert found["volume"] == "shared\n"


def test_health_is_checked_inside(found):
    assert "healthy" in found["health"]


def test_a_paused_guest_stands_still(found):
    assert found["pause"].splitlines() == ["guest", "paused", "guest", "from the guest"]


def test_limits_change_where_they_can_and_are_refused_in_words_where_not(found):
    lines = found["limits"].splitlines()
    assert "cannot get more while it runs" in lines[0] and "cannot get more while it runs" in lines[1]
    assert "its network cards are those that it was started with" in lines[3]
    assert lines[4:] == ["guest", "guest", "given"]


def test_stop_is_the_programs_own_end_and_what_it_wrote_stays(found):
    assert found["stop"].splitlines()[:4] == ["guest", "9", "told", "guest"]
    assert found["stop"].splitlines()[4:] == ["2", "guest", "137", "guest"]


def test_the_death_of_the_machines_process_is_told_and_the_restart_policy_followed(found):
    lines = found["killed"].splitlines()
    assert "1 137 the virtual machine's process was killed by SIGKILL" in lines
    assert re.match(r"Exited \(137\) .* \(the virtual machine's process was killed by SIGKILL\)$", lines[-2]), lines


def test_both_vessels_are_compared(found):
    report = json.loads(found["compare"])
    assert [entry["name"] for entry in report["contestants"]] == ["container", "vm (kvm)"]
    rows = {row["name"]: row["cells"] for row in report["measurements"]}
    assert release() in rows["kernel"][1]["text"]
    for name in ("image", "kernel_files", "first_output", "own_memory", "guest_memory", "instances", "cpu", "calls", "io", "fork_bomb",
                 "memory_hog", "panic"):
        assert "value" in rows[name][1], (name, rows[name])
    assert rows["guest_memory"][1]["value"] > rows["guest_memory"][0]["value"]
    assert "the guest's kernel panicked: sysrq triggered crash" in rows["panic"][1]["text"]
    assert "killed at its limit" in rows["memory_hog"][1]["text"]


def test_nothing_is_left(found):
    assert [line for line in found["remains"].splitlines() if line not in ("web", "0")] == []
