"""A lake in PostgreSQL and a bucket, both on loopback, beside one in a folder: pulls, first reads, and a takeover."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from mirror.api.transport.deployment import deployment_of
from mirror.errors import LeaseHeld
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.lake import Lake
from tests.bench.figures import Figure, at_most, figure
from tests.bench.measuring import Context, cpus, in_turn, python, walls
from tests.cluster.servers import KEY_ID, SECRET, Place, Servers, servers
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror

RUN = "import mirror, sys; mirror.Api(home=sys.argv[1]).run(sys.argv[2]).summary['loss']"
HOLD = """
import sys, time
from pathlib import Path
from mirror.api.transport.deployment import deployment_of
from mirror.errors import LeaseHeld
from mirror.layout import Home
from mirror.store.engine.lake import Lake
with Lake(Home(Path(sys.argv[1])), deployment=sys.argv[2]):
    print("has it", flush=True)
    time.sleep(600)
"""
_KEYS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}


def bench(context: Context) -> Iterator[Figure]:
    """First pulls, pulls that find nothing, a run read by a process that begins."""
    runs, steps = context.of((5, 20), (500, 500))
    os.environ.update(_KEYS)
    with Sandbox.start() as sandbox, servers() as cluster:
        for number in range(runs):
            history = [{"loss": 1 / (step + 1), "acc": step / steps} for step in range(steps)]
            files = {"config.yaml": b"a: 1\n" * 50, "out.bin": os.urandom(50_000)}
            sandbox.state.add_run(ENTITY, PROJECT, f"r{number}", history=history, files=files)
        made = Made(cluster, sandbox, context.folder)
        rounds = context.of(1, 3)
        shared, own = in_turn(rounds, made.pull_shared, made.pull_own)
        what = f"{runs:,} runs of {steps:,} steps"
        # At least 0.6 times as many runs a second.
        yield figure(f"a first pull of {what}", "into a folder", walls(shared), walls(own), goal=at_most(1 / 0.6))
        yield figure(f"a first pull of {what}", "into a folder", cpus(shared), cpus(own), unit="s CPU")
        again, before = in_turn(context.of(1, 5), made.shared.pull, made.own.pull)
        yield figure("a pull that finds nothing", "into a folder", walls(again), walls(before))
        path = f"{SOURCE}/r0"
        new, known = in_turn(
            context.of(1, 7),
            lambda: python(RUN, made.machine().root, path, env=_KEYS),
            lambda: python(RUN, made.own.home.root, path),
        )
        yield figure("`Api().run()` on a new machine", "2 s", walls(new), [2.0] * len(new), goal=at_most(1))
        yield figure("`Api().run()` on a new machine", "from a folder", walls(new), walls(known))
        yield figure("a takeover from a killed writer", "60 s", [made.takeover()], [60.0], goal=at_most(1))


class Made:
    """The homes of both sides."""

    def __init__(self, cluster: Servers, sandbox: Sandbox, folder: Path) -> None:
        self._cluster, self._sandbox, self._folder = cluster, sandbox, folder
        self._numbers = count()
        self._place: Place
        self.shared: Mirror
        self.own: Mirror

    def pull_shared(self) -> None:
        """A first pull into a new shared lake."""
        self._place = self._cluster.place()
        self.shared = self._pulled(self.machine())

    def pull_own(self) -> None:
        """The same into a folder."""
        self.own = self._pulled(Home(self._folder / f"own{next(self._numbers)}"))

    def machine(self) -> Home:
        """A home that shares the lake and has nothing else."""
        return self._place.home(self._folder / f"machine{next(self._numbers)}", memory_limit_mb=1024)

    def takeover(self) -> float:
        """Seconds from a kill of who has the lease until another commits."""
        deployment = deployment_of(self._sandbox.url).id
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self.machine().root), deployment], stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "has it\n"
        home = self.machine()
        with contextlib.suppress(LeaseHeld), Lake(home, deployment=deployment):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        began = time.monotonic()
        with Lake(home, deployment=deployment) as lake, lake.transaction() as engine:
            engine.execute("INSERT INTO lake.meta VALUES ('bench', 'x')")
        return time.monotonic() - began

    def _pulled(self, home: Home) -> Mirror:
        mirror = Mirror(url=self._sandbox.url, api_key=self._sandbox.api_key, home=home, is_fresh=True)
        assert mirror.pull().errors == []
        return mirror
