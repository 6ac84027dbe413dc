# SPDX-License-Identifier: GPL-2.0-or-later
"""The network library on a private host: its driver program, the world outside of the host, and programs that talk."""
import json
import subprocess
import sys

import pytest

from . import programs

OUTSIDE4, HOST4 = "192.0.2.1", "192.0.2.2"
OUTSIDE6, HOST6 = "2001:db8::1", "2001:db8::2"

# Answers every connection or datagram with "<name> <the peer's address>".
SERVER = """
import socket, sys, threading
name, kind, address, port = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((address, int(port)))
def answer(connection, peer):
    if connection.recv(1):
        connection.sendall(f"{name} {peer[0]}".encode())
    connection.close()
if kind == "tcp":
    server.listen(64)
print("ready", flush=True)
while True:
    if kind == "udp":
        _, peer = server.recvfrom(100)
        server.sendto(f"{name} {peer[0]}".encode(), peer)
    else:
        connection, peer = server.accept()
        threading.Thread(target=answer, args=(connection, peer), daemon=True).start()
"""

CLIENT = """
import socket, sys
kind, address, port, patience = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
client = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
client.settimeout(float(patience))
try:
    client.connect((address, int(port)))
    client.send(b"?")
    print(client.recv(100).decode())
except OSError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


class NetworkDriver(programs.Caller):
    """tests/system/network_driver.c with a root and a state of its own."""

    def __init__(self, root, state):
        super().__init__(programs.build_folder() / "tests/system/network_driver", (root, state))
        self.root, self.state = root, state
        self.processes = []

    def pin(self, instance):
        return f"{self.state}/netns/{instance}"

    def attach_words(self, instance, network="default", ports=(), names=None, hosts=True, **more):
        words = ["attach", instance, network]
        words += [f"name={name}" for name in (names or [instance])]
        words += [f"port={port}" for port in ports]
        words += [f"hosts={self.hosts(instance)}"] if hosts else []
        return words + [f"{key}={value}" for key, value in more.items()]

    def hosts(self, instance):
        return f"{self.state}/hosts-{instance}"

    def start(self, instance, network="default", **settings):
        """A namespace attached to a network; returns the attachment."""
        lines = self.ok("make", instance, "--", *self.attach_words(instance, network, **settings)).splitlines()
        return json.loads(lines[-1])

    def attach(self, instance, network, **settings):
        return self.json(*self.attach_words(instance, network, **settings))

    def where(self, place):
        """Words that run a command in a place: an instance's id, "host", or "outside"."""
        if place == "host":
            return []
        return ["nsenter", f"--net={self.outside if place == 'outside' else self.pin(place)}"]

    def run(self, place, *words):
        return subprocess.run([*self.where(place), *words], check=True, text=True, capture_output=True).stdout

    def serve(self, place, kind, port, address=None, name=None):
        process = subprocess.Popen([*self.where(place), sys.executable, "-c", SERVER, name or place, kind,
                                    address or "0.0.0.0", str(port)], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline() == "ready\n"

    def ask(self, place, kind, address, port, patience=5):
        """What the server answers, or None."""
        done = subprocess.run([*self.where(place), sys.executable, "-c", CLIENT, kind, address, str(port), str(patience)],
                              text=True, capture_output=True)
        return done.stdout.strip() if done.returncode == 0 else None

    def make_outside(self):
        """A neighbour of the host, in a namespace of its own, that knows no way to the host's networks."""
        process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"],
                                   stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline() == "ready\n"
        self.outside = f"/proc/{process.pid}/ns/net"
        for words in (["link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", str(process.pid)],
                      ["address", "add", f"{HOST4}/24", "dev", "up0"],
                      ["address", "add", f"{HOST6}/64", "dev", "up0", "nodad"],
                      ["link", "set", "up0", "up"], ["route", "add", "default", "via", OUTSIDE4]):
            subprocess.run(["ip", *words], check=True)
        for words in (["address", "add", f"{OUTSIDE4}/24", "dev", "down0"],
                      ["address", "add", f"{OUTSIDE6}/64", "dev", "down0", "nodad"], ["link", "set", "lo", "up"],
                      ["link", "set", "down0", "up"]):
            self.run("outside", "ip", *words)

    def close(self):
        self.ok("repair")
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()
        # The veth to the world outside goes with that world, a moment later.
        subprocess.run(["ip", "link", "delete", "up0"], stderr=subprocess.DEVNULL)


@pytest.fixture
def network(private_host, no_leaks, sanitizer_reports, folder, unique):
    """A driver on a host of its own. All its instances are removed at the end, and nothing may be left then."""
    state = f"/run/{unique('net')}"
    driver = NetworkDriver(folder / "root", state)
    yield driver
    driver.close()
    subprocess.run(["rm", "-rf", state], check=True)


@pytest.fixture
def outside(network):
    """The network driver, with a neighbour of the host."""
    network.make_outside()
    return network
