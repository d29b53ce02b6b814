"""What a replay is given: where it looks, writes and keeps, and whom it tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import anyio
import anyio.to_thread

from mirror.api.client import Client
from mirror.outbox import Outbox
from mirror.records.operations import Entry
from mirror.records.receipts import Outcome
from mirror.replay.look import Server
from mirror.replay.merge import Policy
from mirror.replay.sync.here import AT_ONCE, Here, LogOfRun, read_here
from mirror.replay.sync.many import ManyRuns
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.write.fresh_rows import FreshRows
from mirror.tasks import Together

Result = Outcome | Literal["held", "put_back"]
"""How an entry ends in a round: an outcome that has a receipt, or kept for a person, or for a later round."""


@dataclass(frozen=True, kw_only=True)
class DeliveryContext:
    """What all deliveries of a replay share."""

    client: Client
    lake: Lake
    objects: Objects
    outbox: Outbox
    features: frozenset[str]  # of the server
    source_policy: Callable[[Entry], Policy]  # for what both sides changed, by the entry's source
    now: Callable[[], dt.datetime]  # UTC
    storing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))  # one commit at a time
    fresh: FreshRows = field(default_factory=FreshRows)  # told to passes of a pull that are under way

    @cached_property
    def upstream(self) -> Server:
        """Where deliveries look."""
        return Server(self.client, self.lake, self.storing)

    @cached_property
    def many(self) -> ManyRuns:
        """Where runs that are brought upstream ask together."""
        return ManyRuns(self.client)

    @cached_property
    def here(self) -> Together[LogOfRun, Here | None]:
        """What the mirror has of runs that are to be brought upstream."""

        async def read(wanted: Sequence[LogOfRun]) -> Mapping[LogOfRun, Here | None]:
            return await anyio.to_thread.run_sync(read_here, self.lake, wanted, limiter=self.storing)

        return Together(read, AT_ONCE)

    def policy(self, entry: Entry) -> Policy:
        """What a person decided for the entry, else what its source says."""
        return entry.resolved or self.source_policy(entry)


class ReplayWatcher(Protocol):
    """Whoever wants to show a replay while it runs, or to end it; every call returns at once."""

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is to be begun; what is under way ends as it would."""

    def ended(self, entry: Entry, result: Result, words: str | None) -> None:
        """An operation is done with for this round, and that is on the disk.

        Args:
            entry: as it was delivered.
            result: how it ended.
            words: the server's, or why nothing was sent, or why it waits.
        """


class SilentReplay:
    """A watcher that shows nothing and lets the round go to its end."""

    is_stopping = False

    def ended(self, entry: Entry, result: Result, words: str | None) -> None:
        """Nothing."""
