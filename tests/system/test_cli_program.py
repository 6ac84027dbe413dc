# SPDX-License-Identifier: GPL-2.0-or-later
"""The program onggi itself: help, errors, exit statuses, completion, manual pages. Nothing here needs a container."""
import json
import subprocess

import pytest

from support import programs

RUN_LIKE = ("run", "create", "exec")


@pytest.fixture(name="plain")
def fixture_plain(sanitizer_reports):
    return programs.Caller(programs.program("onggi"), [])


def commands(plain):
    """The names that the help lists."""
    return [line.split()[0] for line in plain.ok().splitlines() if line.startswith("  ") and not line.startswith("   ")]


@pytest.mark.core
def test_without_a_command_the_help_lists_what_docker_users_look_for(plain):
    listed = commands(plain)
    for name in ("run create start stop restart kill rm ps logs exec attach wait inspect stats top pause unpause update rename port "
                 "events images tag rmi import load save container image network volume system doctor help version").split():
        assert name in listed


@pytest.mark.core
def test_each_command_has_help(plain):
    for name in commands(plain):
        text = plain.ok("help", name)
        assert text.startswith("usage: onggi ")
        if name not in ("import", "load", "save"):  # these have their options in another program
            assert plain.ok(name, "--help") == text


@pytest.mark.core
def test_help_of_a_group_and_of_its_command(plain):
    assert "inspect" in plain.ok("network")
    assert plain.ok("network", "create", "--help") == plain.ok("help", "network", "create")
    assert plain.ok("image", "ls", "--help").splitlines()[2:] == plain.ok("images", "--help").splitlines()[2:]


@pytest.mark.core
@pytest.mark.parametrize("typed, meant", [("rnu", "run"), ("imges", "images"), ("inspct", "inspect"), ("strat", "start")])
def test_a_mistyped_command_is_answered_with_what_was_meant(plain, typed, meant):
    assert f'did you mean "{meant}"?' in plain.refuses(typed, status=2)


@pytest.mark.core
def test_a_mistyped_command_of_a_group(plain):
    assert 'did you mean "network create"?' in plain.refuses("network", "craete", status=2)


@pytest.mark.core
def test_what_is_like_no_command_is_answered_with_where_to_look(plain):
    assert "`onggi help`" in plain.refuses("zzzzzz", status=2)


@pytest.mark.core
@pytest.mark.parametrize("words", [("ps", "--nosuch"), ("--nosuch", "ps"), ("version", "operand"), ("tag", "one"), ("stop",),
                                   ("logs", "--tail"), ("inspect",), ("stop", "-t", "soon", "x")])
def test_misuse_is_one_line_and_status_2(plain, words):
    assert plain.refuses(*words, status=2).startswith("onggi: ")


@pytest.mark.core
@pytest.mark.parametrize("command", RUN_LIKE)
def test_misuse_of_commands_that_return_a_programs_status_is_125(plain, command):
    assert "--nosuch" in plain.refuses(command, "--nosuch", "x", status=125)
    assert "operand" in plain.refuses(command, status=125)


@pytest.mark.core
def test_version_in_all_forms(plain):
    assert plain.ok("version") == plain.ok("--version") == plain.ok("-v")
    version = plain.ok("version", "--format", "{{.Version}}")
    assert plain.ok("version") == f"onggi {version}"
    assert json.loads(plain.ok("version", "--format", "json"))["Version"] == version


@pytest.mark.core
def test_a_template_that_does_not_fit_is_refused(plain):
    assert "Nmae" in plain.refuses("version", "--format", "{{.Nmae}}", status=1)
    assert "closing" in plain.refuses("version", "--format", "{{.Version", status=1)


@pytest.mark.core
def test_output_that_cannot_be_written_is_a_failure(plain):
    with open("/dev/full", "w") as full:
        done = plain("help", stdout=full)
    assert done.returncode == 1 and "cannot write the output" in done.stderr


def test_starting_takes_no_longer_than_a_few_other_programs(plain):
    """A guard against heavy libraries: the loader's work is most of the time that `onggi version` takes."""
    libraries = subprocess.run(["ldd", plain.path], capture_output=True, text=True, check=True).stdout
    names = {line.split(".so")[0].split("/")[-1].strip() for line in libraries.splitlines() if ".so" in line}
    names = {name for name in names if not name.startswith(("linux-vdso", "ld-linux", "libasan", "libubsan"))}
    if any("libasan" in line for line in libraries.splitlines()):
        pytest.skip("sanitized programs link more")
    assert names <= {"libc", "libjansson", "libm", "libnettle", "libmnl", "libnftnl"}


# ---- Completion ----

def complete(plain, *words):
    return plain.ok("__complete", *words).splitlines()


@pytest.mark.core
def test_completion_of_commands_and_of_groups(plain):
    assert complete(plain, "un") == ["unpause"]
    assert complete(plain, "network", "c") == ["connect", "create"]
    assert "__complete" not in complete(plain, "")


@pytest.mark.core
def test_completion_of_options_ends_where_the_programs_own_begin(plain):
    assert "--memory-swap" in complete(plain, "run", "--mem")
    assert complete(plain, "run", "--name", "x", "--tt") == ["--tty"]
    assert complete(plain, "run", "image", "--mem") == []


@pytest.mark.core
def test_completion_offers_no_operands_where_a_value_is_due(plain):
    assert complete(plain, "run", "--name", "") == []
    assert complete(plain, "run", "-e", "") == []


@pytest.mark.core
def test_completion_of_nonsense_is_nothing(plain):
    assert complete(plain, "nosuch", "x") == []
    assert complete(plain, "--root") == ["--root"]


def test_bash_completes_a_command(plain):
    script = programs.REPOSITORY / "completion/onggi.bash"
    done = subprocess.run(["bash", "-c", f'''
        PATH={plain.path.rsplit("/", 1)[0]}:$PATH; . {script}
        COMP_WORDS=(onggi run --detach-k); COMP_CWORD=2; _onggi onggi; printf '%s\\n' "${{COMPREPLY[@]}}"'''],
                          capture_output=True, text=True, check=True)
    assert done.stdout == "--detach-keys\n"


# ---- Manual pages ----

def test_every_command_has_a_manual_page_that_the_build_makes(plain, folder):
    plain.ok("help", "--man", folder)
    made = {path.name for path in folder.glob("*.1")}
    assert made == {f"onggi-{name}.1" for name in commands(plain)}
    meson = (programs.REPOSITORY / "src/cli/meson.build").read_text()
    for page in made:
        assert f"'{page[len('onggi-'):-len('.1')]}'" in meson


def test_manual_pages_tell_options_and_commands(plain, folder):
    plain.ok("help", "--man", folder)
    run = (folder / "onggi-run.1").read_text()
    assert "\\-\\-memory\\-swap" in run and run.startswith(".TH ONGGI\\-RUN 1")
    assert ".SS network create" in (folder / "onggi-network.1").read_text()
