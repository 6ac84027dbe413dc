# SPDX-License-Identifier: GPL-2.0-or-later
"""Many commands at the same time: nothing is lost, nothing is mixed up, nothing stays behind."""
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

BASE = "onggi/base"
MANY = 200
AT_ONCE = 32


def all_of(work, items, workers=AT_ONCE):
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, items))


@pytest.mark.slow
def test_two_hundred_create_start_and_rm_commands_lose_nothing(onggi, private_host, no_leaks):
    """Each instance by three commands of their own, dozens of commands at any time."""
    def live(number):
        created = onggi("create", "--network", "none", "--name", f"jar-{number}", BASE, "sh", "-c", f"echo {number}; exit {number % 100}",
                        timeout=300)
        started = onggi("start", "--attach", f"jar-{number}", timeout=300)
        removed = onggi("rm", f"jar-{number}", timeout=300)
        return created, started, removed

    results = all_of(live, range(MANY))
    assert [done.stderr for create, _, _ in results for done in [create] if done.returncode] == []
    assert [(start.stdout, start.returncode) for _, start, _ in results] == [(f"{number}\n", number % 100) for number in range(MANY)]
    assert [done.stderr for _, _, remove in results for done in [remove] if done.returncode] == []
    assert len({create.stdout for create, _, _ in results}) == MANY
    assert onggi.ok("ps", "--all", "--quiet") == ""
    onggi.ok("system", "prune", "--force")


@pytest.mark.slow
def test_two_hundred_commands_of_all_kinds_at_once(onggi, private_host, no_leaks):
    """create, start and rm of the same ten names from everywhere: each answer is success or a refusal, and the end is clean."""
    kinds = itertools.cycle([
        lambda name: onggi("create", "--name", name, BASE, "sleep", "1000", timeout=300),
        lambda name: onggi("start", name, timeout=300),
        lambda name: onggi("rm", "--force", name, timeout=300),
        lambda name: onggi("ps", "--all", timeout=300),
    ])
    jobs = [(kind, f"jar-{number % 10}") for number, kind in zip(range(MANY), kinds)]
    results = all_of(lambda job: job[0](job[1]), jobs)
    for done in results:
        assert done.returncode in (0, 1, 125), done
        assert done.returncode == 0 or len(done.stderr.strip().splitlines()) == 1, done
    names = onggi.ok("ps", "--all", "--format", "{{.Names}}").split()
    assert len(names) == len(set(names))
    for name in names:
        onggi.ok("inspect", name)
    if names:
        onggi.ok("rm", "--force", *names)
    assert onggi.ok("ps", "--all", "--quiet") == ""


@pytest.mark.slow
def test_one_name_for_many_creators_has_one_winner(onggi, no_leaks):
    results = all_of(lambda _: onggi("create", "--name", "only", BASE, "true", timeout=300), range(40))
    winners = [done for done in results if done.returncode == 0]
    assert len(winners) == 1
    assert all("only" in done.stderr for done in results if done.returncode)
    assert onggi.ok("ps", "--all", "--quiet", "--no-trunc").split() == [winners[0].stdout.strip()]


@pytest.mark.slow
def test_many_on_one_bridge_have_addresses_of_their_own(onggi, private_host, no_leaks):
    def start(number):
        return onggi("run", "--detach", "--name", f"jar-{number}", BASE, "sleep", "1000", timeout=300)

    assert [done.stderr for done in all_of(start, range(60)) if done.returncode] == []
    addresses = onggi.ok("inspect", "--format", "{{.NetworkSettings.IPAddress}}", *(f"jar-{number}" for number in range(60))).split()
    assert len(set(addresses)) == 60
    assert onggi("exec", "jar-0", "ping", "-c", "1", "-W", "2", "jar-59").returncode == 0
    all_of(lambda number: onggi.ok("rm", "--force", f"jar-{number}", timeout=300), range(60))


@pytest.mark.slow
def test_load_and_remove_of_one_image_from_many_sides(onggi, docker_archive, no_leaks):
    def work(number):
        if number % 4 == 3:
            return onggi("rmi", "localhost/busybox:test", timeout=300)
        return onggi("load", "--input", docker_archive, timeout=300)

    results = all_of(work, range(60), 16)
    assert [done.stderr for number, done in enumerate(results) if number % 4 != 3 and done.returncode] == []
    onggi.ok("load", "--input", docker_archive)
    assert onggi.ok("run", "--rm", "--network", "none", "localhost/busybox:test", "echo", "whole") == "whole"


def test_container_that_is_killed_from_outside_is_seen_as_exited(onggi, no_leaks):
    onggi.ok("run", "--detach", "--name", "victim", "--network", "none", BASE, "sleep", "1000")
    pid = int(onggi.ok("inspect", "--format", "{{.State.Pid}}", "victim"))
    os.kill(pid, 9)
    assert onggi.ok("wait", "victim") == "137"
    onggi.ok("rm", "victim")
