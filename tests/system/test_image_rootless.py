# SPDX-License-Identifier: GPL-2.0-or-later
"""The store of an ordinary user: onggi-image runs as root of a user namespace whose ids are a range of the host's."""
import ctypes
import os
import stat

import pytest

from support import archives
from support.images import Store, device, file, folder as directory, is_whiteout, layer, whiteout, write_tar

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000
FIRST, COUNT = 300000, 1000

pytestmark = [pytest.mark.core, pytest.mark.root]


def enter_user_namespace():
    """Runs in the child before it executes the program: its ids 0 to 999 are 300000 to 300999 outside."""
    entered, tell = os.pipe()
    mapper = os.fork()
    if not mapper:
        os.close(tell)
        os.read(entered, 1)
        for kind in ("uid", "gid"):
            with open(f"/proc/{os.getppid()}/{kind}_map", "w", encoding="ascii") as table:
                table.write(f"0 {FIRST} {COUNT}")
        os._exit(0)
    assert not LIBC.unshare(CLONE_NEWUSER)
    os.write(tell, b"x")
    os.waitpid(mapper, 0)
    os.setgid(0)
    os.setuid(0)


@pytest.fixture
def store(folder, root_only, sanitizer_reports):
    os.chown(folder, FIRST, FIRST)
    return Store(folder / "store")


def rootless(call, *words, **settings):
    return call(*words, preexec_fn=enter_user_namespace, **settings)


def test_owners_are_in_the_range_and_devices_are_left_out(store, folder):
    path = write_tar(folder / "a.tar", file("a", uid=5, gid=6), device("null", 1, 3))
    done = rootless(store, "import", path, "app")
    assert done.returncode == 0 and "device of null" in done.stderr
    root, = (store.root / "layers").glob("*/root")
    found = os.stat(root / "a")
    assert (found.st_uid, found.st_gid) == (FIRST + 5, FIRST + 6)
    assert os.listdir(root) == ["a"]


def test_an_owner_without_a_number_names_the_range_and_the_file_that_gives_more(store, folder):
    line = rootless(store.refuses, "import", write_tar(folder / "a.tar", file("deep/a", uid=70000)), "app")
    assert "deep/a" in line and "70000" in line and "0-999" in line and "/etc/subuid" in line
    assert "/etc/subgid" in rootless(store.refuses, "import", write_tar(folder / "a.tar", file("a", gid=1000)), "app")
    assert not store.leftovers()


def test_whiteouts_take_the_form_that_overlayfs_reads_there(store, folder):
    layers = [layer(directory("etc"), file("etc/old"), file("gone")), layer(directory("etc"), file("etc/.wh..wh..opq", b""), whiteout("gone"))]
    rootless(store.ok, "load", "-i", archives.write_docker_archive(folder / "image.tar", "app", layers))
    upper = store.layer_root("app")
    assert is_whiteout(upper / "gone")
    assert os.getxattr(upper / "etc", "user.overlay.opaque") == b"y"
    assert stat.S_ISDIR(os.stat(upper / "etc").st_mode)
