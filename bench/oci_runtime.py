# SPDX-License-Identifier: GPL-2.0-or-later
"""onggi-runtime beside crun and runc, called as an engine calls them, and the kernel's floor."""
import shutil
import statistics
import subprocess

from common import Goal, Stopwatch, bench_bundle, bundles, number, programs, seccomp_of, table, verdict, version

PEERS = {"crun": "/usr/bin/crun", "runc": "/usr/sbin/runc"}


class Bench:
    def __init__(self, folder, rounds):
        self.folder, self.rounds = folder, rounds
        self.root = bundles.make_root(folder / "root")
        self.runtimes = {"onggi": str(programs.program("onggi-runtime")),
                         **{name: path for name, path in PEERS.items() if shutil.which(path)}}
        self.floor = programs.build_folder() / "bench/floor"

    def call(self, name, *words):
        return [self.runtimes[name], "--root", self.folder / f"state-{name}", *words]

    def runs(self, network):
        """`run` of a static true; the same bundle for all."""
        label = "full" if network else "nonet"
        bundle = bench_bundle(self.folder / label, self.root, "/bin/true", network=network)
        overlay = self.folder / f"overlay-{label}"
        bundles.make_root(overlay / "lower")
        for name in ("upper", "work", "merged"):
            (overlay / name).mkdir()
        watch = Stopwatch()
        for name in self.runtimes:
            watch.time(name, *self.call(name, "run", "--bundle", bundle, f"bench-{name}"))
        watch.time("floor", self.floor, label, overlay)
        watch.time("spawn", "/bin/busybox", "true")
        return watch.run(self.rounds)

    def creates(self):
        """create with the engines' seccomp profile; start and delete are timed beside it."""
        bundle = bench_bundle(self.folder / "seccomp", self.root, "/bin/true", seccomp=seccomp_of())
        watch = Stopwatch()
        for name in self.runtimes:
            pid = self.folder / f"pid-{name}"
            watch.time(f"create {name}", *self.call(name, "create", "--pid-file", pid, "--bundle", bundle, f"bench-{name}"))
            watch.time(f"start {name}", *self.call(name, "start", f"bench-{name}"))
            watch.gone(pid)
            watch.time(f"delete {name}", *self.call(name, "delete", f"bench-{name}"))
        return watch.run(self.rounds)

    def execs(self):
        bundle = bench_bundle(self.folder / "sleep", self.root, "/bin/sleep", "1000000")
        watch = Stopwatch()
        started = []
        try:
            for name in self.runtimes:
                subprocess.run(self.call(name, "create", "--bundle", bundle, f"bench-{name}"), check=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                started.append(name)
                subprocess.run(self.call(name, "start", f"bench-{name}"), check=True)
                watch.time(name, *self.call(name, "exec", f"bench-{name}", "/bin/true"))
            return watch.run(self.rounds)
        finally:
            for name in started:
                subprocess.run(self.call(name, "delete", "--force", f"bench-{name}"), check=True)

    def runs_within(self, name, kilobytes, tries=5):
        bundle = self.folder / "limit"
        shutil.rmtree(bundle, ignore_errors=True)
        made = bench_bundle(bundle, self.root, "/bin/true", limit=kilobytes * 1024)
        for _ in range(tries):
            try:
                done = subprocess.run(self.call(name, "run", "--bundle", made, f"limit-{name}"), capture_output=True, timeout=20,
                                      stdin=subprocess.DEVNULL, check=False)
            except subprocess.TimeoutExpired:
                done = None
            if not done or done.returncode:
                subprocess.run(self.call(name, "delete", "--force", f"limit-{name}"), capture_output=True, check=False)
                return False
        return True

    def least_limit(self, name, step=32):
        """KiB, to within `step`: the smallest limit with which five of five runs succeed."""
        low, high = 0, 32768
        if not self.runs_within(name, high):
            return None
        while high - low > step:
            middle = (low + high) // 2
            low, high = (low, middle) if self.runs_within(name, middle) else (middle, high)
        return high


def run(folder, rounds):
    bench = Bench(folder, rounds)
    rows = []

    def line(what, own, crun, runc, floor, goal, digits=2):
        reference = {"crun": crun, "floor": floor}[goal.of]
        aim_reference = floor if what == "run, no network namespace" else reference
        if own is None or reference is None:
            told = "not measured"
        elif goal.aim is not None and aim_reference and own / aim_reference <= goal.aim:
            told = "aim reached"
        else:
            told = verdict(own, reference, Goal(goal.must))
        aim = "" if goal.aim is None else f"{goal.aim:g} x " + ("floor" if aim_reference is not reference else goal.of)
        rows.append([what, number(runc, digits), number(crun, digits), number(own, digits), number(floor, digits),
                     number(own / crun if crun and own is not None else None), number(own / floor if floor else None),
                     f"{goal.must:g} x {goal.of}", aim, told])

    full, nonet, created, executed = bench.runs(True), bench.runs(False), bench.creates(), bench.execs()
    line("run, all namespaces", full.median("onggi"), full.median("crun"), full.median("runc"), full.median("floor"), Goal(0.5, 0.3))
    line("run, no network namespace", nonet.median("onggi"), nonet.median("crun"), nonet.median("runc"), nonet.median("floor"), Goal(0.5, 2))
    for figure, goal in (("create", Goal(0.4, 0.2)), ("start", Goal(1)), ("delete", Goal(1))):
        line(f"{figure}, engines' seccomp profile", *(created.median(f"{figure} {name}") for name in ("onggi", "crun", "runc")), None, goal)
    line("exec", executed.median("onggi"), executed.median("crun"), executed.median("runc"), full.median("spawn"), Goal(0.6, 0.3))
    table(f"OCI runtimes: milliseconds, medians of {rounds}, taking turns ({', '.join(version(path) for path in bench.runtimes.values())})",
          ["what", "runc", "crun", "onggi", "floor", "/crun", "/floor", "must reach", "aim", "verdict"], rows)
    print("\nfloor: clone3 with the same namespaces, overlay, pivot_root, proc, tmpfs, exec, wait; of exec: spawn of a static true "
          f"({number(full.median('spawn'))} ms). The figures contain the start of the measured command itself.")

    rows.clear()
    peak = {name: statistics.median(full.memory[name]) for name in bench.runtimes}
    line("peak resident memory", peak["onggi"], peak.get("crun"), peak.get("runc"), None, Goal(1, 0.5), 0)
    least = {name: bench.least_limit(name) for name in bench.runtimes}
    line("least memory limit that runs true", least["onggi"], least.get("crun"), least.get("runc"), None, Goal(1, 0.5), 0)
    table("OCI runtimes: KiB", ["what", "runc", "crun", "onggi", "floor", "/crun", "/floor", "must reach", "aim", "verdict"], rows)
