# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that die half-way, many commands at once, many instances: the state stays whole and nothing is left."""
import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import leaks, programs
from support.network_host import network, outside  # noqa: F401


def test_points(*files):
    """The names of the test points in these sources, so that a new one is not forgotten here."""
    sources = [(programs.REPOSITORY / "src/network" / file).read_text() for file in files]
    return re.findall(r'test_point\("([^"]+)"\)', "".join(sources))


test_points.__test__ = False
MAKING = test_points("attach.c", "bridge.c") + ["network.pin.file-made", "network.pin.made"]
RELEASING = ["network.pin.unmounted", "network.pin.removed", "network.ports.withdrawn", "network.lease.removed"]
DETACHING = ["network.veth.deleted", "network.ports.withdrawn", "network.lease.removed"]
REMOVING = [point for point in test_points("network.c") if ".remove." in point]


def die_at(network, point, *words):
    done = network(*words, env={"ONGGI_TEST_KILL": point})
    assert done.returncode == -9, f"{point} was not passed: {done}"


def veths(network):
    return [link for link in network.run("host", "ip", "-o", "link", "show", "type", "veth").splitlines()]


@pytest.mark.parametrize("point", [point for point in MAKING if "removed" not in point])
class TestAnAttachThatDied:
    def start(self, network, point):
        network.ok("make", "other")
        die_at(network, point, "make", "a", "--", *network.attach_words("a", ports=["8080:80"]))

    def test_is_taken_back_by_the_instances_release(self, network, point):
        self.start(network, point)
        network.ok("release", "a", "--", "release", "other")
        assert network.json("inspect", "default")["instances"] == {}

    def test_is_taken_back_by_a_repair(self, network, point):
        self.start(network, point)
        network.ok("repair", "other")
        assert veths(network) == []
        assert network.run("host", "nft", "list", "tables") == ""
        assert os.listdir(f"{network.state}/netns") == ["other"]

    def test_does_not_keep_the_instance_from_starting_again(self, network, point):
        self.start(network, point)
        network.ok("release", "a")
        network.start("a", ports=["8080:80"])
        network.serve("a", "tcp", 80)
        assert network.ask("host", "tcp", "127.0.0.1", 8080)

    def test_does_not_keep_others_from_starting(self, network, point):
        self.start(network, point)
        network.attach("other", "default", ports=["8081:80"])
        network.serve("other", "tcp", 80)
        assert network.ask("host", "tcp", "127.0.0.1", 8081)


@pytest.mark.core
@pytest.mark.parametrize("point", RELEASING)
def test_a_release_that_died_is_finished_by_the_next_or_by_a_repair(network, point):
    for instance, finish in (("a", ["release", "a"]), ("b", ["repair", "stays"])):
        network.start(instance, ports=["8080:80"])
        network.ok("make", "stays")
        die_at(network, point, "release", instance)
        network.ok(*finish)
        assert network.json("inspect", "default")["instances"] == {}
        assert os.listdir(f"{network.state}/netns") == ["stays"]
        network.start("next", ports=["8080:80"])
        network.ok("release", "next")


@pytest.mark.parametrize("point", DETACHING)
def test_a_detach_that_died_is_finished_by_the_release(network, point):
    network.start("a", ports=["8080:80"])
    die_at(network, point, "detach", "a", "default")
    network.ok("release", "a")
    assert network.json("inspect", "default")["instances"] == {}


def test_ports_whose_handing_over_died_are_opened_by_a_repair(network):
    network.ok("create", "n")
    network.start("a", ports=["8080:80"])
    network.attach("a", "n")
    network.serve("a", "tcp", 80)
    die_at(network, "network.ports.handed-over", "detach", "a", "default")
    network.ok("repair", "a")
    assert network.ask("host", "tcp", "127.0.0.1", 8080)


@pytest.mark.core
@pytest.mark.parametrize("point", REMOVING)
def test_a_networks_removal_that_died_can_be_done_again(network, point):
    network.ok("create", "n", "subnet=10.77.0.0/24")
    network.start("a", "n")
    die_at(network, point, "rm", "n", "force=yes")
    network.ok("rm", "n", "force=yes")
    network.ok("create", "n", "subnet=10.77.0.0/24")
    network.ok("release", "a", "--", "rm", "n")


def test_a_sweep_that_was_killed_is_done_by_the_next(network):
    network.start("a")
    network.ok("release", "a", env={"ONGGI_TEST_KILL": "network.bridge.removed"})
    time.sleep(1.5)  # the process that sweeps a second later has died by then
    network.ok("repair")
    assert network.run("host", "nft", "list", "tables") == ""


def test_many_commands_at_once_end_consistent(network):
    """Eight at a time: each makes an instance with a port, looks, and half of them go again."""
    network.ok("create", "second")

    def life(number):
        attachment = network.start(f"i{number}", ("default", "second")[number % 2], ports=["80"])
        if number % 4 < 2:
            network.ok("release", f"i{number}")
        return number, attachment

    with ThreadPoolExecutor(8) as workers:
        attachments = dict(workers.map(life, range(200)))
    alive = {number: attachment for number, attachment in attachments.items() if number % 4 >= 2}
    assert len({attachment["address"] for attachment in alive.values()}) == 100
    assert len({attachment["ports"][0]["host"] for attachment in alive.values()}) == 100
    listed = {**network.json("inspect", "default")["instances"], **network.json("inspect", "second")["instances"]}
    assert listed.keys() == {f"i{number}" for number in alive}
    names = Path(network.hosts("i2")).read_text().split()
    assert {f"i{number}" for number in alive if number % 2 == 0} == {name for name in names if re.fullmatch(r"i\d+", name)}
    elements = json.loads(network.run("host", "nft", "-j", "list", "ruleset"))["nftables"]
    published = next(entry["map"] for entry in elements if entry.get("map", {}).get("name") == "ports4")
    assert len(published["elem"]) == 100
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda number: network.ok("release", f"i{number}"), alive))
    assert network.json("inspect", "default")["instances"] == {}


@pytest.mark.slow
def test_a_thousand_instances_fit_on_one_network(network):
    words = []
    for number in range(1000):
        words += ["make", f"i{number}", "--", *network.attach_words(f"i{number}"), "--"]
    network.ok(*words[:-1], timeout=300)
    last = network.start("last")
    assert len(network.json("inspect", "default")["instances"]) == 1001
    network.serve("last", "tcp", 80)
    assert network.ask("i0", "tcp", last["address"], 80)
    assert Path(network.hosts("i0")).read_text() == Path(network.hosts("last")).read_text()
    network.ok("repair", timeout=300)


def test_names_that_a_killed_process_did_not_write_are_written_by_the_next(network):
    """From some dozens of instances on, a process of its own tells the others the newcomers' names."""
    for number in range(34):
        network.start(f"a{number}")
    wait_until(lambda: "\ta33\n" in Path(network.hosts("a0")).read_text())
    network.ok("make", "b", "--", *network.attach_words("b"), env={"ONGGI_TEST_KILL": "network.names.written"})
    statuses = []
    wait_until(lambda: leaks.descendants(statuses) is not None and signal.SIGKILL in statuses)
    network.start("c")
    for name in ("a0", "a33"):
        wait_until(lambda name=name: {"\tb\n", "\tc\n"} <= set(re.findall("\t[bc]\n", Path(network.hosts(name)).read_text())))


def wait_until(condition, seconds=20):
    """For what happens in another process and sends no event."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
