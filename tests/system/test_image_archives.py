# SPDX-License-Identifier: GPL-2.0-or-later
"""Images come in and go out as docker archives and OCI layouts, byte for byte, and what is wrong with one is said in a line."""
import bz2
import gzip
import hashlib
import json
import lzma
import random
import subprocess
import tarfile

import pytest

from support import archives
from support.images import Store, file, folder as directory, layer, link, write_tar

pytestmark = [pytest.mark.core, pytest.mark.root]

LAYER = layer(directory("bin"), file("bin/program", b"#!" * 500, mode=0o755), link("bin/sh", "program"))
SECOND = layer(file("etc/release", b"second"))


@pytest.fixture
def store(folder, root_only, sanitizer_reports):
    return Store(folder / "store")


def skopeo(*words):
    done = subprocess.run(["skopeo", "--insecure-policy", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_index(path, blobs, entries, **more):
    index = {"schemaVersion": 2, "manifests": entries, **more}
    with tarfile.open(path, "w") as archive:
        archives._add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        archives._add(archive, "index.json", json.dumps(index).encode())
        for name, content in blobs.items():
            archives._add(archive, "blobs/" + name.replace(":", "/"), content)
    return path


def described(content, media_type, **more):
    return {"mediaType": media_type, "digest": archives.digest(content), "size": len(content), **more}


def named(entry, name):
    return dict(entry, annotations={"org.opencontainers.image.ref.name": name})


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gzip", "bzip2", "xz"])
def test_import_reads_any_compression_and_standard_input(store, compress):
    identity = store.ok("import", "-", "rootfs", input=compress(LAYER), text=False).decode().strip()
    assert store.names() == ["rootfs:latest"]
    assert (store.layer_root("rootfs") / "bin/program").read_bytes() == b"#!" * 500
    config = store.blob(identity)
    assert config["rootfs"]["diff_ids"] == [archives.digest(LAYER)] and config["history"][0]["comment"] == "Imported from -"


def test_import_applies_dockerfile_instructions(store, folder):
    changes = ['CMD ["a", "b c"]', "ENTRYPOINT run --fast", 'ENV A=1 B="x y" C=\\"', "ENV OLD style value", "ENV A=2", "EXPOSE 80 53/udp",
               "LABEL org.a=b c='d e'", "STOPSIGNAL SIGQUIT", "USER 10:20", 'VOLUME ["/data"]', "VOLUME /one /two", "WORKDIR /srv", "WORKDIR www",
               "HEALTHCHECK --interval=5s --retries=3 CMD check it", "onbuild RUN true"]
    words = [word for change in changes for word in ("--change", change)]
    identity = store.ok("import", *words, "--message", "mine", write_tar(folder / "a.tar", file("a")), "changed")
    config = store.blob(identity)
    assert config["history"][0]["comment"] == "mine"
    assert config["config"] == {
        "Cmd": ["a", "b c"], "Entrypoint": ["/bin/sh", "-c", "run --fast"], "Env": ["A=2", "B=x y", 'C="', "OLD=style value"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Labels": {"org.a": "b", "c": "d e"}, "StopSignal": "SIGQUIT", "User": "10:20",
        "Volumes": {"/data": {}, "/one": {}, "/two": {}}, "WorkingDir": "/srv/www",
        "Healthcheck": {"Interval": 5000000000, "Retries": 3, "Test": ["CMD-SHELL", "check it"]}, "OnBuild": ["RUN true"]}


@pytest.mark.parametrize("change", ["RUN true", "CMD", "ENV =x", "ENV A", "EXPOSE http", "EXPOSE 70000", "STOPSIGNAL NOSUCH", "VOLUME relative",
                                    "HEALTHCHECK --interval=soon CMD x", "HEALTHCHECK sometimes", 'LABEL a="b', "USER a b", ""])
def test_import_refuses_a_wrong_instruction_before_it_reads_anything(store, change):
    assert "--change" in store.refuses("import", "--change", change, "/nonexistent")


@pytest.mark.parametrize("name", ["Upper", "a//b", "a:", "a:-x", "a/-b", "a_-b", "a@sha256:12", "a" * 300, "a:" + "t" * 129, "f" * 64, "a b", ".", "host:/x", ""],
                         ids=range(14))
def test_import_refuses_a_malformed_name(store, folder, name):
    assert "image name" in store.refuses("import", write_tar(folder / "a.tar", file("a")), name)
    assert not store.blobs()


@pytest.mark.parametrize("content", [b"", b"no archive at all", LAYER[:700], gzip.compress(LAYER)[:-20], bytes(10240)],
                         ids=["nothing", "text", "cut", "cut gzip", "zeros"])
def test_import_refuses_what_is_no_root_file_system(store, folder, content):
    (folder / "broken.tar").write_bytes(content)
    assert "broken.tar" in store.refuses("import", folder / "broken.tar", "broken")
    assert not store.leftovers() and not store.names() and not store.blobs()


def test_a_docker_archive_keeps_its_image_id(store, folder):
    path = archives.write_docker_archive(folder / "image.tar", "docker.io/library/app:1.0", [LAYER, SECOND])
    config = json.loads(json.dumps(archives.image_config([LAYER, SECOND]))).copy()
    assert store.ok("load", "-i", path) == "Loaded image: app:1.0"
    digest, identity, size = store.driver.ok("find", "app:1.0").splitlines()[0].split()
    assert identity == archives.digest(json.dumps(config).encode())
    assert int(size) == len(b"#!" * 500) + len(b"second")
    assert store.driver.ok("find", identity[7:12]) == store.driver.ok("find", digest) == store.driver.ok("find", "docker.io/app:1.0")


def test_an_archive_of_several_images_may_be_compressed_and_come_through_a_pipe(store, folder):
    store.ok("load", "-i", archives.write_docker_archive(folder / "one.tar", "one", [LAYER]))
    store.ok("load", "-i", archives.write_docker_archive(folder / "two.tar", "two", [LAYER, SECOND]))
    both = store.ok("save", "one", "two", text=False)
    other = Store(folder / "other")
    printed = other.ok("load", input=gzip.compress(both), text=False)
    assert printed.decode().splitlines() == ["Loaded image: one:latest", "Loaded image: two:latest"]
    assert len(other.layers()) == 2
    assert other.ok("load", "-q", input=both, text=False) == b""


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_save_writes_the_same_bytes_each_time(store, folder, form):
    store.ok("load", "-i", archives.write_docker_archive(folder / "image.tar", "app", [LAYER, SECOND]))
    store.ok("save", "--format", form, "-o", folder / "first.tar", "app")
    other = Store(folder / "other")
    other.ok("load", "-i", folder / "first.tar")
    assert other.ok("save", "--format", form, "app", text=False) == (folder / "first.tar").read_bytes()


def test_layers_stay_compressed_in_oci_archives_and_not_in_docker_archives(store, folder):
    packed = gzip.compress(LAYER)
    blobs, manifest = archives.oci_blobs([packed], archives.image_config([LAYER]), "application/vnd.oci.image.layer.v1.tar+gzip")
    store.ok("load", "-i", archives.write_oci_archive(folder / "oci.tar", "packed", blobs, manifest))
    store.ok("save", "--format", "oci-dir", "-o", folder / "layout", "packed")
    assert (folder / "layout/blobs/sha256" / hashlib.sha256(packed).hexdigest()).read_bytes() == packed
    store.ok("save", "-o", folder / "docker.tar", "packed")
    with tarfile.open(folder / "docker.tar") as archive:
        assert archive.extractfile(hashlib.sha256(LAYER).hexdigest() + ".tar").read() == LAYER


def test_zstd_layers_are_read(store, folder):
    packed = subprocess.run(["zstd", "-c"], input=LAYER, capture_output=True, check=True).stdout
    blobs, manifest = archives.oci_blobs([packed], archives.image_config([LAYER]), "application/vnd.oci.image.layer.v1.tar+zstd")
    store.ok("load", "-i", archives.write_oci_archive(folder / "oci.tar", "packed", blobs, manifest))
    assert (store.layer_root("packed") / "bin/program").exists()


def test_skopeo_and_onggi_read_what_the_other_wrote_with_equal_digests(store, folder):
    store.ok("import", "-", "app:1", input=LAYER, text=False)
    entry, = store.index()
    inspected = json.loads(skopeo("inspect", f"oci:{store.root}/images:app:1"))
    assert inspected["Digest"] == entry["digest"] and inspected["Layers"] == [archives.digest(LAYER)]

    skopeo("copy", "--preserve-digests", f"oci:{store.root}/images:app:1", f"oci-archive:{folder}/skopeo.tar:app:1")
    skopeo("copy", f"oci:{store.root}/images:app:1", f"docker-archive:{folder}/docker.tar:app:1")
    skopeo("copy", "--preserve-digests", f"oci:{store.root}/images:app:1", f"oci:{folder}/layout:app:1")
    for number, path in enumerate(("skopeo.tar", "docker.tar", "layout")):
        other = Store(folder / f"other{number}")
        assert other.ok("load", "-i", folder / path) == "Loaded image: app:1"
        found, there = other.driver.ok("find", "app:1").split(), store.driver.ok("find", "app:1").split()
        assert found[1] == there[1] and (found[0] == there[0] or path == "docker.tar")

    for form, transport in (("docker-archive", "docker-archive"), ("oci-archive", "oci-archive"), ("oci-dir", "oci")):
        store.ok("save", "--format", form, "-o", folder / form, "app:1")
        read = json.loads(skopeo("inspect", "--config", f"{transport}:{folder / form}:app:1"))
        assert read == store.blob(store.blob(entry["digest"])["config"]["digest"])


def test_an_index_gives_the_image_of_this_platform(store, folder):
    blobs, ours = archives.oci_blobs([LAYER])
    more, theirs = archives.oci_blobs([SECOND])
    blobs.update(more)
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        dict(theirs, platform={"os": "linux", "architecture": "arm64"}),
        dict(theirs, platform={"os": "linux", "architecture": "amd64", "variant": "v3"}),
        dict(ours, platform={"os": "linux", "architecture": "amd64"}),
        dict(theirs, platform={"os": "unknown", "architecture": "unknown"})]}).encode()
    blobs[archives.digest(index)] = index
    entry = described(index, "application/vnd.oci.image.index.v1+json")
    store.ok("load", "-i", write_index(folder / "multi.tar", blobs, [named(entry, "multi")]))
    assert store.index()[0]["digest"] == ours["digest"]


def test_an_index_without_this_platform_names_those_that_there_are(store, folder):
    blobs, manifest = archives.oci_blobs([LAYER])
    entries = [dict(manifest, platform={"os": "linux", "architecture": name}) for name in ("arm64", "riscv64")]
    line = store.refuses("load", "-i", write_index(folder / "other.tar", blobs, entries))
    assert "linux/arm64, linux/riscv64" in line


def test_docker_schema_2_is_read(store, folder):
    config = json.dumps(archives.image_config([LAYER])).encode()
    packed = gzip.compress(LAYER)
    docker = "application/vnd.docker."
    manifest = json.dumps({"schemaVersion": 2, "mediaType": docker + "distribution.manifest.v2+json",
                           "config": described(config, docker + "container.image.v1+json"),
                           "layers": [described(packed, docker + "image.rootfs.diff.tar.gzip")]}).encode()
    blobs = {archives.digest(content): content for content in (config, packed, manifest)}
    entry = described(manifest, docker + "distribution.manifest.v2+json")
    store.ok("load", "-i", write_index(folder / "docker.tar", blobs, [named(entry, "docker.io/someone/app:2")]))
    assert store.driver.ok("find", "someone/app:2").split()[0] == entry["digest"]


def test_an_image_that_loses_its_name_stays_until_prune(store, folder):
    store.ok("import", "-", "app", input=LAYER, text=False)
    store.ok("import", "-", "app", input=SECOND, text=False)
    assert store.names() == ["", "app:latest"] and len(store.layers()) == 2
    freed = store.driver.ok("prune").splitlines()
    assert int(freed[0]) > len(LAYER) and len(freed) == 2
    assert store.names() == ["app:latest"] and not store.leftovers()


def edit_manifest(change):
    """An archive whose manifest was changed before its digest was made."""
    def write(path):
        blobs, entry = archives.oci_blobs([LAYER])
        manifest = json.loads(blobs.pop(entry["digest"]))
        change(manifest)
        content = json.dumps(manifest).encode()
        blobs[archives.digest(content)] = content
        return write_index(path, blobs, [named(described(content, entry["mediaType"]), "bad")])
    return write


def edit_config(change):
    def write(path):
        config = archives.image_config([LAYER])
        change(config)
        blobs, entry = archives.oci_blobs([LAYER], config)
        return write_index(path, blobs, [named(entry, "bad")])
    return write


def put(*path, value):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value
    return change


def drop(*path):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]
    return change


BAD_MANIFESTS = [
    (put("schemaVersion", value=1), "schemaVersion"), (put("schemaVersion", value="2"), "schemaVersion"), (drop("schemaVersion"), "schemaVersion"),
    (put("manifests", value=[]), "two different images"), (put("mediaType", value="application/vnd.oci.image.index.v1+json"), "mediaType"),
    (drop("config"), "config"), (put("config", value=[]), "config"), (put("config", "digest", value="sha256:../../x"), "config.digest"),
    (put("config", "digest", value="sha512:" + "a" * 128), "sha256 only"), (put("config", "size", value=-1), "config.size"),
    (put("config", "size", value="1"), "config.size"), (put("config", "mediaType", value="application/octet-stream"), "not a container image"),
    (put("layers", value={}), "layers"), (put("layers", 0, "digest", value=7), "layers[0].digest"), (drop("layers", 0, "size"), "layers[0].size"),
    (put("layers", 0, "mediaType", value="application/vnd.in-toto+json"), "not a file system layer"),
    (put("layers", 0, "size", value=1), "what refers to it says 1"), (put("layers", value=[]), "0 layers"),
    (put("annotations", value={"a": 1}), "annotations.a"), (put("layers", value=[{}] * 600), "at most"),
]


@pytest.mark.parametrize("number", range(len(BAD_MANIFESTS)))
def test_a_wrong_field_of_a_manifest_is_named(store, folder, number):
    change, expected = BAD_MANIFESTS[number]
    assert expected in store.refuses("load", "-i", edit_manifest(change)(folder / "bad.tar"))
    assert not store.names() and not store.blobs() and not store.layers()


BAD_CONFIGS = [
    (drop("architecture"), "architecture"), (put("architecture", value=""), "architecture"), (put("os", value=1), "os"), (drop("rootfs"), "rootfs"),
    (put("rootfs", "type", value="files"), "rootfs.type"), (put("rootfs", "diff_ids", value="x"), "rootfs.diff_ids"),
    (put("rootfs", "diff_ids", 0, value="sha256:1"), "rootfs.diff_ids[0]"), (put("rootfs", "diff_ids", value=[]), "0 diff_ids"),
    (put("rootfs", "diff_ids", 0, value="sha256:" + "0" * 64), "the image says"), (put("created", value="yesterday"), "created"),
    (put("config", value=[]), "config"), (put("config", "Cmd", value="sh"), "config.Cmd"), (put("config", "Cmd", value=[1]), "config.Cmd[0]"),
    (put("config", "Cmd", value=["a\0b"]), "not valid JSON"), (put("config", "Entrypoint", value={}), "config.Entrypoint"),
    (put("config", "Env", value=["=x"]), "config.Env[0]"), (put("config", "User", value=0), "config.User"),
    (put("config", "ExposedPorts", value={"http": {}}), "config.ExposedPorts.http"), (put("config", "ExposedPorts", value=[]), "config.ExposedPorts"),
    (put("config", "Volumes", value={"rel": {}}), "config.Volumes.rel"), (put("config", "Labels", value={"a": 1}), "config.Labels.a"),
    (put("config", "StopSignal", value="SIGNOPE"), "config.StopSignal"), (put("config", "WorkingDir", value=1), "config.WorkingDir"),
    (put("config", "Healthcheck", value={"Test": ["WHAT"]}), "config.Healthcheck.Test[0]"),
    (put("config", "Healthcheck", value={"Interval": "1s"}), "config.Healthcheck.Interval"), (put("config", "Shell", value=""), "config.Shell"),
    (put("config", "OnBuild", value=[{}]), "config.OnBuild[0]"), (put("config", "StopTimeout", value="9"), "config.StopTimeout"),
    (put("history", value=[1]), "history[0]"), (put("history", 0, "empty_layer", value="no"), "history[0].empty_layer"),
]


@pytest.mark.parametrize("number", range(len(BAD_CONFIGS)))
def test_a_wrong_field_of_a_configuration_is_named(store, folder, number):
    change, expected = BAD_CONFIGS[number]
    assert expected in store.refuses("load", "-i", edit_config(change)(folder / "bad.tar"))
    assert not store.names() and not store.blobs() and not store.layers()


@pytest.mark.parametrize("content", [b"[" * 100000, b'{"a":' * 5000, b"{", b"\xff\xfe", b"[]", b'{"schemaVersion":2,"schemaVersion":2}',
                                     b'{"schemaVersion":2,"manifests":[' + b" " * (5 << 20) + b"]}"],
                         ids=["deep", "deep objects", "cut", "binary", "list", "twice", "huge"])
def test_json_that_is_huge_deep_or_of_the_wrong_type_is_refused(store, folder, content):
    with tarfile.open(folder / "bad.tar", "w") as archive:
        archives._add(archive, "index.json", content)
    assert "index.json" in store.refuses("load", "-i", folder / "bad.tar")


def test_a_layer_that_claims_to_be_another_one_is_refused_also_where_that_is_there(store, folder):
    store.ok("import", "-", "true", input=LAYER, text=False)
    packed = gzip.compress(SECOND)
    blobs, entry = archives.oci_blobs([packed], archives.image_config([LAYER]), "application/vnd.oci.image.layer.v1.tar+gzip")
    archives.write_oci_archive(folder / "false.tar", "false", blobs, entry)
    assert "the image says" in store.refuses("load", "-i", folder / "false.tar")
    assert store.names() == ["true:latest"] and not store.leftovers()


def test_a_missing_blob_is_named(store, folder):
    blobs, entry = archives.oci_blobs([LAYER])
    del blobs[archives.digest(LAYER)]
    line = store.refuses("load", "-i", write_index(folder / "bad.tar", blobs, [named(entry, "bad")]))
    assert hashlib.sha256(LAYER).hexdigest() in line


def test_all_images_of_an_archive_come_or_none(store, folder):
    blobs, good = archives.oci_blobs([LAYER])
    more, bad = archives.oci_blobs([SECOND])
    blobs.update(more)
    del blobs[archives.digest(SECOND)]
    store.refuses("load", "-i", write_index(folder / "half.tar", blobs, [named(good, "good"), named(bad, "bad")]))
    assert not store.names() and not store.blobs() and not store.layers()


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_a_flipped_bit_is_noticed_wherever_it_is(store, folder, form):
    if form == "docker":
        archives.write_docker_archive(folder / "image.tar", "app", [LAYER])
    else:
        blobs, manifest = archives.oci_blobs([LAYER])
        archives.write_oci_archive(folder / "image.tar", "app", blobs, manifest)
    content = (folder / "image.tar").read_bytes()
    store.ok("load", "-i", folder / "image.tar")
    sound = {path.name for path in (store.root / "images/blobs/sha256").iterdir()}
    chance = random.Random(1)
    for _ in range(120):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        other = Store(folder / "other")
        done = other("load", input=bytes(flipped), text=False)
        if done.returncode:
            assert done.stderr.count(b"\n") == 1 and not other.blobs() and not other.layers() and not other.names()
        else:
            # The flip hit what no digest covers: names and padding of the outer archive, tags. Content must be the same.
            assert other.blobs() <= sound
            for path in (other.root / "images/blobs/sha256").iterdir():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        subprocess.run(["rm", "-rf", other.root], check=True)


def test_a_blob_that_rotted_in_the_store_is_noticed(store, folder):
    store.ok("load", "-i", archives.write_docker_archive(folder / "image.tar", "app", [LAYER]))
    path = store.root / "images/blobs/sha256" / hashlib.sha256(LAYER).hexdigest()
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert "damaged" in store.refuses("save", "-o", folder / "out.tar", "app")
    assert not (folder / "out.tar").exists() and not list(folder.glob("*.tmp"))
    store.ok("load", "-i", folder / "image.tar")
    store.ok("save", "-o", folder / "out.tar", "app")


def test_unknown_images_and_wrong_arguments_are_refused(store, folder):
    assert "no such image: nothing" in store.refuses("save", "-o", folder / "x", "nothing")
    assert "unknown format" in store.refuses("save", "--format", "zip", "nothing")
    assert store.refuses("save", status=2) and store.refuses("fly", status=2) and store.refuses("load", "--nope", status=2)
    assert "cannot open" in store.refuses("load", "-i", folder / "nothing")
    assert "import" in store.refuses("load", "-i", write_tar(folder / "rootfs.tar", file("etc/passwd")))
    store.ok("import", "-", "app", input=LAYER, text=False)
    assert "--output" in store.refuses("save", "--format", "oci-dir", "app")
    assert "exists" in store.refuses("save", "--format", "oci-dir", "-o", folder, "app")


def test_the_embedded_image_is_a_whole_one(store):
    base = store.path.replace("onggi-image", "base.tar")
    assert store.ok("load", "-i", base) == "Loaded image: onggi/base:latest"
    root = store.layer_root("onggi/base")
    assert subprocess.run(["chroot", root, "/bin/sh", "-c", "ls -d /tmp && id -un"], capture_output=True, text=True, check=True).stdout == "/tmp\nroot\n"
    assert store.blob(store.blob(store.index()[0]["digest"])["config"]["digest"])["config"]["Cmd"] == ["sh"]
