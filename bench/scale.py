# SPDX-License-Identifier: GPL-2.0-or-later
"""How many containers a second two workers start, and how start time and memory grow with the number of live ones."""
import concurrent.futures
import os
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from common import Goal, Stopwatch, bench_bundle, bundles, leaks, number, programs, table, verdict
from support.vault import Vault

TRUE = ("run", "--rm", "--network", "none", "onggi/base", "true")
OWN = ("onggi-monitor", "onggi-runtime", "onggi-reaper", "onggi-finish", "onggi")


def pss(pid):
    """KiB of the process' share of memory: private pages, and its part of shared ones."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))


def own_memory():
    """KiB that our own processes hold now; the contained programs are not ours."""
    total = 0
    for pid in leaks.descendants():
        try:
            name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        except OSError:
            continue
        if name in OWN:
            total += pss(pid)
    return total


class Scale:
    def __init__(self, vault, folder):
        self.vault = vault
        self.environment = dict(os.environ, ONGGI_ROOT=str(folder / "onggi"), ONGGI_STATE="/run/onggi-bench")
        self.onggi = programs.program("onggi")
        self.live = 0

    def call(self, *words):
        subprocess.run(self.vault.command(self.onggi, *words), check=True, env=self.environment, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)

    def start(self):
        self.live += 1
        self.call("run", "--detach", "--network", "none", "--name", f"live-{self.live}", "onggi/base", "sleep", "1000000")

    def remove_all(self):
        names = [f"live-{number}" for number in range(1, self.live + 1)]
        for first in range(0, len(names), 100):
            self.call("rm", "--force", *names[first:first + 100])

    def grow_to(self, count):
        while self.live < count:
            self.start()

    def start_times(self, rounds):
        """Milliseconds of `run --rm … true` with what is live now."""
        watch = Stopwatch()
        watch.time("start", *self.vault.command(self.onggi, *TRUE))
        return watch.run(rounds, self.environment)["start"]


def per_second(commands, rounds, environment):
    """Workers, one a command, each run theirs `rounds` times; containers a second of all together."""
    watches = []
    for command in commands:
        watches.append(Stopwatch())
        watches[-1].time("run", *command)
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(watches)) as pool:
        list(pool.map(lambda watch: watch.run(rounds, environment), watches))
    return rounds * len(watches) / (time.monotonic() - started)


def throughput(scale, folder, rounds):
    """Rows of [command, with one worker, with two]."""
    bundle = bench_bundle(folder / "bundle", bundles.make_root(folder / "busybox"), "/bin/true")
    runtimes = {"onggi-runtime run": programs.program("onggi-runtime"), "crun run": shutil.which("crun"),
                "runc run": shutil.which("runc")}
    commands = {"onggi run --rm --network none onggi/base true": lambda worker: scale.vault.command(scale.onggi, *TRUE)}
    for name, path in runtimes.items():
        if path:
            commands[name] = lambda worker, path=path: [path, "--root", folder / f"state-{Path(path).name}", "run", "--bundle",
                                                        bundle, f"bench-{worker}"]
    return [[name, *(number(per_second([command(worker) for worker in range(workers)], rounds, scale.environment), 1)
                     for workers in (1, 2))] for name, command in commands.items()]


def run(folder, rounds):
    vault = Vault()
    scale = Scale(vault, folder)
    try:
        scale.call(*TRUE)
        table("Containers run from start to end, per second", ["command", "1 worker", "2 workers"], throughput(scale, folder, rounds))
        rows, first = [], None
        for count in (10, 100, 1000):
            scale.grow_to(count)
            start = statistics.median(scale.start_times(min(rounds, 100)))
            memory = own_memory() / count
            first = first or start
            rows.append([count, number(start), number(start / first), verdict(start, first, Goal(1.5)),
                         number(memory, 0), verdict(memory, 1024, Goal(1))])
        table(f"With live containers: start in ms (median of {min(rounds, 100)}; at most 1.5 x that at 10), own memory in KiB PSS each (at most 1024)",
              ["live", "start", "/10", "verdict", "memory", "verdict"], rows)
    finally:
        scale.remove_all()
        vault.close()
