# SPDX-License-Identifier: GPL-2.0-or-later
"""The instance commands: what they print, what they accept, and their exit statuses. What happens inside is tested elsewhere."""
import json
import re
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.root

IMAGE = "localhost/busybox:test"
SLEEP = ("sleep", "1000")


@pytest.fixture(name="host")
def fixture_host(onggi, docker_archive):
    """An onggi with an image."""
    onggi.ok("load", "--quiet", "--input", docker_archive)
    return onggi


@pytest.fixture(name="web")
def fixture_web(host):
    """… and with a running instance called web, without a network."""
    host.ok("run", "-d", "--network", "none", "--name", "web", IMAGE, *SLEEP)
    return host


def run(host, *words, **settings):
    return host("run", "--rm", "--network", "none", *words, **settings)


# ---- run, create, start ----

@pytest.mark.core
def test_run_passes_output_and_exit_status_on(host):
    done = run(host, IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_run_returns_128_and_the_signal_that_ended_the_program(host):
    process = host.popen("run", "--rm", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "echo ready; exec sleep 1000",
                         stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    host.ok("kill", "one")
    assert process.wait(30) == 137


@pytest.mark.core
@pytest.mark.parametrize("words, status", [((IMAGE, "/nosuch"), 127), ((IMAGE, "nosuch"), 127), ((IMAGE, "/etc/passwd"), 126),
                                           (("nosuch:image",), 125), (("--memory", "1", IMAGE), 125)])
def test_run_says_who_failed_by_its_exit_status(host, words, status):
    host.refuses("run", "--rm", "--network", "none", *words, status=status)


def test_options_after_the_image_belong_to_the_program(host):
    assert run(host, IMAGE, "echo", "--rm", "-d", "--help").stdout == "--rm -d --help\n"


def test_run_detached_prints_the_id_alone(host):
    identity = host.ok("run", "-d", "--network", "none", IMAGE, *SLEEP)
    assert re.fullmatch("[0-9a-f]{64}", identity)
    assert host.ok("ps", "-q", "--no-trunc") == identity


def test_run_passes_standard_input_on_when_asked(host):
    assert run(host, "-i", IMAGE, "cat", input="hello").stdout == "hello"
    assert run(host, IMAGE, "cat", input="hello").stdout == ""


def test_it_without_a_terminal_is_refused_with_advice(host):
    assert "terminal" in host.refuses("run", "-it", "--rm", IMAGE, "true", status=125)


def test_environment_user_folder_and_host_name_reach_the_program(host, folder):
    (folder / "env").write_text("# comment\nC=3\nFROM_HERE\n")
    done = run(host, "-e", "A=1", "--env", "B", "--env-file", folder / "env", "-w", "/tmp", "-u", "1000:1000", "-h", "box", IMAGE,
               "sh", "-c", "echo $A $B $C $FROM_HERE; pwd; id -u; id -g; hostname", env={"B": "2", "FROM_HERE": "4"})
    assert done.stdout.split() == ["1", "2", "3", "4", "/tmp", "1000", "1000", "box"], done.stderr


def test_entrypoint_replaces_the_images(host):
    assert run(host, "--entrypoint", "/bin/echo", IMAGE, "x", "y").stdout == "x y\n"


def test_create_then_start_then_wait(host):
    identity = host.ok("create", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "exit 3")
    assert host.ok("ps", "-a", "--format", "{{.Names}} {{.State}}") == "one created"
    assert host.ok("start", "one") == "one"
    assert host.ok("wait", "one") == "3"
    assert host.ok("inspect", "-f", "{{.Id}} {{.State.ExitCode}}", "one") == f"{identity} 3"


def test_start_attached_returns_the_programs_status(host):
    host.ok("create", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "echo hello; exit 3")
    done = host("start", "--attach", "one")
    assert (done.returncode, done.stdout) == (3, "hello\n")


def test_a_name_in_use_is_refused(web):
    assert "web" in web.refuses("create", "--name", "web", IMAGE, status=125)


def test_the_id_can_be_written_to_a_file_once(host, folder):
    host.ok("create", "--network", "none", "--cidfile", folder / "id", IMAGE)
    assert (folder / "id").read_text().strip() == host.ok("ps", "-aq", "--no-trunc")
    host.refuses("create", "--network", "none", "--cidfile", folder / "id", IMAGE, status=125)


# ---- ps, inspect, logs ----

@pytest.mark.core
def test_ps_shows_docker_columns_and_what_runs(web):
    web.ok("create", "--network", "none", "--name", "still", IMAGE)
    titles, row = web.ok("ps").splitlines()
    assert titles.split("   ")[0] == "INSTANCE ID" and titles.endswith("NAMES")
    assert row.endswith("web") and "Up " in row and '"sleep 1000"' in row
    assert sorted(web.ok("ps", "-a", "--format", "{{.Names}}").split()) == ["still", "web"]


def test_ps_prints_json_templates_and_tables_of_templates(web):
    row = json.loads(web.ok("ps", "--format", "json"))
    assert row["Names"] == "web" and row["State"] == "running" and row["Image"] == IMAGE
    assert web.ok("ps", "--format", "{{.Names}}={{.State | upper}}") == "web=RUNNING"
    assert web.ok("ps", "--format", "table {{.Names}}\\t{{.State}}").splitlines() == ["NAMES   STATE", "web     running"]


@pytest.mark.parametrize("words, names", [(("--filter", "name=one"), "one"), (("--filter", "label=a=2"), "two"),
                                          (("-n", "1"), "two"), (("-l",), "two"), (("--filter", "status=running"), ""),
                                          (("--filter", f"ancestor={IMAGE}"), "one two")])
def test_ps_filters(host, words, names):
    host.ok("create", "--network", "none", "--name", "one", "--label", "a=1", IMAGE)
    host.ok("create", "--network", "none", "--name", "two", "--label", "a=2", IMAGE)
    assert sorted(host.ok("ps", "-a", "--format", "{{.Names}}", *words).split()) == names.split()


def test_an_unknown_filter_is_refused(host):
    assert "nosuch" in host.refuses("ps", "--filter", "nosuch=1", status=1)


def test_inspect_prints_docker_objects_and_templates(web):
    instance, = web.json("inspect", "web")
    assert instance["Name"] == "/web" and instance["State"]["Status"] == "running" and instance["State"]["Running"]
    assert instance["Config"]["Cmd"] == list(SLEEP)
    assert web.ok("inspect", "-f", "{{.State.Status}} {{json .Config.Cmd}}", "web") == 'running ["sleep","1000"]'
    assert web.ok("inspect", "-f", "{{if .State.Health}}sick{{else}}none{{end}}", "web") == "none"
    assert web.ok("container", "inspect", "-f", "{{.Id}}", instance["Id"][:6]) == instance["Id"]


@pytest.mark.parametrize("words", [("start", "x"), ("stop", "x"), ("restart", "x"), ("kill", "x"), ("rm", "x"), ("logs", "x"),
                                   ("exec", "x", "true"), ("attach", "x"), ("wait", "x"), ("stats", "--no-stream", "x"),
                                   ("top", "x"), ("pause", "x"), ("unpause", "x"), ("update", "--memory", "64m", "x"),
                                   ("rename", "x", "y"), ("port", "x")])
def test_an_unknown_instance_is_one_line(host, words):
    status = 125 if words[0] == "exec" else 1
    assert "x" in host.refuses(*words, status=status)


def test_logs_keep_the_two_streams_apart(host):
    host.ok("create", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "echo a; echo b >&2; echo c")
    host.ok("start", "one")
    host.ok("wait", "one")
    done = host("logs", "one")
    assert (done.stdout, done.stderr) == ("a\nc\n", "b\n")


def test_logs_show_the_last_lines_times_and_what_was_until(host):
    host.ok("create", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "echo a; echo c")
    host.ok("start", "one")
    host.ok("wait", "one")
    assert host("logs", "--tail", "1", "one").stdout == "c\n"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z c\n", host("logs", "-t", "-n", "1", "one").stdout)
    assert host("logs", "--until", "1h", "one").stdout == ""
    assert "--tail" in host.refuses("logs", "--tail", "few", "one", status=1)
    assert "--since" in host.refuses("logs", "--since", "yesterday", "one", status=1)


def test_logs_follow_until_the_end(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", IMAGE, "sh", "-c", "echo first; read x; echo last", )
    done = host("logs", "-f", "one")
    assert done.stdout == "first\nlast\n"


# ---- exec, top, stats, port, events ----

@pytest.mark.core
def test_exec_returns_the_programs_own_exit_status(web):
    done = web("exec", "web", "sh", "-c", "echo in; exit 9")
    assert (done.returncode, done.stdout) == (9, "in\n")


@pytest.mark.parametrize("words, status", [(("web", "/nosuch"), 127), (("web", "/etc/passwd"), 126), (("nosuch", "true"), 125)])
def test_exec_says_who_failed(web, words, status):
    web.refuses("exec", *words, status=status)


def test_exec_takes_environment_user_and_folder(web):
    done = web("exec", "-e", "A=1", "-u", "1000", "-w", "/tmp", "web", "sh", "-c", "echo $A; id -u; pwd")
    assert done.stdout.split() == ["1", "1000", "/tmp"]
    assert web("exec", "-i", "web", "cat", input="x").stdout == "x"


def test_top_lists_the_programs(web):
    titles, *rows = web.ok("top", "web").splitlines()
    assert "PID" in titles and any("sleep 1000" in row for row in rows)


def test_stats_once_prints_a_row_for_each(web):
    titles, row = web.ok("stats", "--no-stream").splitlines()
    assert "MEM USAGE / LIMIT" in titles and "web" in row and "%" in row
    reading = json.loads(web.ok("stats", "--no-stream", "--format", "json", "web"))
    assert reading["Name"] == "web" and reading["PIDs"] == "1"


def test_stats_go_on_until_interrupted(web):
    process = web.popen("stats", "--format", "{{.Name}}", stdout=subprocess.PIPE)
    assert [process.stdout.readline() for _ in range(2)] == ["web\n", "web\n"]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT


def test_port_shows_where_ports_are(host):
    host.ok("run", "-d", "--name", "one", "-p", "127.0.0.1:18080:80", "-p", "127.0.0.1:15353:53/udp", IMAGE, *SLEEP)
    assert sorted(host.ok("port", "one").splitlines()) == ["53/udp -> 127.0.0.1:15353", "80/tcp -> 127.0.0.1:18080"]
    assert host.ok("port", "one", "80") == host.ok("port", "one", "80/tcp") == "127.0.0.1:18080"
    assert "81" in host.refuses("port", "one", "81", status=1)


def test_events_tell_what_happened_since(web):
    web.ok("rm", "-f", "web")
    lines = web.ok("events", "--since", "10m", "--until", "0s", "--filter", "container=web").splitlines()
    actions = [line.split()[2] for line in lines]
    assert [action for action in actions if action in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"]
    event = json.loads(web.ok("events", "--since", "10m", "--until", "0s", "--filter", "event=create", "--format", "json"))
    assert event["Action"] == "create" and event["Actor"]["Attributes"]["name"] == "web"
    assert web.ok("events", "--since", "10m", "--until", "0s", "--filter", "event=die", "--format", "{{.Type}}") == "container"
    assert "--since" in web.refuses("events", "--since", "never", status=1)


# ---- network connect and disconnect ----

def networks_of(host, name):
    return sorted(json.loads(host.ok("inspect", "-f", "{{json .NetworkSettings.Networks}}", name)))


def test_a_running_instance_joins_and_leaves_a_network(host):
    host.ok("network", "create", "--subnet", "10.99.7.0/24", "back")
    host.ok("run", "-d", "--name", "one", IMAGE, *SLEEP)
    host.ok("run", "-d", "--name", "two", "--network", "back", IMAGE, *SLEEP)
    assert host("exec", "one", "ping", "-c", "1", "-W", "2", "db").returncode != 0
    host.ok("network", "connect", "--alias", "db", "--ip", "10.99.7.77", "back", "one")
    assert networks_of(host, "one") == ["back", "default"]
    assert "10.99.7.77" in host.ok("exec", "one", "ip", "addr")
    host.ok("exec", "two", "ping", "-c", "1", "-W", "2", "db")
    assert "already" in host.refuses("network", "connect", "back", "one", status=1)
    host.ok("network", "disconnect", "back", "one")
    assert networks_of(host, "one") == ["default"]
    assert "10.99.7.77" not in host.ok("exec", "one", "ip", "addr")


def test_a_connection_outlasts_a_restart_and_so_does_its_end(host):
    host.ok("network", "create", "back")
    host.ok("create", "--name", "one", IMAGE, *SLEEP)
    host.ok("network", "connect", "back", "one")
    host.ok("start", "one")
    assert networks_of(host, "one") == ["back", "default"]
    host.ok("network", "disconnect", "default", "one")
    host.ok("restart", "-t", "0", "one")
    assert networks_of(host, "one") == ["back"]
    host.ok("network", "disconnect", "back", "one")
    host.ok("network", "connect", "default", "one")
    assert networks_of(host, "one") == ["default"]


def test_who_has_no_network_of_his_own_cannot_be_connected(web):
    web.ok("network", "create", "back")
    assert "none" in web.refuses("network", "connect", "back", "web", status=1)
    assert "web" in web.refuses("network", "disconnect", "back", "web", status=1)
    web.ok("create", "--name", "still", IMAGE)
    assert "nosuch" in web.refuses("network", "connect", "nosuch", "still", status=1)
    assert "nosuch" in web.refuses("network", "connect", "back", "nosuch", status=1)


# ---- stop, kill, pause, update, rename, rm, prune ----

def test_stop_prints_the_name_and_takes_its_time_from_t(web):
    begin = time.monotonic()
    assert web.ok("stop", "-t", "0", "web") == "web"
    assert time.monotonic() - begin < 5
    assert web.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web") == "exited 137"
    assert web.ok("restart", "-t", "0", "web") == "web"
    assert web.ok("ps", "-q")


def test_kill_sends_the_signal_that_is_named(host):
    host.ok("run", "-d", "--network", "none", "--name", "one", IMAGE, "sh", "-c",
            "trap 'echo got; exit 5' USR1; sleep 1000 & echo ready; wait")
    follow = host.popen("logs", "-f", "one", stdout=subprocess.PIPE)
    assert follow.stdout.readline() == "ready\n"
    assert host.ok("kill", "-s", "USR1", "one") == "one"
    assert host.ok("wait", "one") == "5"
    assert follow.stdout.read() == "got\n"
    follow.wait(10)
    assert "NOSUCH" in host.refuses("kill", "-s", "NOSUCH", "one", status=1)


def test_pause_and_unpause(web):
    assert web.ok("pause", "web") == "web"
    assert web.ok("ps", "--format", "{{.State}}") == "paused"
    assert web.ok("unpause", "web") == "web"
    assert web.ok("ps", "--format", "{{.State}}") == "running"


def test_update_changes_limits(web):
    assert web.ok("update", "--memory", "64m", "--pids-limit", "20", "web") == "web"
    assert web.ok("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}", "web") == f"{64 << 20} 20"


def test_rename(web):
    web.ok("rename", "web", "site")
    assert web.ok("ps", "--format", "{{.Names}}") == "site"
    assert web.refuses("rename", "site", "in valid", status=1)


def test_rm_refuses_what_runs_unless_forced(web):
    assert "web" in web.refuses("rm", "web", status=1)
    assert web.ok("rm", "-f", "web") == "web"
    assert web.ok("ps", "-aq") == ""


def test_rm_goes_on_after_a_failure_and_force_takes_what_is_gone(web):
    done = web("rm", "--force", "nosuch", "web")
    assert (done.returncode, done.stdout) == (0, "web\n") and "nosuch" in done.stderr
    done = web("rm", "nosuch")
    assert done.returncode == 1


def test_container_prune_removes_what_does_not_run(web):
    identity = web.ok("create", "--network", "none", IMAGE)
    assert identity in web.ok("container", "prune", "--force")
    assert web.ok("ps", "-a", "--format", "{{.Names}}") == "web"


def test_system_prune_removes_instances_networks_and_images(host):
    host.ok("create", "--network", "none", IMAGE)
    host.ok("network", "create", "unused")
    text = host.ok("system", "prune", "--force", "--all")
    assert "Deleted Instances:" in text and "unused" in text and "Total reclaimed space" in text
    assert host.ok("images", "-q") == host.ok("ps", "-aq") == ""


def test_completion_knows_instances(web):
    assert web.ok("__complete", "--root", web.root, "--state", web.state, "stop", "w") == "web"
