# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line as engines and people meet it: help, versions, errors on stderr and in the log, features, spec; rootless."""
import json
import os
import re
import shutil
import subprocess

import pytest

from runtime_bundle import namespaces

pytestmark = pytest.mark.root

COMMANDS = ("create", "start", "run", "exec", "state", "list", "ps", "kill", "delete", "pause", "resume", "update", "events", "spec",
            "features")


def test_version_and_help(runtime):
    version = runtime.ok("--version").splitlines()
    assert re.fullmatch(r"onggi-runtime version \d+\.\d+\.\d+", version[0]) and version[1] == "spec: 1.3.0"
    text = runtime.ok("--help")
    assert all(re.search(rf"^  {command} ", text, re.M) for command in COMMANDS)
    for command in COMMANDS:
        assert runtime.ok(command, "--help").startswith(f"usage: onggi-runtime {command} ")


@pytest.mark.parametrize("words,says", [
    (("nonsense",), 'unknown command "nonsense"'),
    (("create", "--nonsense", "x"), "unknown option --nonsense"),
    (("create",), "create takes more operands"),
    (("start", "a", "b"), "start takes fewer operands"),
    (("--log-format", "xml", "list"), "--log-format takes text or json"),
    (("--rootless", "maybe", "list"), "--rootless takes true, false or auto"),
    (("list", "--format", "xml"), "--format takes table or json"),
    (("checkpoint", "a"), "checkpoint is not supported"),
    (("restore", "a"), "restore is not supported"),
    (("state", "none"), "container does not exist: none"),
    (("run", "--bundle", "/none", "a"), "cannot open the bundle /none"),
    (("run", "--preserve-fds", "-1", "a"), "--preserve-fds takes"),
    (("events", "--interval", "0", "a"), "--interval takes"),
])
def test_what_is_wrong_is_said_in_one_line(runtime, words, says):
    assert says in runtime.refuses(*words, status=1)


def test_errors_go_into_the_log_as_engines_read_it(runtime, folder):
    said = runtime.refuses("--log", folder / "log", "--log-format", "json", "state", "none")
    line = json.loads((folder / "log").read_text())
    assert line["level"] == "error" and line["msg"] in said and line["time"].endswith("Z")
    runtime.refuses("--log", folder / "text", "state", "none")
    assert re.fullmatch(r'time="[^"]+" level=error msg="container does not exist: none"\n', (folder / "text").read_text())


@pytest.mark.parametrize("text,says", [
    ("", "not valid JSON"), ("{", "not valid JSON"), ("[]", "must be an object"), ('{"ociVersion":"1.0.0","ociVersion":"1.0.0"}', "duplicate"),
    ("[" * 3000, "not valid JSON"), ('{"x":"' + "a" * (5 << 20) + '"}', "at most"),
], ids=("empty", "cut", "list", "twice", "deep", "huge"))
def test_a_configuration_that_is_no_configuration_leaves_nothing(runtime, bundle, unique, text, says):
    made, name = bundle(), unique()
    (made.path / "config.json").write_text(text)
    said = runtime.refuses("create", "--bundle", made, name)
    assert says in said and "config.json" in said
    assert "does not exist" in runtime.refuses("state", name)


def test_features_say_what_the_binary_knows(runtime):
    features = runtime.json("features")
    assert features["ociVersionMin"] == "1.0.0" and features["ociVersionMax"] == "1.3.0"
    assert features["hooks"] == ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    assert {"ro", "rbind", "idmap", "rro"} <= set(features["mountOptions"])
    platform = features["linux"]
    assert set(platform["namespaces"]) == {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}
    assert "CAP_SYS_ADMIN" in platform["capabilities"] and platform["cgroup"]["v1"] and platform["cgroup"]["v2"]
    assert "SCMP_ACT_NOTIFY" in platform["seccomp"]["actions"]
    assert platform["mountExtensions"]["idmap"]["enabled"] and platform["netDevices"]["enabled"]


def test_spec_writes_a_configuration_that_runs(runtime, folder, busybox_root, unique):
    runtime.ok("spec", "--bundle", folder)
    config = json.loads((folder / "config.json").read_text())
    assert config["process"]["terminal"] is True
    config["process"].update(terminal=False, args=["echo", "it runs"])
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copytree(busybox_root, folder / "rootfs", symlinks=True)
    assert runtime.ok("run", "--bundle", folder, unique()) == "it runs"
    assert "cannot create" in runtime.refuses("spec", "--bundle", folder)


# ---- an ordinary user ----

USER = 54321


@pytest.fixture
def ordinary(runtime, folder):
    """Calls the runtime as a user without any right, with a root of its own."""
    root = folder / "user-root"
    root.mkdir()
    os.chown(root, USER, USER)
    folder.chmod(0o755)
    program = folder / "onggi-runtime"
    shutil.copy(runtime.path, program)
    program.chmod(0o755)

    def call(*words, **streams):
        streams = streams or {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all", program, "--root", root, *words]
        return subprocess.run([str(word) for word in command], text=True, timeout=60, stdin=subprocess.DEVNULL,
                              check=False, **streams)
    return call


def for_ordinary_user(made):
    namespaces(made, "user", "mount", "pid", "ipc", "uts", "network")
    made.linux["uidMappings"] = [{"containerID": 0, "hostID": USER, "size": 1}]
    made.linux["gidMappings"] = [{"containerID": 0, "hostID": USER, "size": 1}]
    for mount in made.config["mounts"]:
        mount["options"] = [option for option in mount.get("options", []) if not option.startswith("gid=")]
    subprocess.run(["chown", "-R", "--no-dereference", f"{USER}:{USER}", made.path], check=True)


def test_an_ordinary_user_runs_a_container_as_its_root(ordinary, bundle, folder):
    # A root file system of the user's own: the shared one is root's by its hard links.
    made = bundle("sh", "-c", "id -u; cat /proc/self/uid_map; echo x > /own; exit 6")
    shutil.rmtree(made.rootfs)
    shutil.copytree(folder.parent / "busybox", made.rootfs, symlinks=True)
    for_ordinary_user(made)
    done = ordinary("run", "--bundle", made.write(), "mine")
    assert done.returncode == 6, done.stderr
    assert done.stdout.split() == ["0", "0", str(USER), "1"]
    assert (made.rootfs / "own").stat().st_uid == USER


def test_an_ordinary_user_creates_starts_execs_and_deletes(ordinary, bundle, folder):
    made = bundle("sleep", "1000")
    shutil.rmtree(made.rootfs)
    shutil.copytree(folder.parent / "busybox", made.rootfs, symlinks=True)
    for_ordinary_user(made)
    # The container keeps its standard output: a pipe would not end.
    assert ordinary("run", "--detach", "--bundle", made.write(), "mine", stdout=subprocess.DEVNULL).returncode == 0
    assert ordinary("exec", "mine", "sh", "-c", "id -u").stdout == "0\n"
    assert ordinary("kill", "mine", "KILL").returncode == 0
    assert ordinary("delete", "--force", "mine").returncode == 0


def test_an_ordinary_user_without_a_user_namespace_is_told_so(ordinary, bundle):
    made = bundle()
    subprocess.run(["chown", "-R", "--no-dereference", f"{USER}:{USER}", made.path], check=True)
    done = ordinary("run", "--bundle", made, "mine")
    assert done.returncode == 1 and "needs a user namespace" in done.stderr
