"""One mirror of one sandbox whose outbox is replayed on demand."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.cli.clients import known_server
from mirror.clock import utc_now
from mirror.config import ServerSettings
from mirror.layout import Home
from mirror.outbox import Outbox, OutboxReader
from mirror.records.addresses import RunPath
from mirror.records.operations import Entry, Operation, UploadFile
from mirror.replay import DeliveryContext, Replayed, ReplayWatcher, replay
from mirror.replay.forecast import Forecast, ForecastContext, foresee
from mirror.replay.look import Server
from mirror.replay.merge import Policy
from mirror.sandbox import Fault, Match
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.store.schema.views import VIEWS
from mirror.store.sql.statements import run_sql
from tests.mirroring import ENTITY, PROJECT, SERVER, lake_for_questions, lake_of, make_lake


def _with_nothing(answer: Any) -> None:
    answer["data"] = dict.fromkeys(answer["data"])


# Ways in which a change has no answer that says whether it was made; by the last one it was not.
LOSSES: Mapping[str, Callable[[Match], Fault]] = {
    "lost": lambda match: Fault.lost_answer(times=1, match=match),
    "nothing, without a word": lambda match: Fault.lie(_with_nothing, times=1, match=match),
    "answered 500": lambda match: Fault.status(500, times=1, match=match),
}


@dataclass(kw_only=True)
class Sender:
    """A home and the server that its outbox is delivered to."""

    url: str
    api_key: str
    home: Home
    server: ServerSettings = SERVER
    policy: Policy = "hold"
    now: Callable[[], dt.datetime] = field(default=utc_now)
    features: frozenset[str] | None = None  # of the server; None: it is asked

    def later(self, **time: float) -> Sender:
        """The same when so much time has passed."""
        return dataclasses.replace(self, now=lambda: self.now() + dt.timedelta(**time))

    @property
    def outbox(self) -> Outbox:
        """The outbox of the home."""
        return Outbox(self.home)

    def put(self, run_id: str, operation: Operation, *, project: str = PROJECT) -> Entry:
        """Queue an operation."""
        return self.outbox.put(RunPath(ENTITY, project, run_id), None, operation)

    def replay(self, watcher: ReplayWatcher | None = None) -> Replayed:
        """One round, from a closed lake to a closed lake, if lakes do not stay open."""
        return anyio.run(self.replay_async, watcher)

    async def replay_async(self, watcher: ReplayWatcher | None = None) -> Replayed:
        """The same inside an event loop."""
        async with self.context() as context:
            return await replay(context, watcher)

    @asynccontextmanager
    async def context(self) -> AsyncIterator[DeliveryContext]:
        """What a round is given, while the lake is open."""
        deployment = deployment_of(self.url)
        make_lake(self.home, deployment)
        known = known_server(self.home, deployment)
        async with Client(deployment, ApiKey(self.api_key, "a test"), self.server, known=known) as client:
            with lake_of(self.home, deployment) as lake:
                yield DeliveryContext(
                    client=client,
                    lake=lake,
                    objects=Objects(self.home),
                    outbox=self.outbox,
                    features=await client.features() if self.features is None else self.features,
                    source_policy=lambda _: self.policy,
                    now=self.now,
                )

    def foresee(self) -> list[Forecast]:
        """What a round would come to, as `replay --dry-run` tells it."""
        return anyio.run(self._foresee)

    async def _foresee(self) -> list[Forecast]:
        deployment = deployment_of(self.url)
        reader = Reader(self.home) if self.home.catalog.exists() else None
        async with Client(deployment, ApiKey(self.api_key, "a test"), self.server) as client:
            context = ForecastContext(
                upstream=Server(client, reader),
                objects=Objects(self.home),
                outbox=OutboxReader(self.home),
                lake=reader,
                source_policy=lambda _: self.policy,
                now=self.now(),
            )
            waiting = OutboxReader(self.home).entries("claimed", "new", "conflict")
            try:
                return [forecast async for forecast in foresee(context, waiting)]
            finally:
                if reader is not None:
                    reader.close()

    def upload(self, name: str, content: bytes, **more: Any) -> UploadFile:
        """An upload, its bytes taken in."""
        objects = Objects(self.home)
        objects.home.root.mkdir(exist_ok=True)
        digest = objects.put_bytes(content)
        objects.sync([digest])
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        return UploadFile(name=name, object=digest, size=len(content), md5=md5, **more)

    def receipts(self) -> list[dict[str, Any]]:
        """All receipts, in the order of their entries."""
        with lake_for_questions(self.home) as engine:
            query = f"SELECT * FROM ({VIEWS['receipts']}) ORDER BY id, ended_at"
            return list(run_sql(engine, query).plain_rows())

    def counts(self) -> dict[Any, int]:
        """Entries by state, without the empty ones."""
        return {state: count for state, count in self.outbox.counts().items() if count}
