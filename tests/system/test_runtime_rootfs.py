# SPDX-License-Identifier: GPL-2.0-or-later
"""The root file system of a container, through onggi-runtime: what is mounted where, and what hostile images cannot reach."""
import ctypes
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from support import private_host

MS_SHARED = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)

pytestmark = pytest.mark.root


@pytest.fixture
def run(runtime, bundle, unique):
    """run('sh', '-c', …, edit=lambda bundle: …) runs a container and returns what it wrote."""
    def call(*args, edit=None, options=()):
        return runtime.ok("run", *options, "--bundle", bundle(*args, edit=edit), unique())
    return call


@pytest.fixture
def refuses(runtime, bundle, unique):
    def call(edit, *args):
        return runtime.refuses("run", "--bundle", bundle(*(args or ("/bin/true",)), edit=edit), unique())
    return call


@pytest.fixture
def host(folder):
    """A folder of the host with a canary in it, for images that want to get at it. Unchanged at the end."""
    place = folder / "host"
    place.mkdir()
    (place / "canary").write_text("alive")
    before = snapshot(place)
    yield place
    assert snapshot(place) == before, "an image changed the host's folder"


def snapshot(place):
    found = {}
    for path in [place, *sorted(place.rglob("*"))]:
        status = path.lstat()
        found[str(path.relative_to(place))] = (status.st_mode, status.st_rdev, status.st_size, status.st_ino)
    return found


def mounts_of(output):
    """{mount point: (root, options, tags, type, superblock's options)} of /proc/self/mountinfo, the last one of each."""
    table = {}
    for line in output.splitlines():
        left, right = line.split(" - ")
        fields, (kind, _, superblock) = left.split(), right.split()
        table[fields[4]] = (fields[3], fields[5].split(","), fields[6:], kind, superblock)
    return table


def replace(path, target):
    """Puts a symbolic link in the place of a folder or file of an image."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    path.symlink_to(target)


def exchange(one, other):
    """renameat2(2) with RENAME_EXCHANGE."""
    assert libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) == 0


# ---- what an honest image gets ----

def test_mounts_have_their_types_and_options(run):
    table = mounts_of(run("cat", "/proc/self/mountinfo"))
    assert [table[point][3] for point in ("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys")] == \
        ["proc", "tmpfs", "devpts", "tmpfs", "mqueue", "sysfs"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(table["/sys"][1])
    assert "relatime" not in table["/dev"][1] and "nosuid" in table["/dev"][1]
    assert "ro" in table["/proc/sys"][1] and table["/proc/timer_list"][0] == "/null"


def test_a_container_sees_no_mount_of_the_host(run):
    points = mounts_of(run("cat", "/proc/self/mountinfo"))
    allowed = ("/proc", "/dev", "/sys")
    assert all(point == "/" or point.startswith(allowed) for point in points)


def test_devices_and_links_of_dev(run):
    listing = run("sh", "-c", "cd /dev; stat -c '%n %a %t:%T' null zero full random urandom tty; for link in fd stdin stdout stderr ptmx; do readlink $link; done")
    assert listing.splitlines() == ["null 666 1:3", "zero 666 1:5", "full 666 1:7", "random 666 1:8", "urandom 666 1:9",
                                    "tty 666 5:0", "/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx"]


def test_a_terminal_becomes_dev_console(runtime, bundle, unique):
    made = bundle("stat", "-c", "%F %t", "/dev/console", edit=lambda b: b.process.update(terminal=True))
    command = runtime.command("run", "--bundle", made, unique())
    done = subprocess.run(["script", "-qec", " ".join(command), "/dev/null"], capture_output=True, text=True, timeout=60)
    assert "character special file 88" in done.stdout, done.stdout + done.stderr


def test_a_read_only_root_is_read_only_and_its_mounts_are_not(run):
    def edit(bundle):
        bundle.config["root"]["readonly"] = True
    assert run("sh", "-c", "echo x >/file 2>/dev/null || echo refused; echo x >/dev/shm/file && cat /dev/shm/file", edit=edit) == \
        "refused\nx"


def test_masked_paths_are_empty_and_cannot_be_opened_up(run):
    def edit(bundle):
        (bundle.rootfs / "etc/secret").write_text("secret")
        (bundle.rootfs / "secrets").mkdir()
        (bundle.rootfs / "secrets/key").write_text("secret")
        bundle.linux["maskedPaths"] += ["/etc/secret", "/secrets", "/not/there"]
    before = os.stat("/dev/null")
    assert run("sh", "-c", "cat /etc/secret; ls /secrets; echo into >/etc/secret; chmod 600 /etc/secret 2>/dev/null || echo kept;"
               "touch /secrets/x 2>/dev/null || echo empty", edit=edit) == "kept\nempty"
    assert os.stat("/dev/null").st_mode == before.st_mode


def test_binds_of_files_and_folders_make_their_targets(run, folder):
    (folder / "data").mkdir()
    (folder / "data/file").write_text("content")

    def edit(bundle):
        bundle.config["mounts"] += [
            {"destination": "/new/folder", "source": str(folder / "data"), "options": ["rbind", "ro"]},
            {"destination": "/new/file", "source": str(folder / "data/file"), "options": ["bind"]},
            {"destination": "/late/relative", "source": "rootfs/etc", "type": "bind", "options": ["ro"]}]
    assert run("sh", "-c", "cat /new/folder/file /new/file; ls /late/relative; echo changed >/new/file; touch /new/folder/x || echo no",
               edit=edit).replace("\n", " ").startswith("contentcontentgroup passwd no")
    assert (folder / "data/file").read_text() == "changed\n"


def test_mounts_happen_in_the_order_in_which_they_are_listed(run, folder):
    (folder / "data/below").mkdir(parents=True)

    def edit(bundle):
        bundle.config["mounts"] += [
            {"destination": "/a", "type": "tmpfs"},
            {"destination": "/a/below", "source": str(folder / "data"), "options": ["bind"]},
            {"destination": "/a/below/below", "type": "tmpfs"}]
    assert run("sh", "-c", "grep -c ' /a' /proc/self/mountinfo; touch /a/below/seen", edit=edit) == "3"
    assert (folder / "data/seen").exists()


def test_memory_has_the_mode_of_the_folder_it_covers_or_is_for_everyone(run):
    def edit(bundle):
        (bundle.rootfs / "closed").mkdir(mode=0o750)
        for name in ("/closed", "/missing", "/missing/too"):
            bundle.config["mounts"].append({"destination": name, "type": "tmpfs"})
        bundle.config["mounts"].append({"destination": "/asked", "type": "tmpfs", "options": ["mode=711"]})
    said = run("stat", "-c", "%a", "/closed", "/missing", "/missing/too", "/asked", edit=edit)
    assert said.split() == ["750", "1777", "1777", "711"]


def test_tmpcopyup_copies_what_the_image_has(run):
    def edit(bundle):
        bundle.config["mounts"].append({"destination": "/etc", "type": "tmpfs", "options": ["tmpcopyup", "ro"]})
    assert run("sh", "-c", "cat /etc/group | head -1; touch /etc/x 2>/dev/null || echo ro", edit=edit) == "root:x:0:\nro"


def test_no_pivot_gives_the_same_container(run):
    words = ("sh", "-c", "ls -d /proc /dev/null /bin/sh; grep -c . /proc/self/mountinfo; ls /; mkdir /tmp/x; ls /proc | grep -c '^[0-9]'")
    assert run(*words, options=["--no-pivot"]).splitlines()[0:3] == ["/bin/sh", "/dev/null", "/proc"]


def test_a_user_namespace_gets_bound_devices_and_a_proc_of_its_own(run):
    def edit(bundle):
        for path in [bundle.rootfs, *bundle.rootfs.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                os.chown(path, 100000, 100000)
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    output = run("sh", "-c", "id -u; cat /proc/self/uid_map; echo x >/dev/null && stat -c %t:%T /dev/null; readlink /proc/self", edit=edit)
    assert output.split() == ["0", "0", "100000", "65536", "1:3", output.split()[-1]]
    assert int(output.split()[-1]) < 10


@pytest.mark.parametrize("propagation, tag", [("rshared", "shared:"), ("rslave", "master:"), ("rprivate", None)])
def test_propagation_of_a_bind_mount(run, folder, propagation, tag):
    place = folder / "place"
    place.mkdir()
    private_host.mount("test", place, "tmpfs")
    private_host.mount(None, place, flags=MS_SHARED)
    try:
        def edit(bundle):
            bundle.config["mounts"].append({"destination": "/place", "source": str(place), "options": ["rbind", propagation]})
        tags = mounts_of(run("cat", "/proc/self/mountinfo", edit=edit))["/place"][2]
        assert [text.split(":")[0] + ":" for text in tags] == ([tag] if tag else [])
    finally:
        private_host.detach(place)


def test_control_groups_are_mounted_and_read_only(run):
    def edit(bundle):
        bundle.config["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                                        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]})
    table = mounts_of(run("cat", "/proc/self/mountinfo", edit=edit))
    groups = {point: entry for point, entry in table.items() if entry[3] in ("cgroup", "cgroup2")}
    assert groups and all("ro" in entry[1] for entry in groups.values())
    # a namespace of its own: the container's group is the root of what it sees
    assert {entry[0] for entry in groups.values()} == {"/"}


# ---- id-mapped mounts ----

@pytest.mark.parametrize("options, own", [(["bind", "idmap"], False), (["rbind", "ridmap"], False), (["bind"], True)])
def test_an_id_mapped_mount_shows_the_owners_of_the_container(run, folder, options, own):
    """With maps of its own, or those of the container's user namespace: a file of the host's root is root's in the container."""
    (folder / "data").mkdir()
    (folder / "data/file").write_text("")
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]

    def edit(bundle):
        for path in [bundle.rootfs, *bundle.rootfs.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                os.chown(path, 100000, 100000)
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = maps
        mount = {"destination": "/data", "source": str(folder / "data"), "options": options}
        if own:
            mount.update(uidMappings=maps, gidMappings=maps)
        bundle.config["mounts"].append(mount)
    assert run("sh", "-c", "stat -c %u:%g /data/file; touch /data/new", edit=edit) == "0:0"
    assert (folder / "data/new").stat().st_uid == 0


# ---- what a hostile image gets ----

@pytest.mark.parametrize("name", ["proc", "dev", "sys"])
@pytest.mark.parametrize("target", ["/tmp", "../../../../../../../../tmp", "{host}", "/bin/nowhere"])
def test_a_link_in_the_place_of_proc_sys_or_dev_is_refused(refuses, host, name, target):
    message = refuses(lambda bundle: replace(bundle.rootfs / name, target.format(host=host)))
    assert f"/{name}" in message and "symbolic link" in message


def test_a_dev_link_into_a_volume_makes_nothing_there(refuses, host):
    """A link at /dev that leads to a bind mount of the host would have devices made on the host."""
    def edit(bundle):
        bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if not entry["destination"].startswith("/dev")]
        bundle.config["mounts"].append({"destination": "/volume", "source": str(host), "options": ["rbind"]})
        replace(bundle.rootfs / "dev", "/volume")
    assert "/dev" in refuses(edit)


@pytest.mark.parametrize("target", ["../../../../../../../../../../{host}", "{host}"])
def test_links_in_mount_targets_stay_beneath_the_root(run, host, target):
    def edit(bundle):
        (bundle.rootfs / "trap").symlink_to(target.format(host=host))
        (bundle.rootfs / "final").symlink_to(f"{host}/canary")
        bundle.config["mounts"] += [
            {"destination": "/trap", "type": "tmpfs"},
            {"destination": "/trap/below", "type": "tmpfs"},
            {"destination": "/final", "source": "/etc/hostname", "options": ["bind"]},
            {"destination": "/trap/file", "source": "/etc/hostname", "options": ["bind"]}]
    points = mounts_of(run("cat", "/proc/self/mountinfo", edit=edit))
    # in the container, the names of the host's folders are made beneath its own root
    assert {f"{host}", f"{host}/below", f"{host}/canary"} & set(points)
    assert (host / "canary").read_text() == "alive"


def test_links_in_masked_and_read_only_paths_stay_beneath_the_root(run, host):
    def edit(bundle):
        inside = Path(str(bundle.rootfs) + str(host))
        inside.mkdir(parents=True)
        (inside / "canary").write_text("the image's own")
        (bundle.rootfs / "mask").symlink_to(host / "canary")
        (bundle.rootfs / "keep").symlink_to(host)
        bundle.linux["maskedPaths"].append("/mask")
        bundle.linux["readonlyPaths"].append("/keep")
    assert run("sh", "-c", f"cat {host}/canary; touch {host}/x 2>/dev/null || echo ro", edit=edit) == "ro"
    assert (host / "canary").read_text() == "alive"


def test_an_images_own_null_is_not_what_masks(refuses, run, host):
    """Without a /dev of its own a container has the image's: what is not the device is refused, and never used for masks."""
    def edit(bundle):
        bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if not entry["destination"].startswith("/dev")]
        (bundle.rootfs / "dev/null").symlink_to(f"{host}/canary")
        bundle.linux["maskedPaths"] = ["/etc/passwd"]
    assert "device /dev/null" in refuses(edit)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_something_else_in_the_place_of_a_device_is_refused(refuses, host, kind):
    def edit(bundle):
        bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if not entry["destination"].startswith("/dev")]
        place = bundle.rootfs / "dev/full"
        place.symlink_to(f"{host}/canary") if kind == "link" else place.write_text("")
    assert "device /dev/full" in refuses(edit)


def test_a_device_folder_that_is_a_link_stays_beneath_dev(run, host):
    def edit(bundle):
        bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if not entry["destination"].startswith("/dev")]
        (bundle.rootfs / "dev/net").symlink_to(host)
        bundle.linux["devices"] = [{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200}]
    run("true", edit=edit)
    assert not (host / "tun").exists()


def test_a_link_in_the_place_of_the_console_is_refused(runtime, bundle, unique, host):
    def edit(made):
        made.config["mounts"] = [entry for entry in made.config["mounts"] if entry["destination"] not in ("/dev", "/dev/shm", "/dev/mqueue")]
        made.process["terminal"] = True
        (made.rootfs / "dev/pts").mkdir()
        (made.rootfs / "dev/console").symlink_to(f"{host}/canary")
    command = runtime.command("run", "--bundle", bundle("true", edit=edit), unique())
    done = subprocess.run(["script", "-qec", " ".join(command), "/dev/null"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "console" in done.stdout


def test_a_volume_is_not_entered_through_links_of_another(run, host, folder):
    """Two containers share a volume; one has put a link where the other's next mount goes."""
    volume = folder / "volume"
    volume.mkdir()
    (volume / "sub").symlink_to("/../../../../" + str(host))

    def edit(bundle):
        bundle.config["mounts"] += [{"destination": "/volume", "source": str(volume), "options": ["rbind"]},
                                    {"destination": "/volume/sub", "type": "tmpfs"}]
    points = mounts_of(run("cat", "/proc/self/mountinfo", edit=edit))
    assert str(host) in points


def test_a_volume_that_changes_while_mounts_are_made_leads_nowhere(runtime, bundle, unique, host, folder):
    """Another container of the same volume swaps a folder for a link to the host, over and over."""
    volume = folder / "volume"
    (volume / "sub").mkdir(parents=True)
    (volume / "link").symlink_to("/../../../.." + str(host))
    (folder / "hostname").write_text("")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            exchange(volume / "sub", volume / "link")
    swapper = threading.Thread(target=swap)
    swapper.start()

    def edit(made):
        made.config["mounts"] += [{"destination": "/volume", "source": str(volume), "options": ["rbind"]},
                                  {"destination": "/volume/sub/a/b", "type": "tmpfs"},
                                  {"destination": "/volume/sub/file", "source": str(folder / "hostname"), "options": ["bind"]}]
    made = bundle("true", edit=edit)
    try:
        for _ in range(40):
            # It may fail, for a target that is gone again; it may not touch the host, which `host` compares at the end.
            runtime("run", "--bundle", made, unique())
    finally:
        stop.set()
        swapper.join()


# ---- errors ----

@pytest.mark.parametrize("mount, words", [
    ({"destination": "/a", "source": "/no/such/folder", "options": ["bind"]}, "/no/such/folder"),
    ({"destination": "/a", "type": "tmpfs", "options": ["siez=1"]}, "Unknown parameter 'siez'"),
    ({"destination": "/a", "type": "nonefs"}, "nonefs"),
    ({"destination": "/etc/passwd", "type": "tmpfs"}, "/etc/passwd"),
    ({"type": "tmpfs"}, "mounts[6].destination is required"),
    ({"destination": "/a", "type": "tmpfs", "options": "ro"}, "mounts[6].options"),
    ({"destination": "/a", "type": "tmpfs", "options": ["idmap"]}, "bind mount"),
])
def test_a_mount_that_cannot_be_is_named(refuses, mount, words):
    assert words in refuses(lambda bundle: bundle.config["mounts"].append(mount))


def test_a_missing_root_is_named(refuses):
    assert "/no/root" in refuses(lambda bundle: bundle.config["root"].update(path="/no/root"))
