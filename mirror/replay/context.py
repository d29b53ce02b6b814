"""Where deliveries happen: what they all need, and the first look at a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import msgspec

from mirror.api.client import Client
from mirror.api.questions.looks import Look
from mirror.api.rows.pages import BadRun
from mirror.errors import NotOffered
from mirror.outbox import Outbox
from mirror.records.operations import Entry
from mirror.records.passes import ProjectKey
from mirror.records.runs import RunRecord
from mirror.replay.merge import Policy
from mirror.replay.outcomes import RefusedDelivery, UnconfirmedDelivery
from mirror.replay.readable import FIELD_OF, WHOLE, flaws_in, is_empty
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.read.held_runs import with_held
from mirror.store.write.fresh_rows import FreshRows


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

    def policy(self, entry: Entry) -> Policy:
        """What a person decided for the entry, else what its source says."""
        return entry.resolved or self.source_policy(entry)

    async def look(self, entry: Entry, *, wants: Iterable[str] = ()) -> Look | BadRun | None:
        """The run as it is upstream now, as far as it can be read; None when it is not there."""
        return await self.client.look(*entry.run_path, wants=wants)

    async def run(self, entry: Entry, needs: Sequence[str] = (), *, wants: Iterable[str] = ()) -> RunRecord:
        """The run as it is upstream now.

        Args:
            entry: names it.
            needs: the server's names of fields that are compared or written back whole.
            wants: of fields that count where the server has them.

        Raises:
            RefusedDelivery: it is not there, or what is needed is not told by this server, or cannot be made out.
            UnconfirmedDelivery: the server shows nothing where this mirror holds something.
            GraphQLError: the server cannot serve what is needed just now.
        """
        try:
            found = await self.client.look(*entry.run_path, needs=needs, wants=wants)
        except NotOffered as error:
            fields = f" without {', '.join(needs)} of the run" if needs else ""
            raise RefusedDelivery(f"nothing was sent, since it cannot be decided{fields}: {error.message}") from error
        if found is None:
            # W&B shows neither the run nor the project to a key that may not read them.
            gone = await self.client.project(entry.entity, entry.project) is not None
            raise RefusedDelivery(f"the server has no run {'/'.join(entry.run_path)}", gone=gone)
        if isinstance(found, BadRun):
            raise RefusedDelivery(f"the server cannot show the run: {found.reason}")
        flaws = flaws_in(found.run, needs)
        if flaws:  # what cannot be read cannot be compared, nor written back whole
            told = "; ".join(f"{name}: {reason}" for name, reason in flaws.items())
            raise RefusedDelivery(f"the server cannot show the run whole: {told}")
        await self._check_nulls(found.run, [name for name in needs if name in found.nulls and name in WHOLE])
        return found.run

    async def _check_nulls(self, run: RunRecord, nulls: Sequence[str]) -> None:
        """Whole documents are built from what is read: what is null upstream and is held here was lost on its way."""
        fields = {FIELD_OF.get(name, name): name for name in nulls}
        untold = msgspec.structs.replace(run, untold=run.untold | fields.keys())
        key = ProjectKey(run.entity, run.project)
        held = await anyio.to_thread.run_sync(with_held, self.lake, key, [untold], limiter=self.storing)
        for kept, name in fields.items():
            if run.run_id in held and not is_empty(getattr(held[run.run_id], kept)):
                raise UnconfirmedDelivery(
                    f"the server shows no {name} of the run, of which this mirror holds some:"
                    " nothing was sent, since it could be lost upstream"
                )
