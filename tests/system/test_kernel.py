# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that virtual machines of images start with: `onggi kernel`. Nothing is started here."""
import glob
import io
import json
import os
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from support import programs

KERNELS = sorted(glob.glob("/boot/vmlinuz-*"))
pytestmark = pytest.mark.skipif(not KERNELS, reason="there is no kernel in /boot (Debian: linux-image-cloud-amd64)")


class Kernels:
    def __init__(self, folder):
        self.root, self.state = folder / "root", folder / "state"

    def __call__(self, *words, environment=None):
        return subprocess.run([programs.program("onggi"), "--root", self.root, "--state", self.state, "kernel", *words],
                              capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}, timeout=120)

    def ok(self, *words):
        done = self(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def files(self):
        folder = self.root / "kernels"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


@pytest.fixture
def kernels(tmp_path):
    return Kernels(tmp_path)


def release_of(kernel):
    return Path(kernel).name.removeprefix("vmlinuz-")


def member(name, data):
    """One of an ar archive: deb(5)."""
    return f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)


def package(path, files):
    """A Debian package with these files, as far as anyone looks who wants a kernel."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz", preset=0) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    path.write_bytes(b"!<arch>\n" + member("debian-binary", b"2.0\n") + member("data.tar.xz", data.getvalue()))
    return path


def module_files(release):
    tree = Path("/lib/modules", release)
    wanted = ("virtio", "fuse", "erofs", "overlay", "vsock", "failover", "crc32c", "ext4", "modules.builtin")
    return {f"./lib/modules/{release}/{path.relative_to(tree)}": path.read_bytes()
            for path in tree.rglob("*") if path.is_file() and path.suffix != ".bin" and any(word in path.name for word in wanted)}


def test_a_kernel_of_boot_is_unpacked_once_with_what_a_guest_needs(kernels):
    release = kernels.ok("import")
    folder = kernels.root / "kernels" / release
    assert folder.joinpath("vmlinux").read_bytes()[:4] == b"\x7fELF"
    archive = subprocess.run(["cpio", "-it", "--quiet"], input=folder.joinpath("initramfs").read_bytes(), capture_output=True,
                             check=False).stdout.decode().split()
    for name in ("init", "onggi/onggi-runtime", "dev/console", "onggi/modules/modules.dep"):
        assert not archive or name in archive
    modules = json.loads(folder.joinpath("kernel.json").read_text())["modules"]
    # What is needed comes first, and signatures, which take long to check, are left out.
    assert modules.index("virtio_ring") < modules.index("virtio") < modules.index("virtio_blk")
    assert b"Module signature" not in folder.joinpath("modules/virtio_blk.ko").read_bytes()
    assert kernels.ok("ls", "--format", "{{.Release}} {{.Default}}") == f"{release} true"


def test_a_package_gives_the_same_as_boot(kernels, tmp_path):
    release = kernels.ok("import")
    folder = kernels.root / "kernels" / release
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "kernel.json"}
    deb = package(tmp_path / "linux.deb", {f"./boot/vmlinuz-{release}": Path(f"/boot/vmlinuz-{release}").read_bytes(),
                                           **module_files(release)})
    assert kernels.ok("import", str(deb)) == release
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "kernel.json"} == before
    assert json.loads(folder.joinpath("kernel.json").read_text())["source"] == str(deb)


def test_an_unpacked_kernel_is_taken_too(kernels, tmp_path):
    release = kernels.ok("import")
    unpacked = tmp_path / "vmlinux"
    os.rename(kernels.root / "kernels" / release / "vmlinux", unpacked)
    assert kernels.ok("import", str(unpacked)) == release
    assert (kernels.root / "kernels" / release / "vmlinux").read_bytes() == unpacked.read_bytes()


def test_what_is_removed_is_gone_and_another_becomes_the_default(kernels):
    release = kernels.ok("import")
    folder = kernels.root / "kernels"
    subprocess.run(["cp", "-a", folder / release, folder / "1.0-other"], check=True)
    assert kernels.ok("default", "1.0-other") == "1.0-other"
    assert kernels.ok("rm", "1.0-other") == "1.0-other"
    assert kernels.ok("ls", "--format", "{{.Release}} {{.Default}}") == f"{release} true"
    kernels.ok("rm", release)
    assert kernels.ok("ls", "--format", "{{.Release}}") == ""
    assert kernels.files() == ["lock", "tmp"]


@pytest.mark.parametrize("words, reason", [
    (("rm", "1.2.3"), "there is no kernel 1.2.3"),
    (("rm", "../../etc"), "is no release of a kernel"),
    (("default", "tmp"), "is no release of a kernel"),
    (("import", "/nowhere"), "/nowhere"),
    (("import", "/etc/passwd"), "/etc/passwd: it is"),
    (("import", "--modules", "/nowhere"), "cannot open /nowhere, the modules of that kernel"),
    (("import", "--modules", "/etc"), "the kernel has no module virtio_pci, nor is it built in"),
])
def test_what_cannot_be_is_refused_in_one_line(kernels, words, reason):
    done = kernels(*words)
    assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert [name for name in kernels.files() if "/" not in name and name not in ("lock", "tmp")] == []


def test_kernels_and_packages_that_lie_are_refused(kernels, tmp_path):
    kernel = Path(KERNELS[-1]).read_bytes()
    payload = bytearray(kernel)
    payload[2_000_000:2_000_100] = bytes(100)
    cases = {
        "half": (kernel[:len(kernel) // 2], "its header says that the packed kernel ends at byte"),
        "damaged": (bytes(payload), ""),
        "empty": (b"", "too short"),
        "no.deb": (b"!<arch>\n", "no data.tar in it"),
        "text.deb": (b"some text", "cannot be read as a Debian package"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        done = kernels("import", str(path))
        if name != "damaged" or done.returncode:   # a few bytes of a kernel's data may well be zeros
            assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1, (name, done.stderr)
    done = kernels("import", str(package(tmp_path / "other.deb", {"./etc/motd": b"hello"})))
    assert done.returncode == 1 and "there is no kernel in it" in done.stderr
    done = kernels("import", str(package(tmp_path / "bare.deb", {"./boot/vmlinuz-1": kernel})))
    assert done.returncode == 1 and "there are no modules in it" in done.stderr
    evil = package(tmp_path / "evil.deb", {"./lib/modules/x/../../../../evil.ko": b"x", "./boot/vmlinuz-1": kernel})
    kernels("import", str(evil))
    assert not list(tmp_path.rglob("evil.ko"))


@pytest.mark.parametrize("point", ["kernel.import.vmlinux", "kernel.import.made", "kernel.import.renamed"])
def test_an_import_that_is_killed_leaves_nothing_half_made(kernels, point):
    done = kernels("import", environment={"ONGGI_TEST_KILL": point})
    assert done.returncode == -signal.SIGKILL
    listed = kernels.ok("ls", "--format", "{{.Release}}")
    assert (listed != "") == (point == "kernel.import.renamed")
    release = kernels.ok("import")
    assert kernels.ok("ls", "--format", "{{.Release}} {{.Default}}") == f"{release} true"
    assert [name for name in kernels.files() if name.startswith("tmp/")] == []
