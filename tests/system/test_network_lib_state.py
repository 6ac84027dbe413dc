# SPDX-License-Identifier: GPL-2.0-or-later
"""Leases, names, networks: what is remembered, refused, and taken back."""
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from support.network_host import HOST4, network, outside  # noqa: F401


def host_links():
    return {link["ifname"] for link in json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True).stdout)}


def hosts_of(network, instance):
    """{name: [addresses]} of an instance's hosts file."""
    found = {}
    for line in Path(network.hosts(instance)).read_text().splitlines():
        address, *names = line.split()
        for name in names:
            found.setdefault(name, []).append(address)
    return found


def wait_until(condition, patience=5):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.core
def test_nothing_is_left_once_the_last_instance_went(network):
    before = host_links()
    network.start("a", ports=["8080:80"])
    network.start("b")
    assert len(host_links() - before) == 3
    network.ok("release", "a", "--", "release", "b")
    wait_until(lambda: host_links() == before)
    wait_until(lambda: "onggi" not in network.run("host", "nft", "list", "tables"))
    assert network.state not in Path("/proc/self/mounts").read_text()
    assert not list(Path(network.state, "netns").iterdir()) and not list(Path(network.state, "networks").glob("*.leases"))


def test_the_folders_are_for_their_owner_alone(network):
    folders = [Path(network.root, "networks"), Path(network.state, "networks"), Path(network.state, "netns")]
    network.start("a")
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700] * 3
    for folder in folders:
        folder.chmod(0o755)
    network.ok("ls")
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700] * 3


def test_release_of_what_is_not_there_succeeds(network):
    network.ok("release", "nobody")
    network.start("a")
    network.ok("release", "a")
    network.ok("release", "a")


@pytest.mark.core
def test_names_are_resolved_by_all_on_the_network_in_the_same_file(network):
    network.start("a", names=["a", "web"])
    inode = os.stat(network.hosts("a")).st_ino
    b = network.start("b", names=["b", "db", "db.local"], extra="printer:192.0.2.9")
    hosts = hosts_of(network, "a")
    assert hosts["b"] == hosts["db"] == hosts["db.local"] == [b["address"]]
    assert "printer" not in hosts
    assert hosts_of(network, "b")["printer"] == ["192.0.2.9"]
    assert hosts_of(network, "b")["web"] == hosts["a"]
    network.ok("rename", "b", "c")
    assert hosts_of(network, "a")["c"] == [b["address"]]
    assert "db" not in hosts_of(network, "a")
    network.ok("release", "b")
    assert "c" not in hosts_of(network, "a")
    assert os.stat(network.hosts("a")).st_ino == inode


def test_host_gateway_is_the_networks_gateway(network):
    a = network.start("a", extra="host.docker.internal:host-gateway")
    assert hosts_of(network, "a")["host.docker.internal"] == [a["gateway"]]


def test_names_end_at_the_network(network):
    network.ok("create", "second")
    network.start("a")
    network.start("b", "second")
    assert "b" not in hosts_of(network, "a")
    both = network.start("both")
    second = network.attach("both", "second")
    assert hosts_of(network, "both")["both"] == [both["address"], second["address"]]
    assert {"a", "b"} <= hosts_of(network, "both").keys()
    assert hosts_of(network, "b")["both"] == [second["address"]]
    network.ok("detach", "both", "second")
    assert "b" not in hosts_of(network, "both")
    assert "both" not in hosts_of(network, "b")
    network.ok("detach", "both", "default")
    assert not {"a", "b", "both"} & hosts_of(network, "both").keys()


def test_a_network_that_is_removed_takes_its_names_with_it(network):
    network.ok("create", "first")
    network.ok("create", "second")
    network.start("a", "first")
    network.start("b", "first")
    second = network.attach("b", "second")
    network.ok("rm", "first", "force=yes")
    assert not {"a", "b"} & hosts_of(network, "a").keys()
    assert hosts_of(network, "b")["b"] == [second["address"]] and "a" not in hosts_of(network, "b")


@pytest.mark.parametrize("name", ["a b", "a\nb", "a#b", "ä"])
def test_a_name_that_cannot_stand_in_a_hosts_file_is_refused(network, name):
    network.ok("make", "x")
    assert "name" in network.refuses(*network.attach_words("x", names=[name]))


@pytest.mark.parametrize("protocol, kind", [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::"])
def test_a_port_that_a_program_of_the_host_has_is_refused_by_name(network, protocol, kind, address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as taken:
        taken.bind((address, 8080))
        if protocol == "tcp":
            taken.listen()
        network.ok("make", "a")
        assert f"port 8080/{protocol} is in use" in network.refuses(*network.attach_words("a", ports=[f"8080:80/{protocol}"]))
    network.attach("a", "default", ports=[f"8080:80/{protocol}"])


def test_a_port_that_another_instance_publishes_is_refused_with_its_name(network):
    network.ok("create", "second")
    network.start("f" * 64, names=["first", "alias"], ports=["8080-8085:80-85"])
    network.ok("make", "b")
    said = network.refuses(*network.attach_words("b", "second", ports=["127.0.0.1:8083:80"]))
    assert "port 127.0.0.1:8083/tcp is in use: first publishes it" in said
    network.attach("b", "second", ports=["8083:80/udp"])
    network.ok("release", "f" * 64)
    network.start("c", ports=["8083:80"])


def test_a_refused_attachment_leaves_no_lease(network):
    network.start("a", ports=["8080:80"])
    network.ok("make", "b")
    network.refuses(*network.attach_words("b", ports=["9090:90", "8080:80"]))
    assert list(network.json("inspect", "default")["instances"]) == ["a"]
    network.start("c", ports=["9090:90"])


def test_free_ports_are_chosen_and_told(network):
    a = network.start("a", ports=["80", "0:81/udp", "8080-8081:82"])
    b = network.start("b", ports=["8080-8081:82"])
    chosen = {(port["container"], port["protocol"]): port["host"] for port in a["ports"]}
    assert 1024 < chosen[80, "tcp"] and 1024 < chosen[81, "udp"]
    assert {chosen[82, "tcp"], b["ports"][0]["host"]} == {8080, 8081}
    network.ok("make", "c")
    assert "no free tcp port" in network.refuses(*network.attach_words("c", ports=["8080-8081:82"]))


def test_an_address_can_be_chosen_and_is_given_once(network):
    network.ok("create", "n", "subnet=10.77.0.0/24", "subnet6=fd77::/64")
    a = network.start("a", "n", address="10.77.0.9", address6="fd77::abcd", mac="02:00:00:00:00:07")
    assert (a["address"], a["address6"], a["mac"]) == ("10.77.0.9", "fd77::abcd", "02:00:00:00:00:07")
    assert "02:00:00:00:00:07" in network.run("a", "ip", "link", "show", "eth0")
    network.ok("make", "b")
    assert "in use by a" in network.refuses(*network.attach_words("b", "n", address="10.77.0.9"))
    for address in ("10.78.0.1", "10.77.0.0", "10.77.0.255", "10.77.0.1", "ten"):
        network.refuses(*network.attach_words("b", "n", address=address))
    assert "fd77::2" == network.attach("b", "n")["address6"]


def test_a_full_network_says_so(network):
    network.ok("create", "tiny", "subnet=10.77.0.0/29")
    for number in range(5):
        network.start(f"i{number}", "tiny", hosts=False)
    network.ok("make", "late")
    assert "no free address" in network.refuses(*network.attach_words("late", "tiny"))
    network.ok("release", "i2")
    assert network.attach("late", "tiny")["address"] == "10.77.0.4"


def test_an_address_rests_before_it_is_given_again(network):
    addresses = []
    for number in range(4):
        addresses.append(network.start(f"i{number}", hosts=False)["address"])
        network.ok("release", f"i{number}")
    assert len(set(addresses)) == 4


def test_the_second_attachment_to_the_same_network_is_refused(network):
    network.start("a")
    assert "already" in network.refuses(*network.attach_words("a"))


@pytest.mark.core
def test_networks_are_created_listed_inspected_and_removed(network):
    network.ok("create", "n", "ipv6=yes", "label=tier=front", "mtu=1400")
    assert [n["name"] for n in network.json("ls")] == ["default", "n"]
    attached = network.start("a", "n")
    shown = network.json("inspect", "n")
    assert shown["labels"] == {"tier": "front"} and shown["driver"] == "bridge" and shown["subnet6"].startswith("fd")
    assert shown["instances"]["a"]["address"] == attached["address"]
    assert "mtu 1400" in network.run("a", "ip", "link", "show", "eth0")
    assert "mtu 1400" in network.run("host", "ip", "link", "show", shown["bridge"])
    assert "in use by a" in network.refuses("rm", "n")
    network.ok("rm", "n", "force=yes")
    assert "eth0" not in network.run("a", "ip", "link")
    assert "no network n" in network.refuses("inspect", "n")


def test_prune_removes_unused_networks_but_not_the_default(network):
    for name in ("used", "idle", "old"):
        network.ok("create", name)
    network.start("a", "used")
    assert network.json("prune") == ["idle", "old"]
    assert [n["name"] for n in network.json("ls")] == ["default", "used"]
    network.refuses("rm", "default")


@pytest.mark.parametrize("settings, said", [
    (["n", "subnet=10.77.0.0"], "not an IPv4 subnet"), (["n", "subnet=10.77.0.0/33"], "not an IPv4 subnet"),
    (["n", "subnet=10.77.0.0/31"], "no room"), (["n", "subnet=fd00::/64"], "not an IPv4 subnet"),
    (["n", "subnet=10.77.0.0/24", "gateway=10.78.0.1"], "gateway"), (["n", "subnet6=fd00::/127x"], "IPv6 subnet"),
    (["n", "subnet=192.0.2.0/25"], "route of the host"), (["n", "subnet=10.66.0.0/16"], "the network taken"),
    (["../n"], "no name"), (["host"], "not a name"), (["n", "bridge=up0"], "interface up0 already"),
    (["n", "bridge=" + "b" * 16], "at most 15"), (["n", "mtu=20"], "MTU"), (["taken"], "already"),
    (["n", "label==x"], "label"),
])
def test_a_network_that_cannot_be_is_refused(outside, settings, said):
    outside.ok("create", "taken", "subnet=10.66.1.0/24")
    assert said in outside.refuses("create", *settings)
    assert [n["name"] for n in outside.json("ls")] == ["default", "taken"]


@pytest.mark.parametrize("subnet, said", [
    ("127.0.0.0/8", "loopback"), ("127.3.0.0/16", "loopback"), ("224.0.0.0/4", "multicast"), ("239.1.0.0/16", "multicast"),
    ("0.0.0.0/8", "this network"), ("169.254.0.0/16", "link-local"), ("240.0.0.0/4", "broadcast"), ("255.255.255.0/24", "broadcast"),
    ("0.0.0.0/0", "reserved"), ("12.0.0.0/6", "too large"), ("10.77.0.0/31", "no room"), ("10.77.0.1/32", "no room"),
    ("fe80::/10", "link-local"), ("fe80:1::/64", "link-local"), ("ff00::/8", "multicast"), ("::1/128", "loopback"), ("::/0", "reserved"),
    ("::ffff:10.77.0.0/120", "IPv4-mapped"), ("fd00::/16", "too large"), ("fd77::/127", "no room"), ("fd77::1/128", "no room"),
])
def test_a_subnet_that_means_something_else_or_has_no_fit_size_is_refused(network, subnet, said):
    assert said in network.refuses("create", "n", f"subnet{'6' if ':' in subnet else ''}={subnet}")
    assert [n["name"] for n in network.json("ls")] == ["default"]


def test_subnets_are_chosen_beside_those_of_the_host(outside):
    outside.ok("create", "first")
    subnet = outside.json("inspect", "first")["subnet"]
    outside.ok("rm", "first")
    subprocess.run(["ip", "route", "add", subnet, "via", "192.0.2.1"], check=True)
    outside.ok("create", "first")
    assert outside.json("inspect", "first")["subnet"] != subnet


def test_a_route_that_came_later_is_told_before_anything_breaks(outside):
    outside.ok("create", "n", "subnet=10.77.0.0/24")
    subprocess.run(["ip", "route", "add", "10.77.0.0/16", "via", "192.0.2.1"], check=True)
    outside.ok("make", "a")
    assert "overlaps a route of the host through up0" in outside.refuses(*outside.attach_words("a", "n"))
    assert outside.json("inspect", "n")["instances"] == {}


def test_rules_that_somebody_flushed_come_back_with_the_next_attachment(outside):
    outside.start("web", ports=["8080:80"])
    outside.serve("web", "tcp", 80)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    assert outside.ask("outside", "tcp", HOST4, 8080, patience=1) is None
    outside.start("b")
    assert outside.ask("outside", "tcp", HOST4, 8080)


@pytest.mark.core
def test_what_nft_lists_can_be_loaded_again(network):
    network.ok("create", "six", "ipv6=yes")
    network.ok("create", "closed", "internal=yes")
    network.start("a", ports=["8080:80", "127.0.0.1:81:80/udp"])
    network.start("b", "six", ports=["8090-8092:80-82", "[::1]:81:80/udp"])
    network.start("c", "closed")
    table, = network.run("host", "nft", "list", "tables").splitlines()
    rules = network.run("host", "nft", "list", *table.split())
    done = subprocess.run(["unshare", "--net", "nft", "--check", "--file", "-"], input=rules, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "") and "invalid" not in rules


@pytest.mark.core
def test_a_damaged_lease_file_is_told_with_its_line(network):
    network.start("a")
    with open(f"{network.state}/networks/default.leases", "a") as leases:
        leases.write("nonsense\n")
    network.ok("make", "b")
    assert "default.leases: line 3" in network.refuses(*network.attach_words("b"))
    os.unlink(f"{network.state}/networks/default.leases")


def test_forwarding_is_allowed_when_the_first_bridge_is_made(network):
    forwarding = {4: Path("/proc/sys/net/ipv4/ip_forward"), 6: Path("/proc/sys/net/ipv6/conf/all/forwarding")}
    forwarding[4].write_text("0")
    network.start("a")
    assert (forwarding[4].read_text(), forwarding[6].read_text()) == ("1\n", "0\n")
    network.ok("create", "six", "ipv6=yes")
    network.start("b", "six")
    assert forwarding[6].read_text() == "1\n"


def test_a_chain_that_drops_what_we_forward_is_told(network):
    network.start("a")
    assert network.ok("hints") == ""
    subprocess.run(["nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"],
                   check=True)
    assert "FORWARD of the nftables table ip filter" in network.ok("hints")
    subprocess.run(["nft", "delete", "table", "ip", "filter"], check=True)
