# SPDX-License-Identifier: GPL-2.0-or-later
"""Who reaches whom through networks and published ports, and who must not."""
import subprocess
import sys

import pytest

from support.network_host import HOST4, HOST6, OUTSIDE4, OUTSIDE6, network, outside  # noqa: F401

KINDS = pytest.mark.parametrize("kind", ["tcp", "udp"])


@pytest.mark.core
def test_instances_of_one_network_reach_each_other(network):
    network.start("a")
    b = network.start("b")
    network.serve("b", "tcp", 80)
    assert network.ask("a", "tcp", b["address"], 80) == "b 10.%s.0.2" % b["address"].split(".")[1]


def test_an_instance_reaches_outside_with_the_hosts_address(outside):
    outside.start("a")
    outside.serve("outside", "tcp", 80)
    assert outside.ask("a", "tcp", OUTSIDE4, 80) == f"outside {HOST4}"


def test_an_instance_reaches_outside_over_ipv6(outside):
    outside.ok("create", "six", "ipv6=yes")
    outside.start("a", "six")
    outside.serve("outside", "tcp", 80, address="::")
    assert outside.ask("a", "tcp", OUTSIDE6, 80) == f"outside {HOST6}"


@pytest.mark.core
@KINDS
def test_a_published_port_is_reachable_from_another_host_which_the_instance_sees(outside, kind):
    outside.start("web", ports=[f"8080:80/{kind}"])
    outside.serve("web", kind, 80)
    assert outside.ask("outside", kind, HOST4, 8080) == f"web {OUTSIDE4}"


@KINDS
@pytest.mark.parametrize("address", ["127.0.0.1", HOST4])
def test_a_published_port_is_reachable_from_the_host_itself(outside, kind, address):
    outside.start("web", ports=[f"8080:80/{kind}"])
    outside.serve("web", kind, 80)
    assert outside.ask("host", kind, address, 8080).startswith("web ")


@KINDS
@pytest.mark.parametrize("place", ["other", "web", "elsewhere"])
def test_a_published_port_is_reachable_from_instances(outside, kind, place):
    outside.ok("create", "second")
    outside.start("web", ports=[f"8080:80/{kind}"])
    outside.start("other")
    outside.start("elsewhere", "second")
    outside.serve("web", kind, 80)
    assert outside.ask(place, kind, HOST4, 8080).startswith("web ")


@KINDS
@pytest.mark.parametrize("place, address", [("outside", HOST6), ("host", HOST6), ("host", "::1"), ("other", HOST6),
                                            ("web", HOST6)])
def test_a_published_port_is_reachable_over_ipv6(outside, kind, place, address):
    outside.ok("create", "six", "ipv6=yes")
    outside.start("web", "six", ports=[f"8080:80/{kind}"])
    outside.start("other", "six")
    outside.serve("web", kind, 80, address="::")
    assert outside.ask(place, kind, address, 8080).startswith("web ")


def test_a_port_published_on_one_address_is_not_on_others(outside):
    outside.start("web", ports=["127.0.0.1:8080:80", f"{HOST4}:8081:80"])
    outside.serve("web", "tcp", 80)
    assert outside.ask("host", "tcp", "127.0.0.1", 8080) == "web %s" % gateway_of(outside, "web")
    assert outside.ask("outside", "tcp", HOST4, 8080) is None
    assert outside.ask("outside", "tcp", HOST4, 8081) == f"web {OUTSIDE4}"
    assert outside.ask("host", "tcp", "127.0.0.1", 8081) is None


def gateway_of(network, instance):
    return network.run(instance, "ip", "route", "show", "default").split()[2]


def test_a_range_of_ports_is_published_one_to_one(outside):
    outside.start("web", ports=["8000-8003:90-93"])
    outside.serve("web", "tcp", 90, name="first")
    outside.serve("web", "tcp", 93, name="last")
    assert outside.ask("outside", "tcp", HOST4, 8000) == f"first {OUTSIDE4}"
    assert outside.ask("outside", "tcp", HOST4, 8003) == f"last {OUTSIDE4}"


def test_ports_end_with_the_instance(outside):
    outside.start("web", ports=["8080:80"])
    outside.start("stays")
    outside.serve("web", "tcp", 80)
    assert outside.ask("host", "tcp", HOST4, 8080)
    outside.ok("release", "web")
    assert outside.ask("host", "tcp", HOST4, 8080, patience=1) is None


@pytest.mark.core
def test_networks_are_isolated_from_each_other(network):
    network.ok("create", "second")
    network.start("a")
    b = network.start("b", "second")
    network.serve("b", "tcp", 80)
    assert network.ask("host", "tcp", b["address"], 80)
    assert network.ask("a", "tcp", b["address"], 80, patience=1) is None


def test_outside_cannot_reach_what_is_not_published(outside):
    web = outside.start("web", ports=["8080:80"])
    outside.serve("web", "tcp", 80)
    outside.run("outside", "ip", "route", "add", f"{web['address']}/32", "via", HOST4)
    assert outside.ask("outside", "tcp", web["address"], 80, patience=1) is None


def test_an_internal_network_has_no_way_out_but_works_inside(outside):
    outside.ok("create", "closed", "internal=yes")
    a, b = outside.start("a", "closed"), outside.start("b", "closed")
    outside.ok("make", "c")
    outside.serve("outside", "tcp", 80)
    outside.serve("b", "tcp", 80)
    assert outside.run("a", "ip", "route", "show", "default") == ""
    outside.run("a", "ip", "route", "add", "default", "via", a["gateway"])
    assert outside.ask("a", "tcp", OUTSIDE4, 80, patience=1) is None
    assert outside.ask("a", "tcp", b["address"], 80).startswith("b ")
    assert "internal" in outside.refuses(*outside.attach_words("c", "closed", ports=["8080:80"]))


def test_an_instance_cannot_reach_the_hosts_loopback(network):
    a = network.start("a", ports=["127.0.0.1:8080:80"])
    network.serve("host", "tcp", 7000, address="127.0.0.1")
    network.run("a", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
    network.run("a", "ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
    network.run("a", "ip", "route", "add", "127.0.0.1/32", "via", a["gateway"])
    assert network.ask("host", "tcp", "127.0.0.1", 7000).startswith("host ")
    assert network.ask("a", "tcp", "127.0.0.1", 7000, patience=1) is None


def test_an_instance_on_two_networks_goes_out_by_the_first_and_after_it_by_the_second(outside):
    outside.ok("create", "second")
    first = outside.start("a")
    second = outside.attach("a", "second")
    assert (first["interface"], second["interface"]) == ("eth0", "eth1")
    outside.serve("outside", "tcp", 80)
    assert f"via {first['gateway']}" in outside.run("a", "ip", "route", "get", OUTSIDE4)
    outside.ok("detach", "a", "default")
    assert f"via {second['gateway']}" in outside.run("a", "ip", "route", "get", OUTSIDE4)
    assert outside.ask("a", "tcp", OUTSIDE4, 80) == f"outside {HOST4}"


@KINDS
def test_ports_go_over_to_the_earliest_network_that_can_carry_them(outside, kind):
    for settings in (["closed", "internal=yes"], ["six", "ipv6=yes"]):
        outside.ok("create", *settings)
    outside.start("web", "six", ports=[f"8080:80/{kind}", f"[::1]:8081:80/{kind}"])
    for name in ("closed", "default"):
        outside.attach("web", name)
    outside.serve("web", kind, 80)
    assert outside.ask("outside", kind, HOST4, 8080) == f"web {OUTSIDE4}"
    outside.ok("detach", "web", "six")
    for place, address in (("outside", HOST4), ("host", "127.0.0.1"), ("web", HOST4)):
        assert outside.ask(place, kind, address, 8080).startswith("web ")
    port, = outside.json("inspect", "default")["instances"]["web"]["ports"]
    assert (port["host_address"], port["host"]) == ("0.0.0.0", 8080)
    outside.start("other", ports=[f"8082:80/{kind}"])
    outside.ok("detach", "web", "default")
    assert outside.ask("outside", kind, HOST4, 8080, patience=1) is None
    outside.start("third", ports=[f"8080:80/{kind}"])


KNOCK = """
import socket, sys
knock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
knock.bind(("", 5555))
knock.settimeout(2)
knock.sendto(b"?", (sys.argv[1], 8080))
print(knock.recv(100).decode())
"""


def test_a_udp_flow_goes_to_who_publishes_the_port_now(outside):
    def knock():
        return subprocess.run([*outside.where("outside"), sys.executable, "-c", KNOCK, HOST4], text=True,
                              capture_output=True).stdout.strip()
    assert knock() == ""
    for instance in ("first", "second"):
        outside.start(instance, ports=["8080:80/udp"])
        outside.serve(instance, "udp", 80)
        assert knock() == f"{instance} {OUTSIDE4}"
        outside.ok("release", instance)
