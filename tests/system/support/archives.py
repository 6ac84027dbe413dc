# SPDX-License-Identifier: GPL-2.0-or-later
"""Image archives written by hand, so that a test can also write wrong ones."""
import hashlib
import io
import json
import tarfile


def layer_of(folder):
    """An uncompressed layer tar of a folder's content, owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        def rooted(member):
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            return member
        archive.add(folder, arcname=".", filter=rooted)
    return buffer.getvalue()


def layer_from(members):
    """A layer tar of [(TarInfo, bytes or None)]; any name and any type, hostile ones too."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            if content is not None:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if content is not None else None)
    return buffer.getvalue()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def image_config(layers, command=("/bin/sh",), **more):
    config = {"Cmd": list(command), "Env": ["PATH=/bin"]}
    config.update(more)
    return {"architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "onggi's tests"} for _ in layers]}


def _add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))


def write_docker_archive(path, reference, layers, config=None):
    """The form of `docker save`."""
    config_bytes = json.dumps(config or image_config(layers)).encode()
    names = [f"{hashlib.sha256(layer).hexdigest()}/layer.tar" for layer in layers]
    config_name = hashlib.sha256(config_bytes).hexdigest() + ".json"
    with tarfile.open(path, "w") as archive:
        for name, layer in zip(names, layers):
            _add(archive, name, layer)
        _add(archive, config_name, config_bytes)
        _add(archive, "manifest.json",
             json.dumps([{"Config": config_name, "RepoTags": [reference], "Layers": names}]).encode())
    return path


def oci_blobs(layers, config=None, media_type="application/vnd.oci.image.layer.v1.tar"):
    """({digest: bytes}, descriptor of the manifest) of an OCI image with these layers as they are."""
    config_bytes = json.dumps(config or image_config(layers)).encode()
    blobs = {digest(config_bytes): config_bytes}
    blobs.update({digest(layer): layer for layer in layers})
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config_bytes),
                   "size": len(config_bytes)},
        "layers": [{"mediaType": media_type, "digest": digest(layer), "size": len(layer)} for layer in layers],
    }).encode()
    blobs[digest(manifest)] = manifest
    return blobs, {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest), "size": len(manifest)}


def write_oci_archive(path, reference, blobs, manifest):
    index = {"schemaVersion": 2, "manifests": [dict(manifest, annotations={"org.opencontainers.image.ref.name": reference})]}
    with tarfile.open(path, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for name, content in blobs.items():
            _add(archive, "blobs/" + name.replace(":", "/"), content)
    return path
