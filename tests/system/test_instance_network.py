# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks and published ports of real instances: what answers where, and what the lists say of it."""
import socket
import subprocess
import sys
import time

import pytest

from support.network_host import CLIENT, HOST4, HOST6, SERVER

pytestmark = pytest.mark.root


@pytest.fixture(name="host")
def fixture_host(private_host, onggi):
    """The onggi command on a host that has one address of each family besides loopback."""
    for address in (f"{HOST4}/32", f"{HOST6}/128"):
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
    yield onggi
    onggi.remove_all()
    # Bridges and rules go a second after the last instance; the folders that say what there is must last until then.
    deadline = time.monotonic() + 10
    while b"onggi" in subprocess.run(["nft", "list", "tables"], check=True, capture_output=True).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def serve(host):
    """serve(instance, kind, port): a program in the instance's network that answers "<instance> <the peer's address>"."""
    processes = []

    def start(instance, kind, port, address="0.0.0.0"):
        pin = f"{host.state}/netns/{host.ok('inspect', '--format', '{{.Id}}', instance)}"
        process = subprocess.Popen(["nsenter", f"--net={pin}", sys.executable, "-c", SERVER, instance, kind, address, str(port)],
                                   stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def run(host, name, *words):
    return host.ok("run", "-d", "--name", name, *words, "onggi/base", "sleep", "1000")


def ask(kind, address, port, patience=5):
    """Who answers the host there, or None."""
    done = subprocess.run([sys.executable, "-c", CLIENT, kind, address, str(port), str(patience)], text=True, capture_output=True)
    return done.stdout.split()[0] if done.returncode == 0 else None


@pytest.mark.core
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_published_ports_answer_on_each_address_of_the_host(host, serve, kind):
    run(host, "web", "-p", f"8080:80/{kind}", "-p", f"8000-8002:90-92/{kind}", "-p", f"127.0.0.1:8081:80/{kind}")
    serve("web", kind, 80)
    serve("web", kind, 92)
    for address in ("127.0.0.1", HOST4):
        assert ask(kind, address, 8080) == "web"
        assert ask(kind, address, 8002) == "web"
    assert ask(kind, "127.0.0.1", 8081) == "web"
    assert ask(kind, HOST4, 8081, patience=1) is None


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_published_ports_of_a_network_with_ipv6_answer_over_both(host, serve, kind):
    host.ok("network", "create", "--ipv6", "six")
    run(host, "web", "--network", "six", "-p", f"8080:80/{kind}", "-p", f"[::1]:9100:80/{kind}")
    serve("web", kind, 80, address="::")
    for address in ("127.0.0.1", HOST4, "::1", HOST6):
        assert ask(kind, address, 8080) == "web"
    assert ask(kind, "::1", 9100) == "web"
    assert ask(kind, HOST6, 9100, patience=1) is None
    assert host.ok("port", "web", f"80/{kind}").splitlines() == ["0.0.0.0:8080", "[::]:8080", "[::1]:9100"]


def test_a_network_without_ipv6_promises_no_port_there(host):
    run(host, "web", "-p", "8080:80")
    assert host.ok("port", "web") == "80/tcp -> 0.0.0.0:8080"
    assert host.ok("ps", "--format", "{{.Ports}}") == "0.0.0.0:8080->80/tcp"
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind(("::", 8080))


@pytest.mark.parametrize("address", ["[::1]", "[::]", f"[{HOST6}]"])
def test_an_ipv6_address_to_publish_on_is_refused_where_there_is_no_ipv6(host, address):
    said = host.refuses("run", "-d", "--name", "web", "-p", f"{address}:9100:80", "onggi/base", "sleep", "1000", status=125)
    assert "the network default has no IPv6" in said and "onggi network create --ipv6" in said


def test_who_shares_a_network_sees_its_names_go_with_it(host):
    host.ok("network", "create", "n1")
    run(host, "owner", "--network", "n1")
    run(host, "sharer", "--network", "container:owner")
    address = host.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "owner")
    assert address in host.ok("exec", "sharer", "cat", "/etc/hosts")
    host.ok("network", "rm", "--force", "n1")
    for name in ("owner", "sharer"):
        assert address not in host.ok("exec", name, "cat", "/etc/hosts")


def test_published_ports_stay_when_another_network_does(host, serve):
    host.ok("network", "create", "other")
    run(host, "web", "-p", "8080:80")
    serve("web", "tcp", 80)
    host.ok("network", "connect", "other", "web")
    host.ok("network", "disconnect", "default", "web")
    assert ask("tcp", HOST4, 8080) == "web"
    assert host.ok("port", "web") == "80/tcp -> 0.0.0.0:8080"
    host.ok("network", "disconnect", "other", "web")
    assert host.ok("port", "web") == ""
    assert ask("tcp", HOST4, 8080, patience=1) is None


def test_an_instance_with_ids_of_its_own_is_on_the_network_too(host, serve):
    run(host, "web", "--userns", "auto", "-p", "8080:80")
    serve("web", "tcp", 80)
    assert ask("tcp", "127.0.0.1", 8080) == "web"
    assert "eth0" in host.ok("exec", "web", "ip", "link")


def test_a_network_that_is_removed_by_force_is_gone_from_its_instances_too(host, serve):
    for name in ("n1", "n2"):
        host.ok("network", "create", name)
    run(host, "web", "--network", "n1", "--network", "n2", "-p", "8080:80")
    serve("web", "tcp", 80)
    host.ok("network", "rm", "--force", "n1")
    assert host.ok("port", "web") == "80/tcp -> 0.0.0.0:8080"
    assert ask("tcp", HOST4, 8080) == "web"
    assert list(host.json("inspect", "web")[0]["NetworkSettings"]["Networks"]) == ["n2"]
    host.ok("restart", "-t", "0", "web")
