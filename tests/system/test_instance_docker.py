# SPDX-License-Identifier: GPL-2.0-or-later
"""What users of docker rely on without having read it anywhere."""
import subprocess
import time

import pytest

from support import leaks

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"
SLEEP = ("sleep", "1000")


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    """An onggi with an image."""
    onggi.ok("load", "--quiet", "--input", docker_archive)
    yield onggi
    onggi.remove_all()
    assert comes_true(lambda: not any("onggi" in command for command in leaks.descendants().values()))


def comes_true(condition, seconds=15):
    """Waits for what tells nobody that it has happened."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def create(host, *words):
    return host.ok("create", "--network", "none", *words)


# ---- Standard input ----

def test_the_programs_input_ends_with_the_command_that_gave_it(host):
    process = host.popen("run", "-i", "--network", "none", "--name", "one", IMAGE, "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write("hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == "hello\n"
    process.kill()
    process.wait()
    assert host.ok("wait", "one", timeout=20) == "0"


def test_a_reader_that_goes_ends_a_copying_program(host):
    script = 'head -c 20M /dev/zero | "$@" | head -c 10 | wc -c'
    command = host.command("run", "-i", "--rm", "--network", "none", IMAGE, "cat")
    assert subprocess.run(["/bin/sh", "-c", script, "sh", *command], stdout=subprocess.PIPE, timeout=60).stdout == b"10\n"
    assert comes_true(lambda: host.ok("ps", "-aq") == "")


def test_input_that_goes_round_through_a_program_comes_back_whole(host):
    data = "0123456789abcde\n" * 500000
    assert host("run", "-i", "--rm", "--network", "none", IMAGE, "cat", input=data).stdout == data


def test_a_program_that_answers_more_than_it_is_told_is_no_deadlock(host):
    done = host("run", "-i", "--rm", "--network", "none", IMAGE, "sed", "s/.*/&&&&&&&&&&&&&&&&/", input="0123456789abcde\n" * 100000)
    assert done.returncode == 0 and len(done.stdout) == (15 * 16 + 1) * 100000


def test_input_of_one_that_was_created_stays_open_for_the_next(host):
    host.ok("run", "-d", "-i", "--network", "none", "--name", "one", IMAGE, "cat")
    for line in ("first\n", "second\n"):
        process = host.popen("attach", "one", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline() == line
        process.kill()
        process.wait()


# ---- Memory ----

def test_a_memory_limit_too_low_to_start_is_told_and_kept(host):
    text = host.refuses("run", "--memory", "64k", "--network", "none", "--name", "one", IMAGE, "true", status=137)
    assert "memory limit is too low" in text
    assert host.ok("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "one") == "true 137"
    host.ok("update", "--memory", "64m", "one")
    assert host.ok("start", "one") == "one"
    host.ok("wait", "one")
    assert host.ok("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "one") == "false 0"


def test_a_childs_death_for_want_of_memory_shows_in_the_state(host):
    host("run", "--memory", "16m", "--network", "none", "--name", "one", IMAGE, "sh", "-c",
         "dd if=/dev/zero of=/dev/null bs=64M count=1; echo on")
    assert host.ok("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "one") == "true 0"


# ---- Network ----

def test_who_shares_anothers_network_has_its_host_name(host):
    host.ok("run", "-d", "--name", "one", "--hostname", "pod", IMAGE, *SLEEP)
    assert host.ok("run", "--rm", "--network", "container:one", IMAGE, "sh", "-c", "hostname; cat /etc/hostname") == "pod\npod"
    host.ok("run", "-d", "--network", "container:one", "--name", "two", IMAGE, *SLEEP)
    assert host.ok("exec", "two", "sh", "-c", "hostname; echo $HOSTNAME").split() == ["pod", "pod"]
    assert host.ok("inspect", "-f", "{{.Config.Hostname}}", "two") == "pod"


# ---- Templates and filters ----

def test_a_label_can_be_shown_by_its_name(host):
    create(host, "--name", "one", "--label", "a.tier=web", "--label", "list=1,2", "--label", "bare", "--label", "end=z", IMAGE)

    def show(template):
        return host.ok("ps", "-a", "--format", template)
    assert show('{{.Label "a.tier"}}|{{.Label "list"}}|{{.Label "bare"}}|{{.Label "end"}}|{{.Label "no"}}') == "web|1,2||z|"
    assert show('{{.Label "a.tier" | upper}}') == "WEB"
    assert show('table {{.Names}}\\t{{.Label "a.tier"}}').splitlines() == ["NAMES   tier", "one     web"]
    assert "template" in host.refuses("ps", "-a", "--format", '{{.Names "x"}}', status=1)


def test_instances_can_be_filtered_by_their_ports(host):
    host.ok("run", "-d", "--name", "one", "-p", "127.0.0.1:18080:80", "--expose", "7000-7002/udp", IMAGE, *SLEEP)

    def names(text):
        return host.ok("ps", "--format", "{{.Names}}", "--filter", text)
    assert names("publish=18080") == names("publish=18000-18100/tcp") == names("expose=80") == names("expose=7001/udp") == "one"
    assert names("publish=80") == names("publish=18080/udp") == names("expose=7001") == ""
    assert "publish" in host.refuses("ps", "--filter", "publish=http", status=1)


def test_images_can_be_filtered_by_the_age_of_another(host, folder):
    (folder / "empty").mkdir()
    host.ok("import", folder / "empty", "new:1")

    def names(text):
        return host.ok("images", "--format", "{{.Repository}}", "--filter", text)
    assert "new" in names(f"since={IMAGE}") and names(f"before={IMAGE}") == ""
    assert "busybox" in names("before=new:1") and names("since=new:1") == ""
    assert "nosuch" in host.refuses("images", "--filter", "since=nosuch", status=1)


def test_networks_can_be_filtered_by_their_type(host):
    host.ok("network", "create", "back")
    assert host.ok("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom") == "back"
    assert host.ok("network", "ls", "--format", "{{.Name}}", "--filter", "type=builtin") == "default"


@pytest.mark.core
def test_events_have_docker_fields_and_refuse_what_they_do_not_know(host):
    create(host, "--name", "one", IMAGE)

    def events(*words):
        return ("events", "--since", "10m", "--until", "0s", "--filter", "event=create", *words)
    assert host.ok(*events("--format", "{{.Status}} {{.From}} {{.Scope}}")) == f"create {IMAGE} local"
    assert "nosuch" in host.refuses(*events("--format", "{{.nosuch}}"), status=1)
    assert "bogus" in host.refuses(*events("--filter", "bogus=1"), status=1)


# ---- Options ----

def test_one_stream_can_be_attached_alone(host):
    words = (IMAGE, "sh", "-c", "echo out; echo err >&2")
    done = host("run", "--rm", "--network", "none", "-a", "stdout", *words)
    assert (done.stdout, done.stderr) == ("out\n", "")
    done = host("run", "--rm", "--network", "none", "--attach", "stderr", *words)
    assert (done.stdout, done.stderr) == ("", "err\n")
    create(host, "-a", "stdin", "-a", "stdout", IMAGE)
    assert "--attach" in host.refuses("run", "-a", "nosuch", *words, status=125)
    assert "--detach" in host.refuses("run", "-d", "-a", "stdout", *words, status=125)


def test_pull_platform_and_quiet_mean_what_they_can(host):
    for words in (("--pull", "missing"), ("--pull", "never", "-q"), ("--platform", "linux"), ("--quiet",)):
        create(host, *words, IMAGE)
    assert "registries" in host.refuses("create", "--pull", "always", IMAGE, status=125)
    assert "linux/mips" in host.refuses("run", "--platform", "linux/mips", IMAGE, "true", status=125)
    assert "onggi/base" in host.refuses("run", "--pull", "never", "onggi/base", "true", status=125)


def test_logs_tell_the_details_that_were_asked_for(host):
    host("run", "--network", "none", "--name", "one", "--label", "tier=web", "-e", "A=1", "--log-opt", "labels=tier,no",
         "--log-opt", "env=A", IMAGE, "echo", "hello")
    assert host.ok("logs", "--details", "one") == "tier=web,A=1 hello"
    assert host.ok("logs", "one") == "hello"


def test_an_image_that_is_gone_is_no_failure_of_rmi_with_force(host):
    assert "nosuch" in host("rmi", "-f", "nosuch").stderr
    assert host("rmi", "-f", "nosuch").returncode == 0
    host.refuses("rmi", "nosuch", status=1)


# ---- inspect ----

def test_inspect_tells_what_was_asked_for_in_docker_words(host):
    create(host, "--name", "one", "-p", "127.0.0.1:18080:80", "-p", "9000-9001", "--expose", "53/udp", "--device", "/dev/null:/dev/zz:r",
           "--device-read-bps", "/dev/null:1m", "--tmpfs", "/scratch:size=1m", "--group-add", "7", "--log-opt", "max-file=2", IMAGE)
    instance, = host.json("inspect", "one")
    assert sorted(instance["Config"]["ExposedPorts"]) == ["53/udp", "80/tcp", "9000/tcp", "9001/tcp"]
    config = instance["HostConfig"]
    assert config["PortBindings"]["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "18080"}]
    assert config["PortBindings"]["9001/tcp"] == [{"HostIp": "", "HostPort": ""}]
    assert config["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/zz", "CgroupPermissions": "r"}]
    assert config["BlkioDeviceReadBps"] == [{"Path": "/dev/null", "Rate": 1 << 20}] and config["BlkioDeviceWriteIOps"] == []
    assert config["Tmpfs"] == {"/scratch": "size=1m"} and config["GroupAdd"] == ["7"] and config["CgroupParent"] == ""
    assert config["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "2"}}


@pytest.mark.core
def test_inspect_of_what_runs_names_its_network_by_id_and_the_hosts_address(host):
    host.ok("run", "-d", "--name", "one", "-p", "18080:80", IMAGE, *SLEEP)
    settings = host.json("inspect", "one")[0]["NetworkSettings"]
    assert settings["Networks"]["default"]["NetworkID"] == host.ok("network", "ls", "-q", "--no-trunc", "--filter", "name=default")
    assert settings["Ports"]["80/tcp"][0] == {"HostIp": "0.0.0.0", "HostPort": "18080"}


# ---- What is refused, and how ----

def test_a_device_under_another_name_goes_into_a_user_namespace(host):
    script = "echo x > /dev/zz && stat -c %t,%T /dev/zz"
    assert host.ok("run", "--rm", "--network", "none", "--userns", "auto", "--device", "/dev/null:/dev/zz", IMAGE, "sh", "-c",
                   script) == "1,3"


@pytest.mark.parametrize("words", [("--dns", "bogus"), ("--dns-search", "a\nnameserver 6.6.6.6"), ("--dns-option", "a\nb"),
                                   ("--add-host", "a\tb:127.0.0.1"), ("--network-alias", "a\nb"), ("--cpus", "9999")])
def test_what_would_be_written_into_files_or_cannot_be_is_checked(host, words):
    assert words[0] in host.refuses("create", *words, IMAGE, status=125).replace("\n", " ")


def test_a_relative_folder_needs_its_dot(host, folder):
    (folder / "p").mkdir()
    (folder / "p" / "file").write_text("here\n")
    assert "./p/q" in host.refuses("create", "-v", "p/q:/x", IMAGE, status=125, cwd=folder)
    assert not (folder / "p" / "q").exists()
    assert host.ok("run", "--rm", "--network", "none", "-v", "./p:/x", IMAGE, "cat", "/x/file", cwd=folder) == "here"


def test_top_passes_on_what_ps_says_first(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", IMAGE, *SLEEP)
    assert "bogus" in host.refuses("top", "one", "-o", "bogus", status=1)


def test_only_volume_prune_with_all_takes_named_volumes(host):
    host.ok("volume", "create", "kept")
    create(host, "-v", "/data", "--name", "one", IMAGE)
    host.ok("rm", "one")
    assert len(host.ok("volume", "ls", "-q").splitlines()) == 2
    host.ok("system", "prune", "--force", "--all", "--volumes")
    assert host.ok("volume", "ls", "-q") == "kept"
    host.ok("volume", "prune", "--force")
    assert host.ok("volume", "ls", "-q") == "kept"
    host.ok("volume", "prune", "--force", "--all")
    assert host.ok("volume", "ls", "-q") == ""


def test_pruning_networks_speaks_of_no_space(host):
    host.ok("network", "create", "back")
    text = host.ok("network", "prune", "--force")
    assert "back" in text and "space" not in text


def test_archives_commands_speak_under_the_name_that_was_typed(host):
    assert host.ok("import", "--help").startswith("usage: onggi import ")
    text = host.refuses("import", status=2)
    assert text.startswith("onggi: import") and "onggi import --help" in text
    assert host.refuses("load", "-i", "/nosuch", status=1).startswith("onggi: ")
