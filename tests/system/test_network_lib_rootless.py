# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks of an ordinary user, inside a user namespace: bridges among the instances, pasta to everybody else."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.network_host import HOST4, HOST6, OUTSIDE4, OUTSIDE6, NetworkDriver, network  # noqa: F401

pytestmark = pytest.mark.skipif(not shutil.which("pasta"), reason="pasta (package passt) is not installed")
NOBODY = 65534


class OrdinaryUser(NetworkDriver):
    """All commands run in the user and mount namespaces of one holder, as onggi's own do."""

    def __init__(self, folder):
        super().__init__(folder / "root", folder / "state")
        self.shared.append("--rootless")
        process = subprocess.Popen(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "unshare", "--user",
                                    "--map-root-user", "--mount", "sh", "-c", "echo ready; exec sleep infinity"],
                                   stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline() == "ready\n"
        self.enter = ["nsenter", f"--target={process.pid}", "--user", "--mount", "--"]

    def command(self, *words):
        return [*self.enter, *super().command(*words)]

    def where(self, place):
        inside = [] if place == "host" else self.enter if place != "outside" else []
        return [*inside, *super().where(place)]


@pytest.fixture
def user(private_host, no_leaks, sanitizer_reports, folder):
    os.chmod(folder.parent, 0o755)
    os.chown(folder, NOBODY, NOBODY)
    driver = OrdinaryUser(folder)
    driver.make_outside()
    yield driver
    driver.close()


def test_instances_of_one_network_reach_each_other_by_address_and_name(user):
    user.ok("create", "own")
    a, b = user.start("a", "own"), user.start("b", "own")
    user.serve("b", "tcp", 80, address=b["address"])
    assert user.ask("a", "tcp", b["address"], 80) == f"b {a['address']}"
    assert f"{b['address']}\tb\n" in Path(user.hosts("a")).read_text()


def test_networks_are_isolated_from_each_other(user):
    user.ok("create", "own")
    user.start("a")
    b = user.start("b", "own")
    user.serve("b", "tcp", 80)
    assert user.ask("a", "tcp", b["address"], 80, patience=1) is None


def test_an_instance_reaches_outside_but_not_from_an_internal_network(user):
    user.ok("create", "closed", "internal=yes")
    user.start("a")
    user.start("b", "closed")
    user.serve("outside", "tcp", 80)
    assert user.ask("a", "tcp", OUTSIDE4, 80) == f"outside {HOST4}"
    assert user.ask("b", "tcp", OUTSIDE4, 80, patience=1) is None


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_published_port_is_reachable_and_the_instance_sees_by_whom(user, kind):
    user.start("web", ports=[f"8080:80/{kind}"])
    user.serve("web", kind, 80)
    assert user.ask("outside", kind, HOST4, 8080) == f"web {OUTSIDE4}"


def test_a_port_published_on_loopback_is_only_there(user):
    """TCP alone: the pasta of Debian 12 loses datagrams that come over the host's loopback."""
    user.start("web", ports=["127.0.0.1:8080:80"])
    user.serve("web", "tcp", 80)
    assert user.ask("host", "tcp", "127.0.0.1", 8080).startswith("web ")
    assert user.ask("outside", "tcp", HOST4, 8080, patience=1) is None


def test_a_published_port_answers_over_ipv6_on_a_network_that_has_it_alone(user):
    subprocess.run(["ip", "route", "add", "default", "via", OUTSIDE6], check=True)
    user.ok("create", "six", "ipv6=yes")
    user.start("web", "six", ports=["8080:80"])
    four = user.start("four", ports=["8081:80"])
    for instance in ("web", "four"):
        user.serve(instance, "tcp", 80, address="::")
    assert user.ask("host", "tcp", "::1", 8080).startswith("web ")
    assert user.ask("outside", "tcp", HOST6, 8080).startswith("web ")
    assert user.ask("host", "tcp", "::1", 8081, patience=1) is None
    assert four["ports"][0]["host_address"] == "0.0.0.0"
    user.ok("make", "other")
    assert "--ipv6" in user.refuses(*user.attach_words("other", ports=["[::1]:8082:80"]))


def test_nothing_that_is_not_published_is_reachable(user):
    user.start("web")
    user.serve("web", "tcp", 8080)
    assert user.ask("host", "tcp", "127.0.0.1", 8080, patience=1) is None


def test_a_port_in_use_is_refused_and_nothing_is_left(user):
    user.start("first", ports=["8080:80"])
    user.ok("make", "second")
    assert "8080/tcp is in use" in user.refuses(*user.attach_words("second", ports=["8080:80"]))
    assert list(user.json("inspect", "default")["instances"]) == ["first"]
    user.ok("release", "first")
    user.attach("second", "default", ports=["8080:80"])


def test_detaching_the_last_network_closes_the_way_out(user):
    user.ok("create", "own")
    user.start("a")
    user.attach("a", "own")
    user.serve("outside", "tcp", 80)
    user.ok("detach", "a", "default")
    assert user.ask("a", "tcp", OUTSIDE4, 80) == f"outside {HOST4}"
    user.ok("detach", "a", "own")
    assert user.ask("a", "tcp", OUTSIDE4, 80, patience=1) is None
    assert user.run("a", "ip", "-brief", "link").split()[0] == "lo"


def test_a_host_that_leads_nowhere_still_has_networks_and_ports(user):
    subprocess.run(["ip", "link", "delete", "up0"], check=True)
    assert subprocess.run(["ip", "route", "show", "default"], capture_output=True).stdout == b""
    web, plain = user.start("web", ports=["8080:80"]), user.start("plain")
    user.serve("web", "tcp", 80)
    assert user.ask("plain", "tcp", web["address"], 80) == f"web {plain['address']}"
    assert user.ask("host", "tcp", "127.0.0.1", 8080).startswith("web ")


def test_ports_stay_as_long_as_there_is_a_way_out(user):
    user.ok("create", "own")
    user.start("web", ports=["8080:80"])
    user.attach("web", "own")
    user.serve("web", "tcp", 80)
    user.ok("detach", "web", "default")
    assert user.ask("outside", "tcp", HOST4, 8080) == f"web {OUTSIDE4}"
    assert user.json("inspect", "own")["instances"]["web"]["ports"][0]["host"] == 8080
    user.ok("make", "other")
    assert "web publishes it" in user.refuses(*user.attach_words("other", ports=["8080:80"]))


@pytest.mark.parametrize("point", ["network.pasta.started", "network.veth.made", "network.lease.saved"])
def test_an_attach_that_died_is_taken_back_by_a_repair(user, point):
    done = user("make", "a", "--", *user.attach_words("a", ports=["8080:80"]), env={"ONGGI_TEST_KILL": point})
    assert done.returncode != 0
    user.ok("repair")
    assert user.json("inspect", "default")["instances"] == {}
    user.start("a", ports=["8080:80"])
