# SPDX-License-Identifier: GPL-2.0-or-later
"""The image commands as docker users' fingers know them."""
import json

import pytest

from support import archives

pytestmark = pytest.mark.root


@pytest.fixture(name="store")
def fixture_store(onggi, docker_archive):
    """An onggi with one image, localhost/busybox:test."""
    onggi.ok("load", "--input", docker_archive)
    return onggi


@pytest.mark.core
def test_an_empty_store_lists_titles_alone(onggi):
    assert onggi.ok("images").split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert onggi.ok("images", "--quiet") == ""
    assert onggi.ok("images", "--format", "json") == ""


@pytest.mark.core
def test_a_loaded_image_is_listed_under_its_name_with_docker_columns(store):
    titles, row = store.ok("images").splitlines()
    assert row.split()[:2] == ["localhost/busybox", "test"]
    assert titles.index("SIZE") == row.index(row.split()[-1])
    fields = json.loads(store.ok("images", "--format", "json"))
    assert fields["Repository"] == "localhost/busybox" and fields["Tag"] == "test" and len(fields["ID"]) == 12
    assert not [name for name in fields if name.startswith(".")]


def test_image_ls_is_images(store):
    assert store.ok("image", "ls") == store.ok("image", "list") == store.ok("images")


def test_ids_are_short_unless_told_otherwise(store):
    short, whole = store.ok("images", "-q"), store.ok("images", "-q", "--no-trunc")
    assert whole == "sha256:" + whole[7:] and whole[7:19] == short and len(whole) == 71


def test_digests_are_shown_when_asked_for(store):
    assert "sha256:" in store.ok("images", "--digests") and "DIGEST" in store.ok("images", "--digests")
    assert "sha256:" not in store.ok("images")


def test_each_name_of_an_image_is_a_line(store):
    store.ok("tag", "localhost/busybox:test", "other:1")
    store.ok("image", "tag", "other:1", "another")
    names = store.ok("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    assert sorted(names) == ["another:latest", "localhost/busybox:test", "other:1"]
    assert len(set(store.ok("images", "-q").splitlines())) == 1


def test_images_can_be_chosen_by_name_pattern_and_filter(store):
    store.ok("tag", "localhost/busybox:test", "other:1")
    store.ok("tag", "localhost/busybox:test", "other:2")

    def names(*words):
        return sorted(store.ok("images", "--format", "{{.Repository}}:{{.Tag}}", *words).split())
    assert names("other") == ["other:1", "other:2"]
    assert names("other:1") == ["other:1"]
    assert names("oth*:2") == ["other:2"]
    assert names("--filter", "reference=other") == ["other:1", "other:2"]
    assert names("--filter", "reference=other:1", "--filter", "reference=other:2") == ["other:1", "other:2"]
    assert names("--filter", "dangling=true") == []
    assert "dangling" in store.refuses("images", "--filter", "nosuch=1", status=1)


def test_inspect_shows_what_docker_shows(store):
    image, = store.json("image", "inspect", "localhost/busybox:test")
    assert image["RepoTags"] == ["localhost/busybox:test"]
    assert image["Config"]["Cmd"] == ["/bin/sh"] and image["Os"] == "linux"
    assert image["RootFS"]["Type"] == "layers" and len(image["RootFS"]["Layers"]) == 1
    assert store.ok("inspect", "--type", "image", "-f", "{{.Id}}", "localhost/busybox:test") == image["Id"]
    assert store.ok("images", "-q", "--no-trunc") == image["Id"]
    assert store.ok("inspect", "-f", "{{index .Config.Env 0}}", image["Id"][:19]) == "PATH=/bin"


def test_inspect_shows_what_is_there_and_reports_what_is_not(store):
    done = store("image", "inspect", "localhost/busybox:test", "nosuch")
    assert done.returncode == 1 and len(json.loads(done.stdout)) == 1
    assert done.stderr.startswith("onggi: ") and "nosuch" in done.stderr


def test_a_name_nobody_knows_is_one_line(store):
    for words in (("tag", "nosuch", "x"), ("rmi", "nosuch"), ("image", "inspect", "--format", "x", "nosuch")):
        assert "nosuch" in store.refuses(*words, status=1)


def test_rmi_takes_names_first_and_the_image_with_the_last(store):
    store.ok("tag", "localhost/busybox:test", "other:1")
    assert store.ok("rmi", "other:1") == "Untagged: other:1"
    assert len(store.ok("images", "-q").splitlines()) == 1
    store.ok("image", "rm", "localhost/busybox:test")
    assert store.ok("images", "-q") == ""


def test_rmi_goes_on_after_a_failure(store):
    done = store("rmi", "nosuch", "localhost/busybox:test")
    assert done.returncode == 1 and "Untagged: localhost/busybox:test" in done.stdout and "nosuch" in done.stderr


def test_save_and_load_give_the_same_image(store, folder):
    before = store.ok("images", "-q", "--no-trunc")
    store.ok("save", "-o", folder / "saved.tar", "localhost/busybox:test")
    store.ok("rmi", "localhost/busybox:test")
    assert "localhost/busybox:test" in store.ok("load", "-i", folder / "saved.tar")
    assert store.ok("images", "-q", "--no-trunc") == before


def test_import_makes_an_image_of_a_folder(onggi, busybox_root):
    onggi.ok("image", "import", busybox_root, "mine:1")
    assert onggi.ok("images", "--format", "{{.Repository}}:{{.Tag}}") == "mine:1"


def test_prune_asks_and_a_no_removes_nothing(store):
    for answer in ("", "n\n", "\n"):
        done = store("image", "prune", "--all", input=answer)
        assert done.returncode == 1 and "nothing was removed" in done.stderr
    assert store.ok("images", "-q")


def test_prune_removes_what_was_confirmed_and_counts_it(store):
    done = store("image", "prune", "--all", input="y\n")
    assert done.returncode == 0 and "Total reclaimed space: " in done.stdout
    assert store.ok("images", "-q") == ""


def test_prune_without_all_keeps_images_that_have_a_name(store):
    assert "Total reclaimed space: " in store.ok("image", "prune", "--force")
    assert store.ok("images", "-q")


def test_completion_knows_the_images(store):
    assert store.ok("__complete", "--root", store.root, "--state", store.state, "run", "local") == "localhost/busybox:test"


def test_control_characters_in_an_image_reach_no_terminal(onggi, folder, busybox_layer):
    config = archives.image_config([busybox_layer])
    config["created"] = "2024-01-01T00:00:00Z"
    config["config"]["Labels"] = {"evil": "\x1b[2J"}
    onggi.ok("load", "-i", archives.write_docker_archive(folder / "a.tar", "evil:1", [busybox_layer], config))
    assert "\x1b" not in onggi.ok("images") and "\x1b" not in onggi.ok("image", "inspect", "evil:1")
