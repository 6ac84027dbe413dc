# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever happens to a command that changes the image store, the next one finds a store that is whole."""
import bz2
import contextlib
import ctypes
import gzip
import os
import signal
import subprocess
import tarfile
import time

import pytest

from support import archives, programs
from support.images import Store, file, folder as directory, layer, write_tar

LIBC = ctypes.CDLL(None, use_errno=True)

pytestmark = [pytest.mark.core, pytest.mark.root]

LAYER = layer(directory("bin"), file("bin/program", b"#!" * 5000, mode=0o755))
SECOND = layer(file("etc/release", b"second"))

ADDING_POINTS = ["image.adding.begun", "image.blob.written", "image.blob.renamed", "image.layer.unpacked", "image.layer.renamed",
                 "image.index.writing", "image.index.written"]


@pytest.fixture
def store(folder, root_only, sanitizer_reports):
    return Store(folder / "store")


@pytest.fixture
def image(folder):
    return archives.write_docker_archive(folder / "image.tar", "app", [LAYER, SECOND])


@contextlib.contextmanager
def mounted_tmpfs(place, options):
    place.mkdir()
    assert not LIBC.mount(b"tmpfs", bytes(place), b"tmpfs", 0, options), os.strerror(ctypes.get_errno())
    yield place
    LIBC.umount2(bytes(place), 0)


@pytest.fixture
def small_disk(folder):
    """A tmpfs of 8 MiB for a store."""
    with mounted_tmpfs(folder / "small", b"size=8m") as place:
        yield place


@pytest.fixture
def fast_disk(folder):
    """A tmpfs with room for a million files: ext4 slows down for minutes after so many were removed."""
    with mounted_tmpfs(folder / "fast", b"size=3g,nr_inodes=2m") as place:
        yield place


@pytest.mark.parametrize("point", ADDING_POINTS)
@pytest.mark.parametrize("verb", ["load", "import"])
def test_a_killed_command_leaves_nothing_that_the_next_does_not_remove(store, image, folder, verb, point):
    store.ok("import", "-", "before", input=SECOND, text=False)
    words = ("load", "-i", image) if verb == "load" else ("import", write_tar(folder / "rootfs.tar", file("a", b"a" * 5000)), "app")
    assert store(*words, env={"ONGGI_TEST_KILL": point}).returncode == -signal.SIGKILL
    before = store.names()
    assert "before:latest" in before and ("app:latest" in before) == (point == "image.index.written")
    store.ok("import", "-", "next", input=SECOND, text=False)
    assert not store.leftovers()
    store.ok(*words)
    # The first import's image, if it came so far, may have lost its name to one of another second.
    assert [name for name in store.names() if name] == ["app:latest", "before:latest", "next:latest"] and not store.leftovers()
    store.driver.ok("find", "app")


@pytest.mark.parametrize("point", ["image.adding.begun", "image.layer.unpacked", "image.blob.renamed"])
def test_prune_removes_what_a_killed_command_left(store, image, point):
    assert store("load", "-i", image, env={"ONGGI_TEST_KILL": point}).returncode == -signal.SIGKILL
    assert store.leftovers()
    store.driver.ok("prune")
    assert not store.leftovers()


@pytest.mark.parametrize("point", ["image.index.writing", "image.index.written", "image.sweep.layer", "image.sweep.blob"])
@pytest.mark.parametrize("verb", [["untag", "app"], ["prune-all"]], ids=["untag", "prune"])
def test_a_killed_removal_is_finished_by_the_next_command(store, image, verb, point):
    store.ok("load", "-i", image)
    store.ok("import", "-", "other", input=SECOND, text=False)
    store.driver.ok("pin", "other", "holder")
    assert store.driver(*verb, env={"ONGGI_TEST_KILL": point}).returncode == -signal.SIGKILL
    assert store.names() == (["app:latest"] if point == "image.index.writing" else []) + ["other:latest"]
    store.driver.ok("prune-all")
    assert store.names() == ["other:latest"] and not store.leftovers()
    store.driver.ok("find", "other")


def test_a_killed_save_leaves_no_file_under_the_name(store, image, folder):
    store.ok("load", "-i", image)
    assert store("save", "-o", folder / "out.tar", "app", env={"ONGGI_TEST_KILL": "image.save.written"}).returncode == -signal.SIGKILL
    assert not (folder / "out.tar").exists()


def wait_until_stopped(process):
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])


@pytest.mark.parametrize("point", ["image.blob.renamed", "image.layer.renamed", "image.index.writing"])
def test_prune_does_not_take_what_is_just_being_loaded(store, image, point):
    loading = store.popen("load", "-i", image, env={"ONGGI_TEST_STOP": point})
    wait_until_stopped(loading)
    pruning = store.driver.popen("prune-all", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "waiting" in pruning.stderr.readline()
    for _ in range(20):  # the point is passed once for each blob or layer
        loading.send_signal(signal.SIGCONT)
        if not os.WIFSTOPPED(os.waitpid(loading.pid, os.WUNTRACED)[1]):
            break
    assert pruning.wait(30) == 0
    pruning.communicate()
    assert store.names() == [] and not store.leftovers() and not store.blobs()
    store.ok("load", "-i", image)
    store.driver.ok("find", "app")


def test_removing_an_image_does_not_wait_for_a_load(store, image):
    store.ok("import", "-", "old", input=layer(file("old")), text=False)
    loading = store.popen("load", "-i", image, env={"ONGGI_TEST_STOP": "image.adding.begun"})
    wait_until_stopped(loading)
    store.driver.ok("untag", "old", timeout=10)
    loading.send_signal(signal.SIGCONT)
    assert loading.wait(30) == 0
    assert store.names() == ["app:latest"]
    store.driver.ok("prune")
    assert not store.leftovers() and len(store.layers()) == 2


def test_two_loads_of_one_image_at_once_both_succeed(store, image):
    for point in ("image.blob.written", "image.layer.unpacked", "image.index.writing"):
        first = store.popen("load", "-i", image, env={"ONGGI_TEST_STOP": point})
        wait_until_stopped(first)
        if point == "image.index.writing":
            second = store.popen("load", "-i", image)
        else:
            store.ok("load", "-i", image)
            second = None
        while True:
            first.send_signal(signal.SIGCONT)
            if not os.WIFSTOPPED(os.waitpid(first.pid, os.WUNTRACED)[1]):
                break
        assert second is None or second.wait(30) == 0
        assert store.names() == ["app:latest"] and not store.leftovers()
        store.driver.ok("find", "app")
        store.driver.ok("prune-all")
        assert not store.blobs() and not store.layers()


def test_many_commands_at_once_lose_nothing(store, folder):
    layers = [layer(file(f"file{n}", b"x" * n)) for n in range(10)]
    paths = [archives.write_docker_archive(folder / f"{n}.tar", f"image{n}", [LAYER, layers[n]]) for n in range(10)]
    running = [store.popen("load", "-q", "-i", path) for path in paths for _ in range(3)]
    running += [store.driver.popen("prune", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(5)]
    assert [process.wait(60) for process in running] == [0] * 35
    assert store.names() == sorted(f"image{n}:latest" for n in range(10))
    running = [store.driver.popen("tag", f"image{n}", f"copy{n}:{m}") for n in range(10) for m in range(4)]
    running += [store.driver.popen("untag", f"image{n}") for n in range(0, 10, 2)]
    codes = [process.wait(60) for process in running]
    assert codes[40:] == [0] * 5
    assert not store.leftovers()
    for name in store.names():
        store.driver.ok("find", name)
    assert {f"image{n}:latest" for n in range(1, 10, 2)} <= set(store.names())


def test_a_full_disk_gives_one_line_and_undoes_everything(small_disk, folder):
    store = Store(small_disk / "store")
    store.ok("import", "-", "fits", input=LAYER, text=False)
    before = (store.blobs(), store.layers())
    big = layer(file("big", os.urandom(5 << 20)))
    (folder / "rootfs.tar").write_bytes(big)
    archives.write_docker_archive(folder / "image.tar", "big", [big])
    (folder / "source").mkdir()
    (folder / "source/big").write_bytes(os.urandom(5 << 20))
    for words in (("import", folder / "rootfs.tar", "big"), ("load", "-i", folder / "image.tar"), ("import", folder / "source", "big")):
        assert "No space left on device" in store.refuses(*words)
        assert store.names() == ["fits:latest"] and (store.blobs(), store.layers()) == before and not store.leftovers()
    assert "No space left on device" in store.refuses("save", "-o", "/dev/full", "fits")
    store.driver.ok("find", "fits")


def test_a_full_disk_while_saving_leaves_no_file(small_disk, folder):
    store = Store(folder / "store")
    store.ok("import", "-", "big", input=layer(file("big", os.urandom(9 << 20))), text=False)
    for form, name in (("docker-archive", "out.tar"), ("oci-dir", "layout")):
        assert "No space left on device" in store.refuses("save", "--format", form, "-o", small_disk / name, "big")
        assert not list(small_disk.iterdir())


def bomb(path, size):
    """A tar archive with one file of zeros, compressed a thousandfold."""
    entry = tarfile.TarInfo("zeros")
    entry.size = size
    with gzip.open(path, "wb", compresslevel=9) as packed:
        packed.write(entry.tobuf())
        for _ in range(size >> 20):
            packed.write(bytes(1 << 20))
        packed.write(bytes(1024))
    return path


def test_a_decompression_bomb_is_stopped_early(store, folder):
    path = bomb(folder / "bomb.tar.gz", 400 << 20)
    assert "times its size" in store.refuses("import", path, "bomb")
    assert "--max-size" in store.refuses("import", "--max-size", "100m", path, "bomb")
    packed = path.read_bytes()
    config = archives.image_config([b""])
    blobs, manifest = archives.oci_blobs([packed], config, "application/vnd.oci.image.layer.v1.tar+gzip")
    archives.write_oci_archive(folder / "image.tar", "bomb", blobs, manifest)
    assert "times its size" in store.refuses("load", "-i", folder / "image.tar")
    nested = folder / "nested.gz"
    nested.write_bytes(gzip.compress(packed))
    assert "more than once" in store.refuses("import", nested, "bomb")
    nested.write_bytes(bz2.compress(packed))
    assert "times its size" in store.refuses("import", nested, "bomb")
    assert not store.leftovers() and not store.blobs() and not store.layers()


def test_max_size_says_that_much_is_meant(store, folder):
    store.ok("import", "--max-size", "1g", bomb(folder / "zeros.tar.gz", 300 << 20), "zeros")
    assert (store.layer_root("zeros") / "zeros").stat().st_size == 300 << 20


@pytest.mark.slow
def test_a_million_entries_cost_bounded_memory_and_time(fast_disk, folder):
    if b"__asan_init" in programs.program("onggi-image").read_bytes():
        pytest.skip("a sanitized program has much memory of the sanitizers' own")
    store = Store(fast_disk / "store")
    header = tarfile.TarInfo("d0000/f0000000").tobuf(tarfile.USTAR_FORMAT)

    def entry(number):
        name = b"d%04d/f%07d" % (number // 500, number)
        block = name + header[len(name):148] + b"        " + header[156:]
        return block[:148] + b"%06o\0 " % sum(block) + block[156:]
    with gzip.open(folder / "many.tar.gz", "wb", compresslevel=1) as packed:
        for start in range(0, 1000000, 10000):
            packed.write(b"".join(entry(number) for number in range(start, start + 10000)))
        packed.write(bytes(1024))
    started = time.monotonic()
    process = store.popen("import", "--max-size", "2g", folder / "many.tar.gz", "many", stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - started
    assert process.returncode == 0
    assert usage.ru_maxrss < 200 << 10 and took < 60
    assert len(os.listdir(store.layer_root("many"))) == 2000
    store.driver.ok("untag", "many", timeout=120)
    assert not store.layers()
    print(f"a million entries: {took:.1f} s, {usage.ru_maxrss >> 10} MiB")


def test_too_many_folders_are_refused_before_memory_is(store, folder):
    header = tarfile.TarInfo("x")
    header.type = tarfile.DIRTYPE
    name = "/".join(["n" * 200] * 15)
    with tarfile.open(folder / "folders.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        header.name = name
        block = header.tobuf(tarfile.GNU_FORMAT)
        archive.fileobj.write(block * 40000)
    refused = store.popen("import", folder / "folders.tar", "folders", stderr=subprocess.PIPE)
    assert "more folders" in refused.stderr.read()
    _, status, usage = os.wait4(refused.pid, 0)
    refused.returncode = os.waitstatus_to_exitcode(status)
    refused.stderr.close()
    assert refused.returncode == 1 and usage.ru_maxrss < 300 << 10
    assert not store.leftovers()


def test_a_pinned_image_stays(store, image):
    store.ok("load", "-i", image)
    store.driver.ok("pin", "app", "instance1")
    store.driver.ok("pin", "app", "instance1")
    assert "instance1" in store.driver.refuses("untag", "app")
    store.driver.ok("prune-all")
    assert store.names() == ["app:latest"]
    store.driver.ok("untag-force", "app")
    store.driver.ok("prune-all")
    assert store.names() == [""] and len(store.layers()) == 2
    store.driver.ok("unpin", "instance1")
    store.driver.ok("unpin", "instance1")
    store.driver.ok("prune")
    assert store.names() == [] and not store.layers() and not store.blobs()


def test_names_are_given_moved_and_taken(store, image):
    store.ok("load", "-i", image)
    store.ok("import", "-", "other", input=SECOND, text=False)
    store.driver.ok("tag", "app", "docker.io/library/copy:1")
    assert store.names() == ["app:latest", "copy:1", "other:latest"]
    store.driver.ok("tag", "other", "copy:1")
    digest = store.driver.ok("find", "copy:1").split()[0]
    assert digest == store.driver.ok("find", "other").split()[0]
    assert "2 names" in store.driver.refuses("untag", digest)
    store.driver.ok("untag", "copy:1")
    assert store.names() == ["app:latest", "other:latest"]
    store.driver.ok("untag", digest[7:15])
    assert store.names() == ["app:latest"] and not store.leftovers()
    assert "no such image" in store.driver.refuses("untag", "other")
    assert "digest" in store.driver.refuses("tag", "app", "x@" + digest)


def test_a_broken_image_is_listed_and_can_be_removed(store, image):
    store.ok("load", "-i", image)
    store.ok("import", "-", "other", input=SECOND, text=False)
    entry = next(entry for entry in store.index() if entry["annotations"]["org.opencontainers.image.ref.name"] == "app:latest")
    (store.root / "images/blobs" / entry["digest"].replace(":", "/")).write_text("rubbish")
    assert "broken" in store.driver.ok("list")
    assert "load its image again" in store.driver.refuses("find", "app")
    assert "broken" in store.driver.refuses("prune")
    store.driver.ok("untag", "app")
    store.driver.ok("prune")
    assert store.names() == ["other:latest"] and not store.leftovers()


def test_a_layer_that_is_not_unpacked_is_unpacked_again(store, image):
    store.ok("load", "-i", image)
    root = store.layer_root("app")
    subprocess.run(["rm", "-rf", root.parent], check=True)
    assert "unpack" in store.driver.refuses("find", "app")
    store.ok("unpack", "app")
    assert (store.layer_root("app") / "etc/release").read_bytes() == b"second"
