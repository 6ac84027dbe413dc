# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the system tests: the built programs, bundles and images to run, and a counter of what was left behind.

As root, the process that runs tests lives in a private host (support/private_host.py). Each use of `runtime` or `onggi` also
counts leaks: the test fails when anything outlives the clean-up of what it made. Not root: tests marked `root` are skipped.
"""
import itertools
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("support")

from support import archives, bundle as bundles, leaks, ordinary_user, private_host, programs  # noqa: E402 (after the rewrite is asked for)

RAN_AS_ROOT = os.geteuid() == 0
COUNTER = itertools.count()


def pytest_configure(config):
    for line in ("core: runs under the sanitizers too", "slow: takes more than ten seconds",
                 "root: needs root"):
        config.addinivalue_line("markers", line)


def runs_tests(config):
    return hasattr(config, "workerinput") or not config.getoption("numprocesses", None)


def cgroup_name():
    return f"onggi-test-{os.getpid()}"


def own_temporary_folder():
    """Processes that run tests side by side must not count each other's temporary files as left behind."""
    if "TMPDIR" in os.environ:
        os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="onggi-test-process-")
        os.chmod(os.environ["TMPDIR"], 0o755)
        tempfile.tempdir = None


def pytest_sessionstart(session):
    if runs_tests(session.config):
        own_temporary_folder()
    if RAN_AS_ROOT and runs_tests(session.config):
        os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
        leaks.watch_children()
        session.config.private_cgroups = private_host.enter(cgroup_name())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if hasattr(session.config, "private_cgroups"):
        programs.end(leaks.descendants())
        session.config.private_cgroups.leave()


# Modules whose tests look at what one emulated machine printed, which is to boot once: all of them go to one worker. Two such machines
# keep two processors busy, so there are two such groups, and they begin first.
EMULATED = ("cgroup_v2", "guest", "isolation_vm", "other_systems", "runtime_vm", "vmm", "vmm_share", "vmm_storage", "vmm_whole")


def emulated(item):
    name = item.module.__name__.rpartition(".")[2].removeprefix("test_")
    return EMULATED.index(name) if name in EMULATED else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: emulated(item) is None)
    for item in items:
        if emulated(item) is not None:
            item.add_marker(pytest.mark.xdist_group(f"emulated-{emulated(item) % 2}"))
        if not RAN_AS_ROOT and (item.get_closest_marker("root") or
                                {"runtime", "onggi", "private_host", "ordinary_user", "root_only"} & set(item.fixturenames)):
            item.add_marker(pytest.mark.skip(reason="needs root (network, mounts and control groups of a private host)"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs fails, with the line where it hung."""
    def expired(*_):
        raise TimeoutError(f"the test did not end within {seconds} seconds")
    seconds = 600 if item.get_closest_marker("slow") else 120
    signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.fixture(scope="session", autouse=True)
def nothing_left_by_the_session():
    """Whatever single tests missed, the whole session is counted too."""
    if not RAN_AS_ROOT:
        yield
        return
    counter = leaks.Counter()
    yield
    left = counter.left()
    programs.end(leaks.descendants())
    assert not left, "left behind by the session:\n  " + "\n  ".join(left)


@pytest.fixture(scope="session")
def root_only():
    """For what needs root and none of the other fixtures: without root the test is skipped."""


@pytest.fixture(scope="session")
def worker_folder():
    """A short path (sockets' names are limited to 107 bytes) on the disk; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="onggi-test-"))
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def unique():
    """A name that no other test, worker or run uses: unique() or unique('web')."""
    return lambda word="t": f"{word}-{os.getpid()}-{next(COUNTER)}"


@pytest.fixture
def folder(worker_folder):
    """A folder of the test's own with a short path."""
    path = worker_folder / str(next(COUNTER))
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def sanitizer_reports(folder, monkeypatch):
    """Reports of sanitized programs are collected, also those of processes that nobody reads, and fail the test."""
    for name in ("ASAN", "UBSAN"):
        monkeypatch.setenv(f"{name}_OPTIONS", f"log_path={folder}/sanitizer:halt_on_error=1:print_stacktrace=1:detect_leaks=0")
    yield
    reports = [report.read_text() for report in folder.glob("sanitizer.*")]
    assert not reports, "\n".join(reports)


@pytest.fixture
def no_leaks(request):
    """The test and the clean-up of its fixtures leave nothing behind; no_leaks.check() looks already in between."""
    if "private_host" in request.fixturenames:
        request.getfixturevalue("private_host")
    counter = leaks.Counter()
    yield counter
    left = counter.left()
    if left:
        programs.end(set(leaks.descendants()) - {int(text.split()[0]) for text in counter.before.kinds["process"]})
    assert not left, "left behind:\n  " + "\n  ".join(left)


@pytest.fixture(name="private_host")
def fixture_private_host():
    """New, empty network and mount namespaces and a fresh /run for this one test."""
    with private_host.Nested() as host:
        yield host


@pytest.fixture
def runtime(no_leaks, sanitizer_reports, unique):
    """onggi-runtime with a root of its own; containers are deleted at the end."""
    root = Path("/run") / unique("rt")
    caller = programs.Runtime(root)
    yield caller
    caller.remove_all()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def onggi(no_leaks, sanitizer_reports, folder, unique):
    """The onggi command with a root and a state of its own; instances and networks are removed at the end."""
    state = Path("/run") / unique("st")
    caller = programs.Onggi(folder / "root", state)
    yield caller
    caller.remove_all()
    # A bridge goes a moment after its last instance, by a process that needs the state folder until then.
    leaks.await_end("onggi")
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(name="ordinary_user")
def fixture_ordinary_user(private_host, folder, request, sanitizer_reports):
    """onggi as a user with subordinate ids types it; all is counted and removed as for `onggi`, and the user logged out."""
    folder.chmod(0o777)  # reports of sanitizers
    accounts = folder / "accounts"
    accounts.mkdir()
    ordinary_user.make_known(accounts)
    home = ordinary_user.own_folder(folder / "home")
    runtime_folder = ordinary_user.own_folder(Path("/run/user") / str(ordinary_user.UID))
    request.getfixturevalue("no_leaks")
    caller = ordinary_user.OrdinaryOnggi(home, runtime_folder)
    yield caller
    caller.remove_all()
    caller.log_out()


@pytest.fixture(scope="session")
def busybox_root(worker_folder):
    """A root file system of a static busybox. Shared by all tests: copy it (or hard-link it) before changing files."""
    return bundles.make_root(worker_folder / "busybox")


@pytest.fixture
def bundle(folder, busybox_root):
    """bundle('/bin/true', edit=lambda bundle: …) makes an OCI bundle; see support/bundle.py."""
    def make(*args, edit=None):
        made = bundles.Bundle(folder / f"bundle{next(COUNTER)}", args or ("/bin/true",), busybox_root)
        if edit:
            edit(made)
        return made.write()
    return make


@pytest.fixture(scope="session")
def busybox_layer(busybox_root):
    return archives.layer_of(busybox_root)


@pytest.fixture(scope="session")
def docker_archive(worker_folder, busybox_layer):
    """A docker archive of the busybox, named localhost/busybox:test."""
    return archives.write_docker_archive(worker_folder / "busybox.tar", "localhost/busybox:test", [busybox_layer])


@pytest.fixture
def base_image():
    """The image that onggi brings along."""
    return "onggi/base"
