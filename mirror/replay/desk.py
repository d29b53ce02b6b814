"""Where deliveries happen: what they all need, and the first look at a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from mirror.api import BadRun, Client
from mirror.outbox import Outbox
from mirror.records.operations import Entry
from mirror.records.runs import RunRecord
from mirror.replay.merge import Policy
from mirror.replay.outcomes import RefusedDelivery
from mirror.store import Lake
from mirror.store.fresh_rows import FreshRows
from mirror.store.objects import Objects


@dataclass(frozen=True, kw_only=True)
class Desk:
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

    def policy(self, entry: Entry) -> Policy:
        """What a person decided for the entry, else what its source says."""
        return entry.resolved or self.source_policy(entry)

    async def run(self, entry: Entry) -> RunRecord:
        """The run as it is upstream now.

        Raises:
            RefusedDelivery: it is not there, or cannot be read.
        """
        found = await self.client.run(*entry.run_path)
        if found is None:
            # W&B shows neither the run nor the project to a key that may not read them.
            gone = await self.client.project(entry.entity, entry.project) is not None
            raise RefusedDelivery(f"the server has no run {'/'.join(entry.run_path)}", gone=gone)
        if isinstance(found, BadRun):
            raise RefusedDelivery(f"the server cannot show the run: {found.reason}")
        if found.flaws:  # what cannot be read cannot be compared, nor written back whole
            flaws = "; ".join(f"{name}: {reason}" for name, reason in found.flaws.items())
            raise RefusedDelivery(f"the server cannot show the run whole: {flaws}")
        return found
