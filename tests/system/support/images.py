# SPDX-License-Identifier: GPL-2.0-or-later
"""An image store of the test's own, driven through onggi-image, and layers written by hand."""
import io
import json
import os
import stat
import tarfile
from pathlib import Path

from . import archives, programs


class Store(programs.Caller):
    """onggi-image with a root of its own; `driver` calls the store's functions below the commands."""

    def __init__(self, root):
        self.root = Path(root)
        super().__init__(programs.program("onggi-image"), ["--root", root])
        self.driver = programs.Caller(programs.build_folder() / "tests/system/image_driver", [root])

    def blobs(self):
        return {path.name for path in (self.root / "images/blobs/sha256").iterdir()}

    def layers(self):
        return {path.name for path in (self.root / "layers").iterdir()} - {"tmp"}

    def index(self):
        path = self.root / "images/index.json"
        return json.loads(path.read_text())["manifests"] if path.exists() else []

    def names(self):
        return sorted(entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "") for entry in self.index())

    def layer_root(self, reference, index=-1):
        """The unpacked layer of an image, by default the topmost."""
        return Path(self.driver.ok("find", reference).splitlines()[1:][index])

    def leftovers(self):
        """Everything that no image leads to: files in the making, and blobs and layers without an owner."""
        wanted, layers = set(), set()
        for entry in self.index():
            manifest = self.blob(entry["digest"])
            wanted |= {entry["digest"], manifest["config"]["digest"]} | {layer["digest"] for layer in manifest["layers"]}
            layers |= set(self.blob(manifest["config"]["digest"])["rootfs"]["diff_ids"])
        making = [path for place in ("images/tmp", "layers/tmp") for path in (self.root / place).glob("*")]
        making += (self.root / "images").glob(".*.tmp")
        return ([str(path) for path in making] + sorted(self.blobs() - {name.split(":")[1] for name in wanted}) +
                sorted(self.layers() - {name.split(":")[1] for name in layers}))

    def blob(self, digest):
        return json.loads((self.root / "images/blobs" / digest.replace(":", "/")).read_text())


def file(name, content=b"content", **fields):
    return _entry(name, tarfile.REGTYPE, fields), content


def folder(name, **fields):
    return _entry(name, tarfile.DIRTYPE, {"mode": 0o755, **fields}), None


def link(name, target, **fields):
    return _entry(name, tarfile.SYMTYPE, {"linkname": target, **fields}), None


def hard_link(name, target, **fields):
    return _entry(name, tarfile.LNKTYPE, {"linkname": target, **fields}), None


def device(name, major, minor, kind=tarfile.CHRTYPE, **fields):
    return _entry(name, kind, {"devmajor": major, "devminor": minor, **fields}), None


def fifo(name, **fields):
    return _entry(name, tarfile.FIFOTYPE, fields), None


def whiteout(name):
    parent, _, base = name.rpartition("/")
    return file(f"{parent}/.wh.{base}" if parent else f".wh.{base}", b"")


def _entry(name, kind, fields):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, 0o644
    for key, value in fields.items():
        setattr(entry, key, value)
    return entry


def layer(*members):
    return archives.layer_from(members)


def write_tar(path, *members):
    path.write_bytes(layer(*members))
    return path


def is_whiteout(path):
    found = os.lstat(path)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path):
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def empty_tar():
    buffer = io.BytesIO()
    tarfile.open(fileobj=buffer, mode="w").close()
    return buffer.getvalue()
