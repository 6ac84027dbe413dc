# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images as onggi-vmm reads and writes them, with QEMU's tools as the judge of every image that is left behind."""
import json
import random
import shutil
import signal
import subprocess

import pytest

from support import programs

DRIVER = programs.build_folder() / "tests/system/disk_driver"
SIZE = 24 << 20
KINDS = ["-o compat=1.1", "-o compat=0.10", "-o compat=1.1,cluster_size=512", "-o compat=1.1,cluster_size=2M",
         "-o compat=1.1,refcount_bits=1", "-o compat=1.1,refcount_bits=64,cluster_size=4k", "-o compat=1.1,lazy_refcounts=on",
         "-o compat=0.10,cluster_size=1k"]


@pytest.fixture(autouse=True)
def tools():
    for tool in ("qemu-img", "qemu-io"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed (Debian: qemu-utils)")


def qemu_img(*arguments, status=0):
    done = subprocess.run(["qemu-img", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def clean(image):
    """No errors and no leaks."""
    done = subprocess.run(["qemu-img", "check", "--output=json", image], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def driver(*arguments, commands=()):
    done = subprocess.run([DRIVER, *map(str, arguments)], input="".join(f"{line}\n" for line in commands),
                          capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.split("\n")[:-1], done.stderr


class Model:
    """What a disk must hold, beside the image."""

    def __init__(self, content, seed):
        self.content, self.random = bytearray(content), random.Random(seed)

    def commands(self, count):
        found, sectors = [], len(self.content) // 512
        for number in range(count):
            kind = self.random.choice(["write"] * 6 + ["zero", "unmap", "flush"])
            first = self.random.randrange(sectors) if self.random.random() < 0.5 else self.random.randrange(sectors // 16)
            length = min(self.random.choice([1, 3, 8, 64, 200, 1000]), sectors - first)
            where, byte = slice(first * 512, (first + length) * 512), number % 255 + 1
            if kind == "flush":
                found.append("flush")
                continue
            self.content[where] = (bytes([byte]) if kind == "write" else b"\0") * (length * 512)
            found.append(f"{kind} {first * 512} {length * 512} {byte}")
        return found

    def same(self, image, folder):
        (folder / "model").write_bytes(self.content)
        qemu_img("compare", "-f", "raw", "-F", "qcow2", folder / "model", image)


def pattern(seed, size=SIZE):
    """Half zeroes, and the rest compressible."""
    chance, found = random.Random(seed), bytearray()
    while len(found) < size:
        found += chance.choice([bytes(65536), bytes([chance.randrange(256)]) * 40000 + chance.randbytes(25536)])
    return bytes(found[:size])


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_qemu_is_written_and_stays_whole(tmp_path, kind):
    image, model = tmp_path / "image", Model(bytes(SIZE), kind)
    qemu_img("create", "-q", "-f", "qcow2", *kind.split(), image, str(SIZE))
    for _ in range(2):
        status, answers, said = driver("run", image, "qcow2", commands=model.commands(150))
        assert status == 0 and set(answers) == {"ok"}, said
        clean(image)
        model.same(image, tmp_path)


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_compressed_clusters_are_read_and_replaced(tmp_path, compression):
    image, model = tmp_path / "image", Model(pattern(1), 1)
    (tmp_path / "raw").write_bytes(model.content)
    qemu_img("convert", "-q", "-c", "-f", "raw", "-O", "qcow2", "-o", f"compression_type={compression}", tmp_path / "raw", image)
    status, answers, said = driver("run", image, "qcow2", commands=["sum"])
    assert status == 0, said
    assert answers == driver("run", tmp_path / "raw", "raw", commands=["sum"])[1]
    status, answers, said = driver("run", image, "qcow2", commands=model.commands(150) + ["discard 0 1048576"])
    assert status == 0 and set(answers) == {"ok"}, said
    model.content[:1 << 20] = bytes(1 << 20)
    clean(image)
    model.same(image, tmp_path)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_snapshots_inside_an_image_keep_what_they_had(tmp_path, kind):
    image, model = tmp_path / "image", Model(bytes(SIZE), kind)
    qemu_img("create", "-q", "-f", "qcow2", *kind.split(), image, str(SIZE))
    driver("run", image, "qcow2", commands=model.commands(100))
    qemu_img("snapshot", "-c", "before", image)
    before = Model(model.content, 0)
    status, answers, said = driver("run", image, "qcow2", commands=model.commands(200))
    assert status == 0 and set(answers) == {"ok"}, said
    clean(image)
    model.same(image, tmp_path)
    qemu_img("convert", "-q", "-l", "before", "-O", "qcow2", image, tmp_path / "snapshot")
    before.same(tmp_path / "snapshot", tmp_path)


@pytest.mark.parametrize("kind", ["-o compat=1.1", "-o compat=0.10"])
def test_an_overlay_reads_through_its_chain_and_leaves_it_alone(tmp_path, kind):
    base, middle, top = (tmp_path / name for name in ("base", "middle", "top"))
    model = Model(pattern(2, SIZE // 2), 2)
    base.write_bytes(model.content)
    model.content += bytes(SIZE // 2)       # the disk is larger than its base
    qemu_img("create", "-q", "-f", "qcow2", *kind.split(), "-b", "base", "-F", "raw", middle, str(SIZE))
    driver("run", middle, "qcow2", commands=model.commands(40))
    content = base.read_bytes(), middle.read_bytes()
    qemu_img("create", "-q", "-f", "qcow2", *kind.split(), "-b", middle, "-F", "qcow2", top)
    status, answers, said = driver("run", top, "qcow2", commands=model.commands(150))
    assert status == 0 and set(answers) == {"ok"}, said
    clean(top)
    model.same(top, tmp_path)
    assert content == (base.read_bytes(), middle.read_bytes())


def test_an_image_that_we_made_is_one_for_qemu(tmp_path):
    (tmp_path / "base").write_bytes(pattern(3))
    for number, more in enumerate([[], [9], [21], [16, "base", "raw"]]):
        image = tmp_path / f"image{number}"
        status, _, said = driver("create", image, SIZE, *more)
        assert status == 0, said
        clean(image)
        info = json.loads(qemu_img("info", "--output=json", image))
        assert info["virtual-size"] == SIZE and info["format"] == "qcow2"
        assert info.get("backing-filename-format") == (more[2] if len(more) > 2 else None)
        model = Model((tmp_path / "base").read_bytes() if len(more) > 2 else bytes(SIZE), number)
        status, answers, said = driver("run", image, "qcow2", commands=model.commands(100))
        assert status == 0 and set(answers) == {"ok"}, said
        clean(image)
        model.same(image, tmp_path)


@pytest.mark.parametrize("kind", ["-o compat=1.1,cluster_size=4k", "-o compat=0.10,cluster_size=64k"])
def test_whoever_is_killed_at_any_instant_leaves_a_whole_image(tmp_path, kind):
    image, chance = tmp_path / "image", random.Random(4)
    qemu_img("create", "-q", "-f", "qcow2", *kind.split(), image, str(SIZE))
    commands = "".join(f"{line}\n" for line in Model(bytes(SIZE), 5).commands(3000)).encode()
    for _ in range(8):
        process = subprocess.Popen([DRIVER, "run", image, "qcow2"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        process.stdin.write(b"flush\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ok\n"
        process.stdin.write(commands[:60000])
        process.stdin.flush()
        for _ in range(chance.randrange(400)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = subprocess.run(["qemu-img", "check", image], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 3), done.stdout + done.stderr     # 3: leaks alone, which the next open repairs
    status, _, said = driver("run", image, "qcow2")
    assert status == 0, said
    clean(image)


def test_an_image_that_another_writer_did_not_close_is_repaired(tmp_path):
    image = tmp_path / "image"
    qemu_img("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on,cluster_size=4k", image, str(SIZE))
    subprocess.run(["qemu-io", "-c", "write -P 7 0 1M", "-c", "flush", "-c", "abort", image], capture_output=True, timeout=60,
                   check=False)
    status, answers, said = driver("run", image, "qcow2", commands=["read 512 4"])
    if status:      # the counts of QEMU need a block that is not there
        assert "`qemu-img check -r all`" in said
        return
    assert answers[0] == "07070707"
    clean(image)


# ---- What an image may name, and what it is taken for ----

def overlay(path, backing, form="raw"):
    qemu_img("create", "-q", "-u", "-f", "qcow2", "-b", str(backing), "-F", form, path, str(SIZE))


def test_images_behind_a_disk_lie_beside_it_or_where_the_user_says(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "base").write_bytes(bytes(SIZE))
    for name, backing in (("near", "base"), ("far", outside / "base"), ("up", "../outside/base"), ("secret", "/etc/shadow")):
        overlay(inside / name, backing)
    (inside / "link").symlink_to(outside / "base")
    overlay(inside / "linked", "link")
    assert driver("run", inside / "near", "qcow2")[0] == 0
    for name in ("far", "up", "linked", "secret"):
        status, _, said = driver("run", inside / name, "qcow2")
        assert status and "is outside of" in said and "backing=FOLDER allows another folder" in said, name
    for name in ("far", "up"):
        assert driver("run", inside / name, "qcow2", outside)[0] == 0
        assert driver("run", inside / name, "qcow2", outside / "base")[0] == 0
    assert driver("run", inside / "secret", "qcow2", outside)[0] == 1


def test_a_chain_that_bites_its_tail_is_refused(tmp_path):
    overlay(tmp_path / "a", "b", "qcow2")
    overlay(tmp_path / "b", "a", "qcow2")
    status, _, said = driver("run", tmp_path / "a", "qcow2", "ro", tmp_path)
    assert status and "is behind itself" in said
    overlay(tmp_path / "c", "c", "qcow2")
    status, _, said = driver("run", tmp_path / "c", "qcow2")
    assert status and ("is behind itself" in said or "in use by another" in said)


def test_a_guest_cannot_make_its_raw_disk_something_else(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(SIZE))
    overlay(tmp_path / "trap", "/etc/shadow")
    magic = (tmp_path / "trap").read_bytes()[:4]
    assert magic == b"QFI\xfb"
    number = int.from_bytes(magic, "big")
    commands = [f"write 0 512 {number}", f"write 512 512 {number}", "write 0 512 81"]
    assert driver("run", disk, "probed", commands=commands)[1] == ["Operation not permitted", "ok", "ok"]
    assert driver("run", disk, "raw", commands=commands[:1])[1] == ["ok"]
    assert driver("run", disk, "raw", commands=["read 0 4"])[1][0] == magic.hex()
    assert "no whole number of sectors" in driver("run", disk, "probed")[2] or driver("run", disk, "probed")[0] == 1


def test_a_backing_file_of_unsaid_format_is_not_guessed(tmp_path):
    (tmp_path / "base").write_bytes(bytes(SIZE))
    overlay(tmp_path / "top", "base")
    content = (tmp_path / "top").read_bytes()
    at = content.index(bytes.fromhex("e2792aca"))
    (tmp_path / "top").write_bytes(content[:at] + bytes.fromhex("12345678") + content[at + 4:])
    status, _, said = driver("run", tmp_path / "top", "qcow2")
    assert status and "does not say that the format of its backing file is raw or qcow2" in said


def test_an_image_has_one_writer_and_its_base_many_readers(tmp_path):
    (tmp_path / "base").write_bytes(bytes(SIZE))
    overlay(tmp_path / "one", "base")
    overlay(tmp_path / "two", "base")
    with subprocess.Popen([DRIVER, "run", tmp_path / "one", "qcow2"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as first:
        first.stdin.write(b"flush\n")
        first.stdin.flush()
        first.stdout.readline()
        assert driver("run", tmp_path / "two", "qcow2")[0] == 0
        assert "is in use by another virtual machine" in driver("run", tmp_path / "one", "qcow2")[2]
        assert "is in use by another virtual machine" in driver("run", tmp_path / "base", "raw")[2]
        first.communicate()


def test_a_file_that_is_cut_under_its_guest_is_an_io_error(tmp_path):
    raw, image = tmp_path / "raw", tmp_path / "image"
    raw.write_bytes(bytes(SIZE))
    driver("create", image, SIZE)
    driver("run", image, "qcow2", commands=["write 0 1048576 1"])
    for path, form in ((raw, "raw"), (image, "qcow2")):
        with subprocess.Popen([DRIVER, "run", path, form], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            process.stdin.write("read 0 512\n")
            process.stdin.flush()
            process.stdout.readline()
            assert process.stdout.readline() == "ok\n"
            with open(path, "r+b") as file:
                file.truncate(1 << 19)
            output = process.communicate("read 786432 512\n")[0]
            assert "Input/output error" in output, form


@pytest.mark.parametrize("damage", range(12))
def test_a_damaged_image_is_an_error_and_no_crash(tmp_path, damage):
    image, chance = tmp_path / "image", random.Random(damage)
    qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", image, str(SIZE))
    driver("run", image, "qcow2", commands=Model(bytes(SIZE), 1).commands(80))
    content = bytearray(image.read_bytes())
    for _ in range(30):
        at = chance.randrange(0, min(len(content), 65536) - 8, 8)
        content[at:at + 8] = chance.choice([chance.randbytes(8), b"\xff" * 8, chance.randrange(1 << 40).to_bytes(8, "big")])
    content[:8] = b"QFI\xfb\0\0\0\3"
    image.write_bytes(content)
    status, answers, said = driver("run", image, "qcow2", commands=["sum"] + Model(bytes(SIZE), 2).commands(60))
    assert status in (0, 1), said
    assert set(answers) <= {"ok", "Input/output error", "File too large", "No space left on device"} or len(answers[0]) == 16
