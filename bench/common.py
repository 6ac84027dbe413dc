# SPDX-License-Identifier: GPL-2.0-or-later
"""What the measurements share: the place they run in, the stopwatch, and tables."""
import collections
import os
import statistics
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests/system"))

from support import bundle as bundles, leaks, private_host, programs  # noqa: E402 (after the path is known)

# The profile that podman and docker give containers, in the form of the engines' own package; see seccomp_of().
ENGINE_PROFILE = Path("/usr/share/containers/seccomp.json")


class Samples(collections.defaultdict):
    """label -> [milliseconds]; .memory: label -> [KiB]."""

    def __init__(self):
        super().__init__(list)
        self.memory = collections.defaultdict(list)

    def median(self, label):
        return statistics.median(self[label]) if self[label] else None


class Stopwatch:
    """Steps of a plan; see stopwatch.c."""

    def __init__(self, wrap=None):
        self.steps = []
        self.wrap = wrap or (lambda *words: list(words))

    def time(self, label, *words):
        self.steps.append(("time", label, *map(str, words)))

    def do(self, *words):
        self.steps.append(("do", "-", *map(str, words)))

    def gone(self, pid_file):
        self.steps.append(("gone", "-", str(pid_file)))

    def run(self, rounds, environment=None):
        plan = "".join("\t".join(step) + "\n" for step in self.steps)
        done = subprocess.run(self.wrap(programs.build_folder() / "bench/stopwatch", str(rounds)), input=plan, text=True,
                              capture_output=True, env=environment, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        samples = Samples()
        for line in done.stdout.splitlines():
            label, nanoseconds, kilobytes = line.split("\t")
            samples[label].append(int(nanoseconds) / 1e6)
            samples.memory[label].append(int(kilobytes))
        return samples


def seccomp_of(profile=ENGINE_PROFILE):
    """The engines' profile as the linux.seccomp object that an engine makes of it for an ordinary x86-64 container."""
    import json
    source = json.loads(profile.read_text())
    rules = []
    for rule in source["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or includes.get("arches") and "amd64" not in includes["arches"]:
            continue
        if "amd64" in (excludes.get("arches") or []):
            continue
        kept = {key: rule[key] for key in ("names", "action", "errnoRet") if rule.get(key) is not None}
        if rule.get("args"):
            kept["args"] = [{key: value for key, value in argument.items() if value or key in ("index", "value", "op")}
                            for argument in rule["args"]]
        rules.append(kept)
    return {"defaultAction": source["defaultAction"], "syscalls": rules,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]}


class Goal:
    """`must` and `aim` are the largest ratios to, or values beside, what `of` names."""

    def __init__(self, must, aim=None, of="crun"):
        self.must, self.aim, self.of = must, aim, of


def verdict(value, reference, goal):
    if value is None or reference is None:
        return "not measured"
    ratio = value / reference if reference else float("inf")
    if goal.aim is not None and ratio <= goal.aim:
        return "aim reached"
    return "reached" if ratio <= goal.must else "MISSED"


def table(title, header, rows):
    """Prints a Markdown table, aligned for reading."""
    texts = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in texts) for i in range(len(header))]
    print(f"\n### {title}\n")
    for number, row in enumerate(texts):
        print("| " + " | ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|")
    sys.stdout.flush()


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def machine():
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    load = Path("/proc/loadavg").read_text().split()[0]
    return f"{cpu}, {os.cpu_count()} processors, Linux {os.uname().release}, load {load} at the start"


def version(program):
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0] if done.stdout or done.stderr else "?"


def bench_bundle(folder, root, *command, network=True, seccomp=None, limit=None):
    """The bundle that every runtime gets: all namespaces, six mounts, masked and read-only paths."""
    made = bundles.Bundle(folder, command, root)
    made.config["mounts"] = [mount for mount in made.config["mounts"] if mount["type"] != "sysfs"] + [
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}]
    if not network:
        made.linux["namespaces"] = [space for space in made.linux["namespaces"] if space["type"] != "network"]
    if seccomp:
        made.linux["seccomp"] = seccomp
    if limit:
        made.linux["resources"] = {"memory": {"limit": limit}}
    return made.write()
