"""A watch folder of one mirror, looked at when the test says so, by a clock that the test moves."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio

from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.config import Config
from mirror.daemon.connection import Connection
from mirror.daemon.context import DaemonContext
from mirror.daemon.logs import Log
from mirror.daemon.schedule.clock import Clock
from mirror.daemon.schedule.scheduler import Scheduler
from mirror.daemon.watch_folder.look import WatchedFolder
from mirror.outbox import Outbox
from mirror.records.addresses import ProjectKey
from mirror.records.operations import Entry, UploadFile
from mirror.replay import DeliveryContext, Replayed, replay
from mirror.sandbox import Sandbox
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.watch_settings import WatchSettings
from tests.mirroring import ENGINE, ENTITY, PROJECT, SERVER, Mirror

STABLE_S, GROWING_S = 10.0, 600.0


@dataclasses.dataclass(kw_only=True)
class Watching:
    """The folder `data`, and the daemon's view of it."""

    mirror: Mirror
    lake: Lake
    settings: WatchSettings
    data: Path
    size_max_mb: float = 1.0
    now: float = 0.0
    passed: Callable[[int], None] = lambda _: None
    log: io.StringIO = dataclasses.field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        """Begin to watch."""
        self.restart()

    def restart(self) -> None:
        """As another process does that knows only what is on the disk."""
        context = DaemonContext(
            lake=self.lake,
            objects=Objects(self.lake.home),
            config=Config(),
            log=Log(self.log),
            connection=Connection(),
            clock=Clock(),
            scheduler=Scheduler(Clock()),
            random=lambda: 0.5,
        )
        self.outbox = Outbox(self.lake.home)
        self.folder = WatchedFolder(
            context, self.outbox, ProjectKey(ENTITY, PROJECT), self.settings, self.size_max_mb, lambda n: self.passed(n)
        )

    def write(self, name: str, content: bytes = b"content") -> Path:
        """Put a file into the folder; its time differs from that of any file before."""
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def look(self, after_s: float = 0.0) -> float:
        """Let time pass and look; seconds until it wants to look again."""
        self.now += after_s
        return self.folder.look(self.now) - self.now

    def settle(self) -> list[str]:
        """Two looks with enough time between them; what waits in the outbox then, in order."""
        self.look()
        self.look(STABLE_S)
        return self.waiting

    @property
    def uploads(self) -> list[tuple[Entry, UploadFile]]:
        """The uploads that wait."""
        entries = [placed.entry for placed in self.outbox.entries("new")]
        return [(entry, entry.operation) for entry in entries if isinstance(entry.operation, UploadFile)]

    @property
    def waiting(self) -> list[str]:
        """`run/name` of the uploads that wait."""
        return [f"{entry.run_id}/{upload.name}" for entry, upload in self.uploads]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines about one event."""
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if line["event"] == name]

    def deliver(self) -> Replayed:
        """One round of the replay."""
        return anyio.run(self._deliver)

    async def _deliver(self) -> Replayed:
        async with Client(deployment_of(self.mirror.url), ApiKey(self.mirror.api_key, "a test"), SERVER) as client:
            return await replay(
                DeliveryContext(
                    client=client,
                    lake=self.lake,
                    objects=Objects(self.lake.home),
                    outbox=self.outbox,
                    features=await client.features(),
                    source_policy=lambda _: "hold",
                    now=self.mirror.now,
                )
            )


@contextlib.contextmanager
def watching(sandbox: Sandbox, mirror: Mirror, data: Path, *run_ids: str, **settings: Any) -> Iterator[Watching]:
    """A folder of runs that were pulled; the first of them is the one whose files it holds, unless `run` is given."""
    for run_id in run_ids:
        sandbox.state.add_run(ENTITY, PROJECT, run_id, state="running")
    if run_ids:
        assert not mirror.pull().errors
    size_max_mb = settings.pop("size_max_mb", 1.0)
    wanted = {"run": run_ids[0] if run_ids else "r1", "stable_s": STABLE_S, "growing_minutes": GROWING_S / 60}
    watch = WatchSettings(folder=os.fspath(data), **{**wanted, **settings})
    with Lake(mirror.home, deployment=deployment_of(mirror.url).id, settings=ENGINE) as lake:
        yield Watching(mirror=mirror, lake=lake, settings=watch, data=data, size_max_mb=size_max_mb)
