# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi compare: what it measures, that it says why a cell is empty, and that it leaves nothing behind."""
import json
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


def cells(report, contestant):
    names = [entry["name"] for entry in report["contestants"]]
    return {row["name"]: row["cells"][names.index(contestant)] for row in report["measurements"]}


def usable_vm(report):
    return [entry["name"] for entry in report["contestants"] if entry["isolation"] == "vm" and "why" not in entry]


def test_a_container_is_measured_and_what_is_missing_says_why(host):
    report = host.json("compare", "--runs", "2", "--format", "json", IMAGE)
    found = cells(report, "container")
    assert found["kernel"]["text"].startswith("Linux ")
    assert found["image"]["value"] > 100000
    assert 0 < found["first_output"]["least"] <= found["first_output"]["value"] <= found["first_output"]["most"] < 20
    assert found["first_output"]["runs"] == 2
    assert "--ready-port" in found["ready"]["why"]
    assert 0 < found["own_memory"]["value"] < 8 << 20
    assert found["guest_memory"]["value"] > 0 and found["instances"]["value"] > 1
    for load in ("cpu", "calls", "io"):
        assert 0.01 < found[load]["value"] < 100, found[load]
    assert found["cpu"]["processor_time"] > 0
    assert 2 <= found["fork_bomb"]["processes"] <= 256 and found["fork_bomb"]["value"] < 20
    assert "killed at its limit" in found["memory_hog"]["text"]
    assert "its kernel is the host's" in found["panic"]["why"]
    if not usable_vm(report):
        for cell in cells(report, "vm (kvm)").values():
            assert "KVM" in cell["why"] or "kvm" in cell["why"]
    assert host.ok("ps", "--all", "--quiet") == ""


def test_the_table_has_a_column_for_each_vessel_and_notes_below(host):
    text = host.ok("compare", "--only", "kernel", "--only", "panic", "--no-faults", IMAGE)
    table, _, notes = text.partition("\n\n")
    lines = table.splitlines()
    assert len(lines) == 3 and lines[0].startswith(IMAGE) and "vm (kvm)" in lines[0]
    assert lines[1].startswith("Kernel it sees") and "- (" in lines[2]
    assert notes.startswith("(1) ")


def test_a_program_of_ones_own_is_timed_to_output_and_to_ready(host):
    report = host.json("compare", IMAGE, "--runs", "1", "--only", "first_output", "--only", "ready", "--format", "json",
                       "--ready-command", "test -e /ready",
                       "--", "sh", "-c", "sleep 0.2; echo up; sleep 0.2; touch /ready; exec sleep 1000")
    found = cells(report, "container")
    assert set(found) == {"first_output", "ready"}
    assert 0.2 <= found["first_output"]["value"] < 0.4 + 5
    assert 0.4 <= found["ready"]["value"] < 20
    silent = host.json("compare", IMAGE, "--runs", "1", "--only", "first_output", "--format", "json", "--", "false")
    assert "printed nothing and ended with status 1" in cells(silent, "container")["first_output"]["why"]


def test_a_port_that_answers_is_ready(host):
    report = host.json("compare", IMAGE, "--runs", "1", "--only", "ready", "--format", "json", "--ready-port", "8000",
                       "--", "sh", "-c", "sleep 0.2; while :; do nc -l -p 8000 </dev/null; done")
    ready = cells(report, "container")["ready"]
    assert "value" in ready and 0.2 <= ready["value"] < 20, ready


def test_an_interruption_ends_it_without_remains(host):
    compare = host.popen("compare", IMAGE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 20
    while host.ok("ps", "--quiet") == "":
        assert time.monotonic() < end
    compare.send_signal(signal.SIGINT)
    _, errors = compare.communicate(timeout=30)
    assert compare.returncode == 1 and "interrupted" in errors
    assert host.ok("ps", "--all", "--quiet") == ""


@pytest.mark.parametrize("words, told", [
    (("--runs", "0", IMAGE), "--runs"),
    (("--format", "xml", IMAGE), "neither table nor json"),
    (("--only", "colour", IMAGE), "none of kernel, image"),
    (("--ready-port", "80", "--ready-command", "true", IMAGE), "exclude each other"),
    (("localhost/missing:1",), "no such image"),
])
def test_what_makes_no_sense_is_refused(host, words, told):
    assert told in host.refuses("compare", *words)
