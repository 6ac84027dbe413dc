# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders of the host in guests of onggi-vmm (virtiofs): a stock kernel uses them as its file systems; and what their processes may do."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import programs

sys.path.insert(0, str(Path(__file__).parent.parent / "nested"))
import guests  # noqa: E402
import v2_machine  # noqa: E402

# The folders lie on ext4: tmpfs of the bench's kernel has no extended attributes of users.
HOST = """
insmod /mod/loop.ko; [ -e /dev/loop0 ] || mknod /dev/loop0 b 7 0
mkdir -p /share && mount -o loop /ext4 /share
mkdir -p /share/work /share/cached /share/tight /share/sub /share/root/proc /share/root/bin && mount -t tmpfs -o size=1m sub /share/sub && echo below >/share/sub/file
cp /bin/busybox /share/root/bin/ && echo secret >/outside && ln -s /outside /share/out && ln -s ../../outside /share/up
mount -t tmpfs -o size=200k,mode=777 tight /share/tight
mkdir /share/lot && files make /share/lot 3000
"""

FILES = """
mkdir -p /a /c; mount -t virtiofs a /a && mount -t virtiofs c /c || exit 1
echo "root is mode $(stat -c %a /a)"
mkdir /a/work/calls /a/work/users
/files/files calls /a/work/calls
/files/files users /a/work/users
/files/files model /a/work 7 400
/files/files model /c 8 400
/files/files race /a/work 60
/files/files many /a/work 300
echo "there are $(ls /a/lot | wc -l)"
cat /a/out || echo no way out; cat /a/up || echo no way up
cat /a/sub/file; echo "file systems $(stat -c %d /a /a/sub | uniq | wc -l)"
dd if=/dev/zero of=/a/tight/large bs=4k count=100 2>&1 | grep -o "No space left on device"
mount -t proc none /a/root/proc && chroot /a/root /bin/busybox sh -c 'echo "rooted $(/bin/busybox readlink /proc/self/exe)"'
umount /a/root/proc; umount /c; mount -t virtiofs c /c && ls /c/model
"""

READ_ONLY = """
mkdir /a; mount -t virtiofs a /a || exit 1
cat /a/greeting; echo spoiled >/a/greeting; rm /a/greeting; mkdir /a/new; chmod 777 /a/greeting; cat /a/private/deep
mknod /a/device c 1 3; ls -l /a/device; ls /a
grep -c virtiofs /proc/mounts
"""


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    if v2_machine.missing():
        pytest.skip(v2_machine.missing())
    if not shutil.which("mkfs.ext4"):
        pytest.skip("mkfs.ext4 is not installed (Debian: e2fsprogs)")
    folder = tmp_path_factory.mktemp("guests")
    bench = guests.Bench(folder, programs.program("onggi-vmm"))
    subprocess.run(["truncate", "--size", "96M", folder / "ext4"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-N", "60000", folder / "ext4"], check=True)
    bench.files["/ext4"] = folder / "ext4"
    bench.files["/mod/loop.ko"] = guests.module_paths("loop")[0]
    subprocess.run(["cc", "-O2", "-static", "-o", folder / "files", Path(__file__).parent.parent / "nested/files.c"], check=True)
    bench.files["/bin/files"] = folder / "files"
    modules = ("virtio_pci", "virtiofs")
    bench.guest("files", FILES, modules=modules, files={"files": folder / "files"}, before=HOST, seconds=150,
                options=["--share", "a=/share", "--share", "c=/share/cached,cache=always,writeback", "--cpus", "2", "--memory", "192m"],
                after="echo left $(ls /share/work/many | wc -l)")
    bench.guest("readonly", READ_ONLY, modules=modules, options=["--share", "a=/share2,ro"],
                before="mkdir -p /share2/private; chmod 700 /share2/private; echo hello >/share2/greeting; echo deep >/share2/private/deep; "
                       "chown -R 1000 /share2; mknod /share2/device c 1 3; chmod 600 /share2/greeting",
                after="cat /share2/greeting; pidof onggi-vmm onggi-share || echo no process is left")
    return {name: (status, text.replace("\r", "")) for name, (status, text) in bench.run().items()}


def test_the_guests_came_to_their_end(nested):
    for name, (status, text) in nested.items():
        assert status == 0, f"{name}: {text}"
        assert "guest ends with" in text, (name, text)


@pytest.mark.parametrize("line", ["root is mode 755", "calls as expected", "users as expected",
                                  "400 operations as the model has it", "a race without a loser", "300 files", "there are 3000"])
def test_a_stock_kernel_finds_a_file_system_as_any_other(nested, line):
    assert line in nested["files"][1], nested["files"][1]
    assert nested["files"][1].count("400 operations as the model has it") == 2


def test_what_the_guest_made_is_in_the_hosts_folder(nested):
    assert "left 150" in nested["files"][1]


def test_links_lead_nowhere_outside(nested):
    assert "no way out" in nested["files"][1] and "no way up" in nested["files"][1]
    assert "secret" not in nested["files"][1]


def test_what_is_mounted_below_the_folder_is_there_as_a_file_system_of_its_own(nested):
    assert "\nbelow\n" in nested["files"][1] and "file systems 2" in nested["files"][1]


def test_a_full_host_is_a_full_file_system(nested):
    assert "No space left on device" in nested["files"][1]


def test_programs_run_from_a_folder_as_their_root(nested):
    assert "rooted /bin/busybox" in nested["files"][1]


def test_a_read_only_folder_is_read_and_not_written(nested):
    text = nested["readonly"][1]
    assert "hello" in text and "\ndeep\n" in text
    assert text.count("Read-only file system") >= 4, text
    assert text.rstrip().endswith("hello\nno process is left"), text
