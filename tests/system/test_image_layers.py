# SPDX-License-Identifier: GPL-2.0-or-later
"""What a layer's tar archive says becomes files that overlayfs shows as the image means them, and nothing else is touched."""
import ctypes
import os
import stat
import subprocess
import tarfile

import pytest

from support import archives
from support.images import (Store, device, fifo, file, folder as directory, hard_link, is_opaque, is_whiteout, layer, link, whiteout,
                            write_tar)

LIBC = ctypes.CDLL(None, use_errno=True)

pytestmark = [pytest.mark.core, pytest.mark.root]


@pytest.fixture
def store(folder, root_only, sanitizer_reports):
    return Store(folder / "store")


@pytest.fixture
def unpacked(store, folder):
    """unpacked(members…) imports a tar archive and returns the root of its layer."""
    def make(*members):
        store.ok("import", write_tar(folder / "layer.tar", *members), "layer:test")
        return store.layer_root("layer:test")
    return make


@pytest.fixture
def loaded(store, folder):
    """loaded(layer, layer…) loads an image of those layers, bottom first; returns their roots."""
    def make(*layers):
        archives.write_docker_archive(folder / "image.tar", "layers:test", layers)
        store.ok("load", "-i", folder / "image.tar")
        return [store.layer_root("layers:test", i) for i in range(len(layers))]
    return make


@pytest.fixture
def overlay(folder):
    """overlay(roots) mounts the layers as an instance does and returns the place."""
    place = folder / "merged"
    place.mkdir()
    mounted = []

    def mount(roots):
        lower = ":".join(str(root) for root in reversed(roots))
        options = f"lowerdir={lower}".encode()
        assert not LIBC.mount(b"overlay", bytes(place), b"overlay", 0, options), os.strerror(ctypes.get_errno())
        mounted.append(place)
        return place
    yield mount
    for path in mounted:
        LIBC.umount2(bytes(path), 0)


def test_owners_modes_and_times_are_the_archives(unpacked):
    root = unpacked(directory("etc", mode=0o750, uid=10, gid=20, mtime=1000), file("etc/a", b"x", mode=0o4755, uid=70000, gid=80000, mtime=2000),
                    file("etc/b", b"y", mtime=3000.5), link("etc/c", "a", uid=5, gid=6, mtime=4000))
    found = os.stat(root / "etc")
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime) == (0o750, 10, 20, 1000)
    found = os.stat(root / "etc/a")
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime) == (0o4755, 70000, 80000, 2000)
    assert os.stat(root / "etc/b").st_mtime == 3000.5
    found = os.lstat(root / "etc/c")
    assert (found.st_uid, found.st_gid, found.st_mtime) == (5, 6, 4000)


def test_missing_parents_are_made_with_mode_0755(unpacked):
    root = unpacked(file("a/b/c/file"))
    assert (root / "a/b/c/file").read_bytes() == b"content"
    assert all(stat.S_IMODE(os.stat(root / path).st_mode) == 0o755 for path in ("a", "a/b", "a/b/c"))


def test_devices_and_fifos_are_made(unpacked):
    root = unpacked(directory("dev"), device("dev/null", 1, 3, mode=0o666), device("dev/loop", 7, 0, tarfile.BLKTYPE), fifo("dev/fifo"))
    assert os.lstat(root / "dev/null").st_rdev == os.makedev(1, 3) and stat.S_ISCHR(os.lstat(root / "dev/null").st_mode)
    assert stat.S_IMODE(os.lstat(root / "dev/null").st_mode) == 0o666
    assert stat.S_ISBLK(os.lstat(root / "dev/loop").st_mode)
    assert stat.S_ISFIFO(os.lstat(root / "dev/fifo").st_mode)


def test_capabilities_survive_the_change_of_owner(unpacked):
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    entry, content = file("ping", mode=0o755, uid=1000)
    entry.pax_headers = {"SCHILY.xattr.security.capability": capability.decode("latin-1"), "SCHILY.xattr.user.note": "kept"}
    root = unpacked((entry, content))
    assert os.getxattr(root / "ping", "security.capability") == capability
    assert os.getxattr(root / "ping", "user.note") == b"kept"


def test_attributes_that_steer_overlayfs_are_not_taken_from_an_archive(store, folder):
    entry, content = directory("etc")
    entry.pax_headers = {"SCHILY.xattr.trusted.overlay.redirect": "/", "SCHILY.xattr.user.overlay.opaque": "y"}
    done = store("import", write_tar(folder / "a.tar", (entry, content)), "a")
    assert done.returncode == 0 and "overlay" in done.stderr
    assert not os.listxattr(store.layer_root("a") / "etc")


def test_sparse_files_stay_sparse(store, folder):
    source = folder / "source"
    source.mkdir()
    with open(source / "sparse", "wb") as sparse:
        sparse.seek(40 << 20)
        sparse.write(b"data")
        sparse.truncate(1 << 30)
    subprocess.run(["tar", "--sparse", "-cf", folder / "sparse.tar", "-C", source, "."], check=True)
    for number, path in enumerate((folder / "sparse.tar", source)):
        store.ok("import", path, f"sparse:{number}")
        found = os.stat(store.layer_root(f"sparse:{number}") / "sparse")
        assert found.st_size == 1 << 30 and found.st_blocks * 512 < 1 << 20
        with open(store.layer_root(f"sparse:{number}") / "sparse", "rb") as sparse:
            sparse.seek(40 << 20)
            assert sparse.read(5) == b"data\0"


def test_a_later_entry_replaces_an_earlier_one_of_any_type(unpacked):
    root = unpacked(directory("a"), file("a/x"), file("a", b"now a file"), file("b"), directory("b"), file("b/y"), link("c", "b"), directory("c"),
                    file("c/z"), directory("d"), file("d/kept"), directory("d", mode=0o700))
    assert (root / "a").read_bytes() == b"now a file"
    assert (root / "b/y").exists()
    assert not (root / "c").is_symlink() and (root / "c/z").exists() and not (root / "b/z").exists()
    assert (root / "d/kept").exists() and stat.S_IMODE(os.stat(root / "d").st_mode) == 0o700


def test_hard_links_share_one_file_and_its_attributes(unpacked):
    root = unpacked(file("a", b"shared", mode=0o755, uid=7), hard_link("b", "a", mode=0o600), hard_link("c", "./b"), hard_link("b", "a"))
    assert os.stat(root / "a").st_ino == os.stat(root / "b").st_ino == os.stat(root / "c").st_ino
    assert stat.S_IMODE(os.stat(root / "c").st_mode) == 0o755 and os.stat(root / "c").st_uid == 7


def test_whiteouts_hide_the_layers_below_and_nothing_of_their_own(loaded, overlay):
    lower = layer(directory("etc"), file("etc/gone"), file("etc/stays"), directory("var"), file("var/old"), file("both", b"old"))
    upper = layer(whiteout("etc/gone"), whiteout("var"), file("both", b"new"), whiteout("both"))
    roots = loaded(lower, upper)
    assert is_whiteout(roots[1] / "etc/gone") and is_whiteout(roots[1] / "var")
    merged = overlay(roots)
    assert sorted(os.listdir(merged)) == ["both", "etc"] and os.listdir(merged / "etc") == ["stays"]
    assert (merged / "both").read_bytes() == b"new"


@pytest.mark.parametrize("order", ["marker first", "marker last"])
def test_opaque_folders_show_only_their_own_layer(loaded, overlay, order):
    lower = layer(directory("etc"), file("etc/old"), directory("etc/deep"), file("etc/deep/old"))
    members = [file("etc/.wh..wh..opq", b""), file("etc/new")]
    upper = layer(directory("etc"), *(members if order == "marker first" else reversed(members)))
    roots = loaded(lower, upper)
    assert is_opaque(roots[1] / "etc")
    assert os.listdir(overlay(roots) / "etc") == ["new"]


def test_an_opaque_root_hides_all_layers_below(store, folder, overlay):
    layers = layer(file("old"), directory("etc")), layer(file(".wh..wh..opq", b""), file("new")), layer(file("newer"))
    archives.write_docker_archive(folder / "image.tar", "opaque:test", layers)
    store.ok("load", "-i", folder / "image.tar")
    assert sorted(os.listdir(overlay([store.layer_root("opaque:test", i) for i in (0, 1)]))) == ["new", "newer"]


@pytest.mark.parametrize("order", ["whiteout first", "whiteout last", "without an entry of its own"])
def test_a_folder_that_was_removed_and_made_anew_is_empty_below(loaded, overlay, order):
    lower = layer(directory("etc"), file("etc/old"))
    members = {"whiteout first": [whiteout("etc"), directory("etc"), file("etc/new")],
               "whiteout last": [directory("etc"), file("etc/new"), whiteout("etc")],
               "without an entry of its own": [whiteout("etc"), file("etc/new")]}
    roots = loaded(lower, layer(*members[order]))
    assert os.listdir(overlay(roots) / "etc") == ["new"]


def test_a_hard_link_may_lead_to_a_file_of_a_layer_below(store, loaded, overlay):
    roots = loaded(layer(directory("bin"), file("bin/tool", b"tool", mode=0o4755, uid=3), file("gone"), file("far", b"far")),
                   layer(whiteout("gone")), layer(hard_link("bin/alias", "bin/tool"), hard_link("near", "far")))
    merged = overlay(roots)
    assert (merged / "bin/alias").read_bytes() == b"tool" and (merged / "near").read_bytes() == b"far"
    found = os.stat(merged / "bin/alias")
    assert stat.S_IMODE(found.st_mode) == 0o4755 and found.st_uid == 3
    assert found.st_ino == os.stat(merged / "bin/tool").st_ino
    assert store.layers() != {entry.split(":")[1] for entry in store.blob(store.blob(store.index()[0]["digest"])["config"]["digest"])["rootfs"]["diff_ids"]}


def test_a_hard_link_to_a_file_that_was_removed_is_refused(store, folder):
    layers = [layer(file("gone")), layer(whiteout("gone")), layer(hard_link("alias", "gone"))]
    archives.write_docker_archive(folder / "image.tar", "layers:test", layers)
    assert "alias" in store.refuses("load", "-i", folder / "image.tar")
    assert not store.leftovers() and not store.names()


def test_one_layer_of_two_images_is_unpacked_once(store, folder):
    shared = layer(file("shared"))
    for name, layers in (("one", [shared]), ("two", [shared, layer(file("more"))])):
        store.ok("load", "-i", archives.write_docker_archive(folder / "image.tar", name, layers))
    assert store.layer_root("one") == store.layer_root("two", 0)
    assert len(store.layers()) == 2


HOSTILE = {
    "a name that climbs out": [file("../outside")],
    "a name that climbs out later": [directory("a"), file("a/../../outside")],
    "an absolute name": [file("/outside")],
    "a symbolic link that climbs out": [link("a", "../../outside")],
    "a file through a link that climbs out": [link("a", "../.."), file("a/outside")],
    "a hard link that climbs out": [hard_link("a", "../../outside")],
    "a hard link with an absolute target": [hard_link("a", "/outside")],
    "a hard link to nothing": [hard_link("a", "outside")],
    "a hard link to a folder": [directory("b"), hard_link("a", "b")],
    "a whiteout of the parent": [file(".wh...", b"")],
    "a whiteout of the folder itself": [file("a/.wh..", b"")],
    "a whiteout of nothing": [file(".wh.", b"")],
    "a file below a file": [file("a"), file("a/b")],
    "a folder nest without end": [directory("/".join(["d"] * n)) for n in range(1, 400)],
    "a root that is no folder": [link(".", "x")],
    "a symbolic link to nowhere": [link("a", "")],
    "a name longer than a file's can be": [file("n" * 300)],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_entries_are_refused_and_touch_nothing(store, folder, what):
    outside = folder / "outside"
    outside.write_text("untouched")
    line = store.refuses("import", write_tar(folder / "hostile.tar", file("harmless"), *HOSTILE[what]), "hostile")
    assert "entry " in line
    assert outside.read_text() == "untouched" and outside.stat().st_nlink == 1
    assert not store.leftovers() and not store.names() and not store.layers()


def test_links_inside_an_archive_lead_no_further_than_its_root(unpacked, folder):
    (folder / "outside").mkdir()
    root = unpacked(link("absolute", str(folder / "outside")), file("absolute/file"), link("root", "/"), file("root/etc/file"))
    assert not list((folder / "outside").iterdir())
    assert (root / str(folder / "outside")[1:] / "file").exists() and (root / "etc/file").exists()


def test_absolute_names_in_images_mean_the_layers_root(loaded):
    root, = loaded(layer(file("/app/server", b"x")))
    assert (root / "app/server").read_bytes() == b"x"


def test_a_nest_that_goes_deep_through_links_is_refused_and_removed(store, folder):
    deep = "/".join(["d"] * 200)
    members = [directory("/".join(["d"] * n)) for n in range(1, 201)] + [link("l", deep), directory("l/e")]
    members += [directory("l/" + "/".join(["e"] * n)) for n in range(1, 150)]
    assert "deep" in store.refuses("import", write_tar(folder / "deep.tar", *members), "deep")
    assert not store.leftovers()


def test_names_that_are_not_utf8_are_kept_as_they_are(unpacked, folder):
    entry, content = file("x")
    raw = entry.tobuf(tarfile.USTAR_FORMAT).replace(b"x\0", b"\xe9\0", 1)
    checksum = sum(raw[:148]) + 8 * 32 + sum(raw[156:512])
    raw = raw[:148] + b"%06o\0 " % checksum + raw[156:]
    archive = folder / "latin.tar"
    archive.write_bytes(raw + bytes(1024))
    store = Store(folder / "store")
    store.ok("import", archive, "latin")
    assert os.listdir(os.fsencode(store.layer_root("latin"))) == [b"\xe9"]


def test_the_same_folder_imported_twice_is_the_same_layer(store, folder):
    source = folder / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/b").write_text("b")
    os.link(source / "sub/b", source / "a")
    os.symlink("a", source / "c")
    os.mkfifo(source / "sub/fifo")
    os.setxattr(source / "sub", "user.note", b"kept")
    for number in (1, 2):
        store.ok("import", source, f"twice:{number}")
        os.stat(source / "a")
    assert len(store.layers()) == 1
    root = store.layer_root("twice:1")
    assert os.stat(root / "a").st_ino == os.stat(root / "sub/b").st_ino
    assert os.readlink(root / "c") == "a" and os.getxattr(root / "sub", "user.note") == b"kept"
    assert os.stat(root).st_mtime == int(os.stat(source).st_mtime)
