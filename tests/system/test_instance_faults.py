# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged files, full disks, names and ports in use: one clear line, nothing half made, and a way out."""
import os
import subprocess

import pytest

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


def make(host, name):
    return host.ok("create", "--network", "none", "--name", name, IMAGE, "true")


DAMAGES = ["", "{", "[]", "{}", '{"settings": 3}', '{"created": "x", "image": {"reference": "a", "digest": 1, "id": "x"}}', "\0" * 100,
           '{"a":' * 3000]


@pytest.mark.core
@pytest.mark.parametrize("file", ["config.json", "state.json"])
@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_instance_is_shown_as_dead_and_can_be_removed(host, file, damage):
    ident = make(host, "one")
    (host.root / "instances" / ident / file).write_text(damage)
    assert host.ok("ps", "--all", "--format", "{{.State}}") == "dead"
    assert file in host.refuses("start", ident)
    host.ok("rm", ident)
    assert not host.ok("ps", "--all", "--quiet")


def test_unknown_settings_of_a_later_version_are_refused(host):
    ident = make(host, "one")
    path = host.root / "instances" / ident / "config.json"
    path.write_text(path.read_text().replace('"settings":{', '"settings":{"telepathy":true,'))
    assert "telepathy" in host.refuses("start", "one")


def test_a_name_in_use_names_its_owner_and_makes_nothing(host):
    ident = make(host, "one")
    assert ident[:12] in host.refuses("create", "--network", "none", "--name", "one", IMAGE, "true")
    assert len(host.ok("ps", "--all", "--quiet").split()) == 1


def test_a_renamed_instance_gives_its_name_back(host):
    make(host, "one")
    host.ok("rename", "one", "two")
    make(host, "one")
    host.refuses("rename", "one", "two")
    assert sorted(host.ok("ps", "--all", "--format", "{{.Names}}").split()) == ["one", "two"]


@pytest.fixture(name="small")
def fixture_small(onggi, docker_archive):
    """A store on a file system of 24 megabytes."""
    onggi.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "onggi-test", onggi.root], check=True)
    onggi.ok("load", "--quiet", "--input", docker_archive)
    yield onggi
    onggi.remove_all()
    subprocess.run(["umount", "-l", onggi.root], check=True)


def test_a_full_disk_fails_in_one_line_and_leaves_nothing(small):
    filler = small.root / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    assert "No space left" in small.refuses("create", "--network", "none", "--name", "one", IMAGE, "true")
    filler.unlink()
    assert not small.ok("ps", "--all", "--quiet")
    assert small("run", "--rm", "--network", "none", "--name", "one", IMAGE, "echo", "again").stdout == "again\n"


def test_a_disk_that_fills_up_ends_the_programs_writes_not_the_instance(small):
    done = small("run", "--network", "none", "--name", "one", IMAGE, "sh", "-c",
                 "head -c 40000000 /dev/zero > /big; echo $?; rm /big; echo more")
    assert done.stdout == "1\nmore\n"
    assert small.ok("logs", "one").endswith("more")


def test_a_missing_bind_source_is_named(host):
    line = host.refuses("run", "--rm", "--network", "none", "--mount", "type=bind,source=/no/such,target=/x", IMAGE, "true", status=125)
    assert "/no/such" in line


def test_a_missing_device_is_named(host):
    assert "/dev/nosuch" in host.refuses("run", "--rm", "--network", "none", "--device", "/dev/nosuch", IMAGE, "true", status=125)
    assert not host.ok("ps", "--all", "--quiet")


def test_an_unknown_user_is_named(host):
    assert "ghost" in host.refuses("run", "--rm", "--network", "none", "--user", "ghost", IMAGE, "true", status=125)


@pytest.mark.core
def test_a_failed_start_can_be_tried_again(host, folder):
    source = folder / "source"
    host.ok("create", "--network", "none", "--name", "one", "--mount", f"type=bind,source={source},target=/x", IMAGE, "cat", "/x")
    assert str(source) in host.refuses("start", "one")
    source.write_text("there\n")
    assert host("start", "-a", "one").stdout == "there\n"
    assert not os.listdir(host.state / "instances")
