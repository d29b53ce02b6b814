"""One mirror of one sandbox whose outbox is replayed on demand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from mirror.api import ApiKey, Client, deployment_of
from mirror.config import ServerSettings
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.pull.cycle import utc_now
from mirror.records.operations import Entry, Operation
from mirror.replay import Desk, Replayed, replay
from mirror.replay.merge import Policy
from mirror.store import Lake
from mirror.store.objects import Objects
from tests.mirroring import ENGINE, ENTITY, PROJECT, SERVER


@dataclass(kw_only=True)
class Sender:
    """A home and the server that its outbox is delivered to."""

    url: str
    api_key: str
    home: Home
    server: ServerSettings = SERVER
    policy: Policy = "hold"
    now: Callable[[], dt.datetime] = field(default=utc_now)

    @property
    def outbox(self) -> Outbox:
        """The outbox of the home."""
        return Outbox(self.home)

    def put(self, run_id: str, operation: Operation, *, project: str = PROJECT) -> Entry:
        """Queue an operation."""
        return self.outbox.put((ENTITY, project, run_id), None, operation)

    def replay(self) -> Replayed:
        """One round, from a closed lake to a closed lake."""
        return anyio.run(self.replay_async)

    async def replay_async(self) -> Replayed:
        """The same inside an event loop."""
        deployment = deployment_of(self.url)
        async with Client(deployment, ApiKey(self.api_key, "a test"), self.server) as client:
            with Lake(self.home, deployment=deployment.id, settings=ENGINE) as lake:
                desk = Desk(
                    client=client,
                    lake=lake,
                    objects=Objects(self.home),
                    outbox=self.outbox,
                    features=await client.features(),
                    source_policy=lambda _: self.policy,
                    now=self.now,
                )
                return await replay(desk)

    def counts(self) -> dict[Any, int]:
        """Entries by state, without the empty ones."""
        return {state: count for state, count in self.outbox.counts().items() if count}
