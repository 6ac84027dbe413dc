# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi doctor: true about this host, useful about what is missing, and without a trace."""
import json
import os
import subprocess

import pytest

from support import private_host as hosts, programs

pytestmark = pytest.mark.root


@pytest.fixture(name="doctor")
def fixture_doctor(no_leaks, sanitizer_reports):
    """doctor(): the findings by topic; a topic may have several."""
    caller = programs.Caller(programs.program("onggi"), ["doctor"])

    def findings(**settings):
        done = caller("--format", "json", **settings)
        report = json.loads(done.stdout)
        assert done.returncode == (0 if report["Containers"] else 1)
        topics = {}
        for finding in report["Findings"]:
            topics.setdefault(finding["topic"], []).append(finding)
        return report["Containers"], topics
    findings.caller = caller
    return findings


@pytest.mark.core
def test_containers_can_run_where_these_tests_run(doctor):
    containers, topics = doctor()
    assert containers
    for topic in ("kernel", "seccomp", "overlayfs", "user namespaces", "id-mapped mounts", "network namespaces", "bridge", "veth",
                  "nftables", "KVM"):
        assert topic in topics
    assert topics["overlayfs"][0]["state"] == "ok"
    assert os.uname().release in topics["kernel"][0]["found"]


def test_what_is_missing_has_its_cost_and_its_cure(doctor):
    _, topics = doctor()
    for findings in topics.values():
        for finding in findings:
            assert ("cost" in finding and "cure" in finding) == (finding["state"] != "ok")


def test_the_controllers_of_this_host_are_named_where_they_are(doctor):
    _, topics = doctor()
    found = topics["control groups"][0]["found"]
    for _, kind, controllers in hosts.cgroup_hierarchies():
        assert ("v1:" if kind == "cgroup" else "v2:") in found
        if kind == "cgroup" and not controllers.startswith("name="):
            assert controllers.split(",")[0] in found


def test_people_get_a_line_for_each_finding(doctor):
    _, topics = doctor()
    text = doctor.caller.ok()
    assert text.startswith("Containers can run on this machine.")
    assert all(topic in text for topic in topics)


def test_a_host_without_control_groups_is_told_so_with_a_remedy(doctor, private_host):
    hosts.detach("/sys/fs/cgroup")
    containers, topics = doctor()
    assert not containers
    finding, = topics["control groups"]
    assert finding["state"] == "missing" and "mount -t cgroup2" in finding["cure"]


def test_kvm_that_is_not_there_costs_containers_nothing(doctor, private_host):
    if not os.path.exists("/dev/kvm"):
        pytest.skip("this host has no /dev/kvm that could be hidden")
    hosts.bind("/dev/null", "/dev/kvm")
    containers, topics = doctor()
    hosts.detach("/dev/kvm")
    assert containers
    assert topics["KVM"][0]["state"] == "limited"


def test_an_ordinary_user_is_told_what_holds_for_ordinary_users(doctor, private_host):
    done = doctor.caller("--format", "json", user=65534, group=65534, extra_groups=[])
    report = json.loads(done.stdout)
    topics = {finding["topic"]: finding for finding in report["Findings"]}
    assert topics["sub-ids"]["state"] == "missing"
    assert not report["Containers"] and done.returncode == 1
    assert topics["bridge"]["state"] == "ok"  # in a user and network namespace


def test_another_firewall_that_drops_forwarded_packets_is_pointed_out(doctor, private_host):
    assert "other rules" not in doctor()[1]
    subprocess.run(["nft", "add table inet strict; add chain inet strict guard { type filter hook forward priority 0; policy drop; }"],
                   check=True)
    containers, topics = doctor()
    assert containers and "strict" in topics["other rules"][0]["found"]
    subprocess.run(["nft", "delete table inet strict"], check=True)


def test_doctor_leaves_no_link_mount_or_process_behind(doctor, no_leaks):
    before = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    doctor()
    assert subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout == before
    no_leaks.check()
