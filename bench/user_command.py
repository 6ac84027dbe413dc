# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole command that a person types: `onggi run --rm`, beside podman and docker in the same rounds."""
import os
import shutil
import subprocess

from common import Goal, Stopwatch, bundles, number, programs, table, verdict
from support import archives
from support.engines import IMAGE, Docker, Podman
from support.vault import Vault


def engines(folder, archive):
    """The peers that start here, each in a vault of its own, with their ordinary runtime (crun, runc)."""
    started = {}
    for kind, runtime in ((Podman, "/usr/bin/crun"), (Docker, "/usr/sbin/runc")):
        if not shutil.which(kind.command, path="/usr/sbin:/usr/bin"):
            print(f"{kind.name}: not installed, left out")
            continue
        try:
            started[kind.name] = kind(folder / kind.name, archive, runtime).__enter__()
        except AssertionError as error:
            print(f"{kind.name}: does not start here, left out: {str(error).splitlines()[0]}")
    return started


def run(folder, rounds):
    root = bundles.make_root(folder / "root")
    archive = archives.write_docker_archive(folder / "image.tar", IMAGE, [archives.layer_of(root)])
    peers = engines(folder, archive)
    vault = Vault()
    environment = dict(os.environ, ONGGI_ROOT=str(folder / "onggi"), ONGGI_STATE="/run/onggi-bench")
    onggi = programs.program("onggi")
    try:
        # Every command is called through nsenter, onggi's too; the engines need namespaces of their own.
        def own(*words):
            return vault.command(onggi, *words)

        def peer(engine, *words):
            return engine.vault.command(engine.command, *engine.shared, *words)

        for words in (["run", "--rm", "--network", "none", "onggi/base", "true"], ["run", "-d", "--name", "bench", "onggi/base", "sleep", "1000000"]):
            subprocess.run(own(*words), check=True, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        if "podman" in peers:
            environment["CONTAINERS_CONF"] = peers["podman"].environment["CONTAINERS_CONF"]
        for engine in peers.values():
            engine.ok(*engine.run_words("--detach", "--name", "bench", "--network", "none", IMAGE, "sleep", "1000000"))
        watch = Stopwatch()
        for network in ("none", "bridge"):
            watch.time(f"onggi {network}", *own("run", "--rm", *(["--network", "none"] if network == "none" else []), "onggi/base", "true"))
            for name, engine in peers.items():
                watch.time(f"{name} {network}", *peer(engine, *engine.run_words("--rm", "--network", network, IMAGE, "true")))
        watch.time("onggi exec", *own("exec", "bench", "true"))
        for name, engine in peers.items():
            watch.time(f"{name} exec", *peer(engine, "exec", "bench", "true"))
        watch.time("nsenter", *vault.command("/bin/true"))
        samples = watch.run(rounds, environment)
        rows = []
        for what, label, goal in (("run --rm, no network", "none", Goal(0.15, 0.05)), ("run --rm, on a bridge", "bridge", Goal(0.15, 0.05))):
            mine, podman, docker = (samples.median(f"{name} {label}") for name in ("onggi", "podman", "docker"))
            rows.append([what, number(docker), number(podman), number(mine), number(mine / podman if podman else None, 3),
                         f"{goal.must:g} x podman", f"{goal.aim:g} x podman", verdict(mine, podman, goal)])
        mine = samples.median("onggi exec")
        rows.append(["exec", number(samples.median("docker exec")), number(samples.median("podman exec")), number(mine),
                     number(mine / samples.median("podman exec") if samples["podman exec"] else None, 3), "10 ms", "",
                     verdict(mine, 1, Goal(10))])
        table(f"User commands: milliseconds, medians of {rounds}, taking turns",
              ["what", "docker", "podman", "onggi", "/podman", "must reach", "aim", "verdict"], rows)
        print(f"\nEach figure contains {number(samples.median('nsenter'))} ms of nsenter, through which all of them are called.")
    finally:
        subprocess.run(vault.command(onggi, "rm", "--force", "bench"), env=environment, stdout=subprocess.DEVNULL, check=False)
        for engine in peers.values():
            engine.__exit__()
        vault.close()
