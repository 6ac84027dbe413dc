# SPDX-License-Identifier: GPL-2.0-or-later
"""The network and volume commands: create, ls, inspect, rm, prune."""
import json

import pytest

pytestmark = pytest.mark.root


@pytest.mark.core
def test_the_default_network_is_always_there(onggi):
    assert "default" in onggi.ok("network", "ls", "--format", "{{.Name}}").splitlines()


@pytest.mark.core
def test_a_created_network_is_listed_inspected_and_removed(onggi):
    identity = onggi.ok("network", "create", "--subnet", "10.99.1.0/24", "--label", "tier=web", "back")
    assert onggi.ok("network", "ls", "--quiet", "--no-trunc", "--filter", "name=back") == identity
    network, = onggi.json("network", "inspect", "back")
    assert network["IPAM"]["Config"] == [{"Subnet": "10.99.1.0/24", "Gateway": "10.99.1.1"}]
    assert network["Labels"] == {"tier": "web"} and network["Id"] == identity and network["Containers"] == {}
    assert onggi.ok("inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "back") == "10.99.1.1"
    assert onggi.ok("network", "rm", "back") == "back"
    assert "back" in onggi.refuses("network", "rm", "back", status=1)


def test_a_network_can_have_a_subnet_of_each_family(onggi):
    onggi.ok("network", "create", "--subnet", "10.99.2.0/24", "--subnet", "fd00:99::/64", "--internal", "two")
    network, = onggi.json("network", "inspect", "two")
    assert [entry["Subnet"] for entry in network["IPAM"]["Config"]] == ["10.99.2.0/24", "fd00:99::/64"]
    assert network["EnableIPv6"] and network["Internal"]
    assert "IPv4" in onggi.refuses("network", "create", "--subnet", "10.1.0.0/24", "--subnet", "10.2.0.0/24", "x", status=1)


def test_networks_can_be_filtered(onggi):
    onggi.ok("network", "create", "--label", "a=1", "one")
    onggi.ok("network", "create", "--label", "a=2", "two")

    def names(*filters):
        words = [word for text in filters for word in ("--filter", text)]
        return sorted(onggi.ok("network", "ls", "--format", "{{.Name}}", *words).split())
    assert names("label=a") == ["one", "two"]
    assert names("label=a=1") == ["one"]
    assert names("name=one", "name=two") == ["one", "two"]
    assert names("name=one", "label=a=2") == []
    assert "one" in names("dangling=true")
    assert names("driver=nosuch") == []


def test_the_driver_and_its_options_are_checked(onggi):
    assert "bridge" in onggi.refuses("network", "create", "--driver", "overlay", "x", status=1)
    assert "com.docker.network.driver.mtu" in onggi.refuses("network", "create", "-o", "nosuch=1", "x", status=1)
    assert "MTU" in onggi.refuses("network", "create", "-o", "com.docker.network.driver.mtu=3", "x", status=1)
    onggi.ok("network", "create", "-d", "bridge", "-o", "com.docker.network.driver.mtu=1400", "x")
    assert onggi.ok("network", "inspect", "-f", '{{index .Options "com.docker.network.driver.mtu"}}', "x") == "1400"


def test_network_prune_removes_the_unused_but_not_the_default(onggi):
    onggi.ok("network", "create", "one")
    assert "one" in onggi.ok("network", "prune", "--force")
    assert onggi.ok("network", "ls", "--format", "{{.Name}}") == "default"


def test_network_rm_with_force_takes_one_that_is_gone(onggi):
    done = onggi("network", "rm", "--force", "nosuch")
    assert done.returncode == 0 and "nosuch" in done.stderr


# ---- Volumes ----

def test_a_created_volume_is_listed_inspected_and_removed(onggi):
    assert onggi.ok("volume", "create", "--label", "a=1", "data") == "data"
    assert onggi.ok("volume", "ls", "--quiet") == "data"
    assert onggi.ok("volume", "ls", "--format", "{{.Labels}}") == "a=1"
    volume, = onggi.json("volume", "inspect", "data")
    assert volume["Name"] == "data" and volume["Labels"] == {"a": "1"}
    assert volume["Mountpoint"].startswith(str(onggi.root))
    assert onggi.ok("volume", "rm", "data") == "data"
    assert "data" in onggi.refuses("volume", "rm", "data", status=1)
    assert onggi.ok("volume", "rm", "--force", "data") == "data"


def test_a_volume_without_a_name_gets_one(onggi):
    name = onggi.ok("volume", "create")
    assert len(name) == 64
    assert onggi.ok("volume", "ls", "-q") == name


def test_volume_prune_keeps_those_with_a_name_unless_told(onggi):
    onggi.ok("volume", "create", "named")
    anonymous = onggi.ok("volume", "create")
    assert anonymous in onggi.ok("volume", "prune", "--force")
    assert onggi.ok("volume", "ls", "-q") == "named"
    onggi.ok("volume", "prune", "--force", "--all")
    assert onggi.ok("volume", "ls", "-q") == ""


def test_volumes_can_be_filtered_and_printed_as_json(onggi):
    onggi.ok("volume", "create", "one")
    onggi.ok("volume", "create", "two")
    rows = [json.loads(line) for line in onggi.ok("volume", "ls", "--format", "json", "--filter", "name=one").splitlines()]
    assert [row["Name"] for row in rows] == ["one"]


def test_volume_driver_and_name_are_checked(onggi):
    assert "local" in onggi.refuses("volume", "create", "--driver", "nfs", "x", status=1)
    assert "../x" in onggi.refuses("volume", "create", "../x", status=1)
