"""The story: time moves in steps, everybody lives, troubles come and go; in the end all is well and is judged."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirror.daemon.status.status_file import read_daemon_status
from mirror.errors import EntryMoved
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.sandbox import Clock as SandboxClock
from mirror.sandbox import Sandbox
from tests.daemon.soak.children import Eyes, Hands, Lives, environment
from tests.daemon.soak.gauge import Gauge
from tests.daemon.soak.judge import Judge, Path3
from tests.daemon.soak.local_life import LocalLife
from tests.daemon.soak.loop import API_HOST
from tests.daemon.soak.remote_life import RemoteLife
from tests.daemon.soak.requests import HANDS, Requests
from tests.daemon.soak.shared_clock import SharedClock
from tests.daemon.soak.trouble import MINUTE, Trouble

CALM_FROM = 0.7  # of the story: from there on nothing ends the daemon, so that one life is long
SETTLE_REAL_S = 240.0  # for conditions; a busy machine takes its time
STEP_REAL_S, BUSY_REAL_S = 0.03, 0.3  # real time of a step: at least, and at most while the daemon works
DAY_REAL_S = 20.0  # about how long a day takes
CONFIG = """
[server]
base_url = "{base_url}"
timeout_s = 7200.0
[store]
threads = 1
memory_limit_mb = 256
[pull]
reconcile_every_hours = 4.0
gone_fraction_max = 0.6
[retention]
snapshots_days = {snapshots}
files_days = {files}
objects_days = {objects}
partials_days = {objects}
[daemon]
poll_minutes = 90.0
poll_active_minutes = 60.0
poll_quiet_minutes = 180.0
stop_within_s = 7200.0
[[source]]
path = "team/alpha"
[[source]]
path = "team/beta"
conflicts = "ours"
[[source]]
path = "lab/cron"
poll_cron = "7 */2 * * *"
conflicts = "theirs"
[[source]]
path = "lab/*"
"""


class ServerClock(SandboxClock):
    """The server's clock is the true one.

    Args:
        shared: of the story.
    """

    def __init__(self, shared: SharedClock) -> None:
        super().__init__()
        self._shared = shared

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._shared.true_time()


@dataclass(kw_only=True)
class Told:
    """What a story came to; the numbers that a person wants to see."""

    seed: int
    days: float
    real_s: float = 0.0
    settled_h: float = 0.0  # of the story, after the troubles
    lives: int = 0
    troubles: dict[str, int] = field(default_factory=dict)
    remote_acts: int = 0
    operations: dict[str, int] = field(default_factory=dict)  # by what became of them
    refused_at_once: int = 0
    requests: int = 0
    faults: int = 0
    looks: dict[str, int] = field(default_factory=dict)  # of the eyes
    events: dict[str, int] = field(default_factory=dict)  # of the logs
    longest_life: int = 0  # samples of it
    first_mb: float = 0.0
    last_mb: float = 0.0
    first_fds: float = 0.0
    last_fds: float = 0.0


class Story:
    """One story, told from its seed.

    Args:
        folder: for everything.
        seed: decides what happens; processes run as they please.
        days: of the story.
        step_minutes: a step takes so long on average.
        each_once: each trouble comes once, and the story goes on until all have come; else by chance.
    """

    def __init__(
        self, folder: Path, *, seed: int, days: float, step_minutes: float = 8.0, each_once: bool = False
    ) -> None:
        self._chance = random.Random(seed)
        self._days = days
        self._step_s = step_minutes * MINUTE
        self.told = Told(seed=seed, days=days)
        self._open = contextlib.ExitStack()
        self.clock = SharedClock.create(folder / "clock")
        self.sandbox = self._open.enter_context(Sandbox.start(clock=ServerClock(self.clock)))
        self.sandbox.state.base_url = f"http://{API_HOST}:{self.sandbox.port}"
        self.home = Home(folder / "mirror")
        self.home.root.mkdir()
        self._configure()
        env = environment(folder, self.sandbox.api_key)
        self.remote = RemoteLife(self.sandbox, random.Random(f"remote {seed}"))
        self.lives = Lives(self.clock.path, self.home.root, env, folder)
        self._open.callback(self.lives.close)
        self._hands = {by: Hands(self.home.root, env, folder / by) for by in HANDS}
        self.local = LocalLife(self._hands, self.remote, random.Random(f"local {seed}"))
        self.trouble = Trouble(
            self.sandbox, self.clock, self.lives, self.home.config, random.Random(f"trouble {seed}"),
            each_once=each_once,
        )  # fmt: skip
        self._env, self.folder = env, folder
        self.eyes: dict[str, Eyes] = {}
        self.requests, self.gauge, self.judge = Requests(), Gauge(), Judge(self.sandbox, self.home)
        self.ever: set[Path3] = set()

    def _configure(self) -> None:
        """Ages are reckoned by the clock of the disk, which nobody moves: so the times of retention are real ones."""
        day = DAY_REAL_S / 86400
        text = CONFIG.format(base_url=self.sandbox.state.base_url, snapshots=day, files=day / 2, objects=day)
        self.home.config.write_text(text)

    def close(self) -> None:
        """End everything however it is."""
        for eyes in self.eyes.values():
            eyes.kill()
        for hands in self._hands.values():
            hands.close()
        self._open.close()

    def tell(self) -> Told:
        """All of it; afterwards the mirror is to be judged."""
        began = time.monotonic()
        self._first_pull()
        start = self.clock.now()
        end = start + self._days * 86400
        while (now := self.clock.now()) < end or self.trouble.is_to_come:
            share = (now - start) / (end - start)
            self._step(deadly=share < CALM_FROM or self.trouble.is_to_come)
            self._pace()
        self._settle()
        for name, eyes in self.eyes.items():
            self.told.looks[name] = eyes.close()
        self._stop()
        self.told.real_s = round(time.monotonic() - began, 1)
        return self._counted()

    def _first_pull(self) -> None:
        """Until all sources were pulled, the one with a cron expression too: the eyes look at them."""

        def is_pulled() -> bool:
            self.clock.advance(30 * MINUTE)
            return self.home.catalog.exists() and not list(self.judge.wrong_runs())

        self.lives.start()
        self._wait("the first pull", self.lives.is_ready)
        self._wait("a pull of each source", is_pulled)
        for number, what in enumerate(("run", "sql")):
            self.eyes[what] = Eyes(
                self.home.root, what, self.told.seed + number, self._env, self.folder / f"eyes.{what}"
            )

    def _pace(self) -> None:
        """Let real time flow: work takes some. What only waits for the story's time is not waited for."""
        until = time.monotonic() + BUSY_REAL_S
        time.sleep(STEP_REAL_S)
        while self._is_busy() and time.monotonic() < until:
            time.sleep(0.02)

    def _is_busy(self) -> bool:
        """Whether the daemon starts, or a worker of it is at it, by what it last said."""
        if self.lives.pid is None:
            return False
        if not self.lives.is_ready():
            return True
        status = read_daemon_status(self.home)
        return status is not None and any(worker.state == "busy" for worker in status.workers)

    def _step(self, *, deadly: bool) -> None:
        self.clock.advance(self._chance.uniform(0.25, 1.75) * self._step_s)
        self.trouble.act(deadly=deadly)
        self._look()
        if self._chance.random() < 0.8:
            self.remote.act()
        if self._chance.random() < 0.4:
            self.local.act()
        if self._chance.random() < 0.03:
            self._decide()
        if self._chance.random() < 0.02:
            self.ever |= self.judge.mirrored()

    def _look(self) -> None:
        """Everybody lives who should; the daemon is started again some steps after its end."""
        self.requests.take(self.sandbox.requests.drain())
        self.lives.look()
        if self.lives.pid is None and self.trouble.may_start and self._chance.random() < 0.4:
            self.lives.start()
        elif self.lives.pid is not None and not self.lives.is_stopping and self.lives.is_ready():
            self.gauge.look(self.lives.count, self.lives.pid)
        for eyes in self.eyes.values():
            eyes.look()

    def _decide(self) -> None:
        """A person looks through what waits for one."""
        outbox = Outbox(self.home)
        for placed in outbox.entries("conflict", "dead"):
            with contextlib.suppress(EntryMoved):
                if placed.state == "dead":
                    if self._chance.random() < 0.2:
                        outbox.retry(placed.entry)
                else:
                    outbox.resolve(placed.entry, self._chance.choice(["ours", "theirs"]))

    def _settle(self) -> None:
        """All is well, and time goes on until nothing is left to do."""
        self.trouble.over()
        since, outbox = self.clock.now(), Outbox(self.home)
        wrong: list[str] = []

        def is_settled() -> bool:
            self.clock.advance(20 * MINUTE)
            self._look()
            counts = outbox.counts()
            wrong[:] = [f"{counts} in the outbox"] if counts["new"] or counts["claimed"] else self.judge.wrong_runs()
            if not wrong:
                wrong[:] = self.judge.wrong_contents()
            return not wrong

        self._wait("the mirror is the server's truth", is_settled, wrong)
        self.told.settled_h = round((self.clock.now() - since) / 3600, 1)

    def _wait(self, what: str, condition: Any, why: list[str] | None = None) -> None:
        until = time.monotonic() + SETTLE_REAL_S
        while not condition():
            self._look()
            assert time.monotonic() < until, "\n".join([f"not in {SETTLE_REAL_S:.0f} s: {what}", *(why or [])])
            time.sleep(0.3)

    def _stop(self) -> None:
        self.lives.signal(signal.SIGTERM)
        until = time.monotonic() + SETTLE_REAL_S
        while not self.lives.has_ended():
            assert time.monotonic() < until, "the daemon does not stop"
            time.sleep(0.05)

    def lines(self) -> list[dict[str, Any]]:
        """Everything that was logged; the last line of a life that was killed may be torn."""
        logs = [self.lives.log_path(life).read_text() for life in range(1, self.lives.count + 1)]
        return [json.loads(line) for log in logs for line in log.splitlines(keepends=True) if line.endswith("\n")]

    def _events(self) -> Counter[str]:
        return Counter(line["event"] for line in self.lines())

    def _counted(self) -> Told:
        told = self.told
        told.lives, told.troubles, told.remote_acts = self.lives.count, dict(self.trouble.counts), self.remote.acts
        told.operations = dict(self.judge.outcomes(self.local.asked))
        told.refused_at_once = sum(self.local.refused.values())
        self.requests.take(self.sandbox.requests.drain())
        told.requests, told.faults = self.requests.count, sum(self.requests.faults.values())
        told.events = dict(self._events())
        told.longest_life = max(map(len, self.gauge.long_lives()), default=0)
        first, last = self.gauge.samples[len(self.gauge.samples) // 10], self.gauge.samples[-1]
        told.first_mb, told.last_mb = round(first.rss_mb, 1), round(last.rss_mb, 1)
        told.first_fds, told.last_fds = first.fds, last.fds
        return told
