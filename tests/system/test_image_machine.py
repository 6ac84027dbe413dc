# SPDX-License-Identifier: GPL-2.0-or-later
"""What virtual machines see of an image, and what they write to: EROFS files of layers, ext4 disks."""
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from support import archives
from support.images import Store, file, folder as directory, layer, link, whiteout

MIB = 1 << 20

pytestmark = [
    pytest.mark.core, pytest.mark.root,
    pytest.mark.skipif(not shutil.which("fsck.erofs"), reason="fsck.erofs is not installed (Debian: erofs-utils)"),
    pytest.mark.skipif(not shutil.which("e2fsck"), reason="e2fsck is not installed (Debian: e2fsprogs)"),
]


@pytest.fixture
def store(folder, root_only, sanitizer_reports):
    return Store(folder / "store")


def load(store, folder, name, *layers):
    archives.write_docker_archive(folder / "image.tar", name, layers)
    store.ok("load", "-i", folder / "image.tar")


def extract(path, target):
    subprocess.run(["fsck.erofs", f"--extract={target}", "--preserve", path], check=True, capture_output=True)
    return target


def files(store):
    return sorted(path.name for path in (store.root / "erofs").glob("*.erofs"))


def killed(store, point, *words):
    return subprocess.run([store.driver.path, *store.driver.shared, *words], env={**os.environ, "ONGGI_TEST_KILL": point},
                          capture_output=True, check=False).returncode == -signal.SIGKILL


def test_an_erofs_file_shows_what_the_layers_show_on_one_another(store, folder):
    lower = layer(directory("etc"), file("etc/gone"), file("etc/stays", b"old", mode=0o4755, uid=70000, gid=5, mtime=1000))
    upper = layer(whiteout("etc/gone"), link("link", "etc/stays"), file("new", b"new"))
    load(store, folder, "two:test", lower, upper)
    path = store.driver.ok("erofs", "two:test")
    tree = extract(path, folder / "tree")
    assert sorted(os.listdir(tree)) == ["etc", "link", "new"] and os.listdir(tree / "etc") == ["stays"]
    found = os.stat(tree / "etc/stays")
    assert (found.st_uid, found.st_gid, found.st_mtime) == (70000, 5, 1000)
    shown = subprocess.run(["dump.erofs", "--path=/etc/stays", path], check=True, capture_output=True, text=True).stdout
    # fsck.erofs loses, and dump.erofs does not show, the bits above: they are in the inode (Linux fs/erofs/erofs_fs.h).
    mode, = struct.unpack_from("<H", Path(path).read_bytes(), int(re.search(r"NID: (\d+)", shown).group(1)) * 32 + 4)
    assert stat.S_IMODE(mode) == 0o4755
    assert os.readlink(tree / "link") == "etc/stays"


def test_the_same_layers_give_the_same_bytes(store, folder):
    load(store, folder, "one:test", layer(directory("a"), *(file(f"a/{i}", os.urandom(5000)) for i in range(20))))
    path = Path(store.driver.ok("erofs", "one:test"))
    first, made = path.read_bytes(), path.stat().st_mtime_ns
    assert store.driver.ok("erofs", "one:test") == str(path) and path.stat().st_mtime_ns == made   # it is not made again
    path.unlink()
    store.driver.ok("erofs", "one:test")
    assert path.read_bytes() == first


def test_an_erofs_file_goes_with_its_image_and_not_before(store, folder):
    load(store, folder, "first:test", layer(file("a")))
    load(store, folder, "second:test", layer(file("b")))
    one, two = (Path(store.driver.ok("erofs", name)) for name in ("first:test", "second:test"))
    store.driver.ok("pin", "first:test", "holder")
    store.driver.ok("untag-force", "first:test")
    store.driver.ok("untag", "second:test")
    assert one.exists() and not two.exists()
    store.driver.ok("unpin", "holder")
    store.driver.ok("prune")
    assert files(store) == []


def test_nothing_is_left_of_one_that_was_killed_while_it_was_made(store, folder):
    load(store, folder, "one:test", layer(file("a")))
    assert killed(store, "image.erofs.made", "erofs", "one:test")
    assert files(store) == []
    store.driver.ok("erofs", "one:test")
    assert len(files(store)) == 1


def test_a_maker_that_is_missing_is_named(store, folder):
    load(store, folder, "one:test", layer(file("a")))
    for words, reason in ((("erofs", "one:test"), "mkfs.erofs is not installed"),
                          (("disk", str(store.root), str(16 * MIB), str(folder / "disk")), "mkfs.ext4 is not installed")):
        done = subprocess.run([store.driver.path, *store.driver.shared, *words], env={**os.environ, "PATH": "/nowhere"}, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (folder / "disk").exists()


def test_a_disk_is_a_whole_file_system_in_a_file_of_holes(store, folder):
    for name in ("first", "second"):
        store.driver.ok("disk", str(store.root), str(1024 * MIB), str(folder / name))
        found = os.stat(folder / name)
        assert found.st_size == 1024 * MIB and found.st_blocks * 512 < 8 * MIB and stat.S_IMODE(found.st_mode) == 0o600
        subprocess.run(["e2fsck", "-fn", folder / name], check=True, capture_output=True)
    assert len(list((store.root / "disks").iterdir())) == 1


@pytest.mark.parametrize("size", ["0", "5000", str(16 * MIB + 1), str(1 << 50)])
def test_a_disk_of_a_size_that_none_can_have_is_refused(store, folder, size):
    done = store.driver("disk", str(store.root), size, str(folder / "disk"))
    assert done.returncode == 1 and "a disk has 16 MiB to" in done.stderr
    assert not (folder / "disk").exists()
