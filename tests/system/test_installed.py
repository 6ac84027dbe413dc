# SPDX-License-Identifier: GPL-2.0-or-later
"""What `meson install` puts into a folder runs from there, wherever that is, with its manual pages and completion."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import leaks, programs

pytestmark = [pytest.mark.root, pytest.mark.skipif(not shutil.which("meson"), reason="meson is not installed")]

BASE = "onggi/base"


@pytest.fixture(scope="module")
def installed(worker_folder):
    """The prefix of an installation that was moved elsewhere."""
    staged = worker_folder / "installed"
    subprocess.run(["meson", "install", "--no-rebuild", "--destdir", staged, "-C", programs.build_folder()], check=True, capture_output=True)
    program, = staged.rglob("bin/onggi")
    prefix = worker_folder / "moved"
    program.parents[1].rename(prefix)
    shutil.rmtree(staged)
    yield prefix
    shutil.rmtree(prefix)


@pytest.fixture(name="host")
def fixture_host(onggi, installed):
    onggi.path = str(installed / "bin/onggi")
    return onggi


def test_an_installed_onggi_uses_its_own_programs(host, installed):
    assert host.ok("run", "--rm", "--init", BASE, "cat", "/proc/1/comm") == "onggi-reaper"
    host.ok("run", "-d", "--name", "one", BASE, "sleep", "1000")
    monitor, = [pid for pid, line in leaks.descendants().items() if "onggi-monitor" in line]
    assert Path(os.readlink(f"/proc/{monitor}/exe")).is_relative_to(installed)
    told = host("--debug", "exec", "one", "true").stderr
    assert f"{installed}/bin/onggi-runtime" in os.path.realpath(told.split("runtime ")[1].split(",")[0])
    host.ok("stop", "-t", "0", "one")
    host.ok("rm", "one")


def test_an_installed_onggi_loads_and_saves_images(host, docker_archive, folder):
    host.ok("load", "--input", docker_archive)
    host.ok("save", "--output", folder / "saved.tar", "localhost/busybox:test")
    assert (folder / "saved.tar").stat().st_size > 100000


def test_each_command_has_a_manual_page_that_can_be_read(host, installed):
    pages = {path.name for path in (installed / "share/man/man1").iterdir()}
    commands = host.ok("__complete", "").split()
    assert {f"onggi-{name}.1" for name in commands} | {"onggi.1"} == pages
    assert (installed / "share/man/man8/onggi-runtime.8").exists()
    for page in (installed / "share/man").rglob("*.*"):
        if page.is_file():
            assert ".TH " in page.read_text(), page


def test_bash_completes_the_installed_command(host, installed):
    script = f"""source {installed}/share/bash-completion/completions/onggi
        COMP_WORDS=(onggi vol) COMP_CWORD=1; _onggi onggi; echo "${{COMPREPLY[@]}}"; complete -p onggi"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True,
                          env=dict(os.environ, PATH=f"{installed}/bin:{os.environ['PATH']}"))
    assert done.stdout.splitlines()[0] == "volume" and "_onggi" in done.stdout.splitlines()[1]


def test_the_units_start_the_program_where_it_was_to_be_installed(installed):
    units = list(installed.rglob("onggi-restart.service"))
    assert {unit.parent.name for unit in units} == {"system", "user"}
    for unit in units:
        start, = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
        assert start.partition("=")[2].split()[0].endswith("/bin/onggi")
