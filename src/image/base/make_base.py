#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the image onggi/base as an OCI archive: busybox with a link for each of its applets, and what programs expect in /etc.

usage: make_base.py BUSYBOX OUTPUT

The same busybox gives the same bytes: times are 1970, owners are root, names are sorted.
"""
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile

FOLDERS = {
    "bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "lib": 0o755, "mnt": 0o755, "opt": 0o755, "proc": 0o555,
    "root": 0o700, "run": 0o755, "sbin": 0o755, "srv": 0o755, "sys": 0o555, "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755,
    "usr/sbin": 0o755, "var": 0o755, "var/log": 0o755, "var/spool": 0o755, "var/tmp": 0o1777, "var/www": 0o755,
}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:::::::\nnobody:*:::::::\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    "etc/hostname": "onggi\n",
    "etc/resolv.conf": "",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/profile": "export PS1='\\u@\\h:\\w\\$ '\n",
    "etc/os-release": 'NAME="onggi base"\nID=onggi\nPRETTY_NAME="onggi base (busybox)"\n',
}
MODES = {"etc/shadow": 0o600}


def applets(busybox):
    listed = subprocess.run([busybox, "--list-full"], check=True, capture_output=True, text=True).stdout.split()
    # "linuxrc" belongs to an initial RAM disk
    return sorted(name for name in listed if "/" in name and name != "bin/busybox")


def entry(name, kind, mode, size=0, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = kind, mode, size, link
    return info


def layer(busybox):
    with open(busybox, "rb") as file:
        program = file.read()
    members = {name: (entry(name, tarfile.DIRTYPE, mode), b"") for name, mode in FOLDERS.items()}
    for name, text in FILES.items():
        members[name] = (entry(name, tarfile.REGTYPE, MODES.get(name, 0o644), len(text.encode())), text.encode())
    members["bin/busybox"] = (entry("bin/busybox", tarfile.REGTYPE, 0o755, len(program)), program)
    for name in applets(busybox):
        members[name] = (entry(name, tarfile.SYMTYPE, 0o777, link="/bin/busybox"), b"")
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(members):
            info, data = members[name]
            tar.addfile(info, io.BytesIO(data))
    return output.getvalue()


def main():
    busybox, output = sys.argv[1:]
    plain = layer(busybox)
    packed = gzip.compress(plain, 9, mtime=0)
    blobs = {}

    def add(data, media_type):
        hexadecimal = hashlib.sha256(data).hexdigest()
        blobs[hexadecimal] = data
        return {"mediaType": media_type, "digest": "sha256:" + hexadecimal, "size": len(data)}

    def encode(document):
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    config = {
        "created": "1970-01-01T00:00:00Z", "architecture": "amd64", "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "onggi: busybox-static of Debian"}],
    }
    vendor = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2, "mediaType": vendor + "manifest.v1+json",
        "config": add(encode(config), vendor + "config.v1+json"),
        "layers": [add(packed, vendor + "layer.v1.tar+gzip")],
    }
    described = add(encode(manifest), vendor + "manifest.v1+json")
    described["annotations"] = {"org.opencontainers.image.ref.name": "onggi/base:latest"}
    index = {"schemaVersion": 2, "mediaType": vendor + "index.v1+json", "manifests": [described]}

    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": encode(index)}
    files.update({"blobs/sha256/" + name: data for name, data in blobs.items()})
    with tarfile.open(output, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            tar.addfile(entry(name, tarfile.REGTYPE, 0o644, len(files[name])), io.BytesIO(files[name]))


main()
