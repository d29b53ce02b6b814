"""One round over the outbox: the entries of a run in order, runs side by side, memory bounded whatever the backlog.

A run whose entry has to wait waits as a whole, so that its order holds; other runs go on. An entry that a person has to
settle holds back what is about the same values, and lets the rest of its run go on; one that the server refused holds
back nothing. What was queued for a run that is not made yet shares the fate of its creation. When the server is away,
the round ends: what was not begun is as it was.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from mirror.errors import AuthError, Forbidden, MirrorError, StoreError
from mirror.outbox import Placed
from mirror.outbox.names import name_of, run_tag, tag_in
from mirror.records.operations import Create, Entry, RunPath, touched
from mirror.records.receipts import Ending, Outcome, Receipt
from mirror.records.texts import dump_strict
from mirror.replay.context import DeliveryContext
from mirror.replay.deliveries import deliver
from mirror.replay.due import later, may_go
from mirror.replay.ledger import Ended, Ledger, ended_before, let_leave
from mirror.replay.outcomes import Delivered, HeldDelivery, RefusedDelivery, UnconfirmedDelivery, is_refusal, words_of
from mirror.replay.watching import Silent, Watcher
from mirror.store.read.receipts import given_up_creations
from mirror.tasks import side_by_side

AT_ONCE = 256  # entries in memory
OF_A_RUN = 16  # of them at most: so many runs go side by side even when one has thousands of entries
DELIVERED_AT_ONCE = 16  # of them, those whose runs are in memory as well
MOST_UNCONFIRMED = 5  # looks at a server that took a change and does not show it


class Replayed(msgspec.Struct, kw_only=True):
    """What a round came to."""

    applied: int = 0
    already_so: int = 0
    theirs: int = 0
    buried: int = 0  # the server refused them; the reason is in the entry and in the receipt
    held: int = 0  # conflicts, which wait for a person
    put_back: int = 0  # failed for the moment; tried again later
    waiting: int = 0  # not tried: behind one that waits, or not due yet
    outage: MirrorError | None = None  # why the round ended before its end

    def count(self, outcome: Outcome) -> None:
        """One more."""
        setattr(self, outcome, getattr(self, outcome) + 1)


async def replay(context: DeliveryContext, watcher: Watcher | None = None) -> Replayed:
    """Deliver what waits in the outbox, once each.

    Args:
        context: what deliveries need.
        watcher: shown each operation that is done with; may end the round early.

    Raises:
        HomeBusy: another process replays.
        StoreError: the disk failed; what was not written down stays claimed, and the next replay looks first.
    """
    with context.outbox.replaying():
        return await _Round(context, watcher or Silent()).run()


class _Round:
    """The state of one round."""

    def __init__(self, context: DeliveryContext, watcher: Watcher) -> None:
        self.context = context
        self.watcher = watcher
        self.report = Replayed()
        self._ledger = Ledger(context)
        self._lanes: dict[RunPath, deque[Entry]] = {}  # entries of a run that wait for the one before
        self._blocked: set[RunPath] = set()  # runs of which nothing more goes in this round
        self._held: dict[RunPath, list[tuple[str, frozenset[str]]]] = {}  # ids of held entries, what they are about
        self._given_up: dict[RunPath, str] = {}  # runs that are not to be made, by the entry that was to make each
        self._ended: dict[str, Ending] = {}  # by entry: those that only have to leave
        self._room = anyio.Semaphore(AT_ONCE)
        self._delivering = anyio.Semaphore(DELIVERED_AT_ONCE)
        self._probing = anyio.Lock()

    async def run(self) -> Replayed:
        try:
            await self._prepare()
            left: dict[str, str] | None = None
            while left != {} and not self._is_over:
                left = await self._pass(left)
        finally:
            with anyio.CancelScope(shield=True):  # stopped: what the server has done is written down all the same
                await self._ledger.flush()
        return self.report

    async def _prepare(self) -> None:
        for placed in await anyio.to_thread.run_sync(list, self.context.outbox.entries("conflict")):
            self._hold_back(placed.entry)
        self._given_up = await anyio.to_thread.run_sync(
            given_up_creations, self.context.lake, limiter=self.context.storing
        )

    async def _pass(self, only: dict[str, str] | None) -> dict[str, str]:
        """Go over what waits, once.

        Args:
            only: the runs to look at, as their tags, and the name of the entry from which on; None: all.

        Returns:
            The same for runs that have more entries than may be in memory.
        """
        left: dict[str, str] = {}

        def wanted(name: str) -> bool:
            tag = tag_in(name)
            return tag not in left and (only is None or name >= only.get(tag, "~"))

        waiting = self.context.outbox.entries("new", wanted=wanted)
        async with side_by_side() as lanes:
            while not self._is_over and (some := await _next(waiting)):
                self._ended |= await ended_before(self.context, [placed.entry for placed in some])
                for placed in some:
                    entry = placed.entry
                    tag = run_tag(entry.run_path)
                    if tag in left:
                        continue
                    if len(self._lanes.get(entry.run_path, ())) >= OF_A_RUN:
                        left[tag] = name_of(entry.id, entry.run_path)
                        continue
                    await self._room.acquire()
                    self._assign(entry, lanes)
        return left

    @property
    def _is_over(self) -> bool:
        return self.report.outage is not None or self.watcher.is_stopping

    def _assign(self, entry: Entry, lanes: TaskGroup) -> None:
        """Queue an entry behind those of its run."""
        lane = self._lanes.get(entry.run_path)
        if lane is not None:
            lane.append(entry)
            return
        self._lanes[entry.run_path] = deque([entry])
        lanes.start_soon(self._drain, entry.run_path)

    async def _drain(self, path: RunPath) -> None:
        """Deliver the entries of one run, one after the other."""
        lane = self._lanes[path]
        while lane:
            entry = lane.popleft()
            try:
                await self._one(entry)
            finally:
                self._room.release()
        del self._lanes[path]

    async def _one(self, entry: Entry) -> None:
        ended: Ended | None = None
        async with self._delivering:
            if self._is_over or entry.run_path in self._blocked or not may_go(entry, self.context.now()):
                self._wait(entry)
                return
            self._ledger.begin()
            try:
                ended = await self._begin(entry)
            finally:
                self._ledger.end()
        if ended is not None:
            await self._ledger.write_down(ended)
            if ended.entry.kind == "create":
                self._note_creation(ended)
            self.report.count(ended.receipt.outcome)
            self.watcher.ended(ended.entry, ended.receipt.outcome, ended.receipt.answer)

    async def _begin(self, entry: Entry) -> Ended | None:
        """Claim an entry and deliver it; None when there is nothing to write down."""
        if self._is_held_back(entry):
            self._hold_back(entry)
            self.report.waiting += 1
            return None
        creation = await self._failed_creation(entry)
        if creation is not None and creation.state == "conflict":
            self._wait(entry)
            return None
        given_up = await self._given_up_creation(entry) if creation is None else None
        claimed = await anyio.to_thread.run_sync(self.context.outbox.claim, entry)
        if claimed is None:  # folded, dropped or taken meanwhile
            return None
        if (before := self._ended.pop(claimed.id, None)) is not None:
            await let_leave(self.context, claimed, before)
            return None
        started = anyio.current_time()
        if given_up is not None:
            delivered: Delivered | None = Delivered(outcome="buried", answer=given_up)
        elif creation is None:
            delivered = await self._delivered(claimed)
        else:
            why = f"its run was never made: entry {creation.entry.id} was refused ({creation.entry.reason})"
            delivered = Delivered(outcome="buried", answer=why)
        if delivered is None:
            return None
        receipt = _receipt(claimed, delivered, self.context.now(), anyio.current_time() - started)
        return Ended(entry=claimed, receipt=receipt, delivered=delivered)

    async def _delivered(self, claimed: Entry) -> Delivered | None:
        """What the delivery of a claimed entry came to; None when it is no longer claimed."""
        try:
            return await deliver(self.context, claimed)
        except RefusedDelivery as refusal:
            return Delivered(outcome="buried", answer=str(refusal), run=refusal.run, gone=refusal.gone)
        except HeldDelivery as held:
            await anyio.to_thread.run_sync(self.context.outbox.hold, claimed, str(held))
            self._hold_back(claimed)
            self.report.held += 1
            self.watcher.ended(claimed, "held", str(held))
        except UnconfirmedDelivery as doubt:
            if claimed.unconfirmed + 1 >= MOST_UNCONFIRMED:
                return Delivered(outcome="buried", answer=f"{doubt}; given up after {claimed.unconfirmed + 1} looks")
            await self._put_back(claimed, str(doubt), self._later(claimed), unconfirmed=True)
        except MirrorError as error:
            if is_refusal(error):
                return Delivered(outcome="buried", answer=words_of(error))
            is_away = await self._is_away(error)
            await self._put_back(
                claimed, error.message, None if is_away else self._later(claimed), attempted=not is_away
            )
        except Exception:  # a defect of ours: it is raised, but does not stand in the way of the others next time
            with anyio.CancelScope(shield=True):
                await self._put_back(claimed, "a defect of wandb-mirror ended the delivery", self._later(claimed))
            raise
        except BaseException:  # cancelled: whether the server acted is for the next look to say
            with anyio.CancelScope(shield=True):
                await self._put_back(claimed, "the delivery was interrupted", None)
            raise
        return None

    async def _failed_creation(self, entry: Entry) -> Placed | None:
        """The creation of an entry's run, when it was refused or waits for a person."""
        if entry.storage_id is not None or isinstance(entry.operation, Create):
            return None
        aside = await anyio.to_thread.run_sync(self.context.outbox.of_run, entry.run_path, "dead", "conflict")
        return next((one for one in aside if isinstance(one.entry.operation, Create) and one.entry.id < entry.id), None)

    async def _given_up_creation(self, entry: Entry) -> str | None:
        """Why nothing of a run is delivered whose creation a person gave up: another run may have its id now."""
        entry_id = self._given_up.get(entry.run_path)
        if entry_id is None or entry.storage_id is not None or isinstance(entry.operation, Create):
            return None
        again = await anyio.to_thread.run_sync(self.context.outbox.of_run, entry.run_path, "new", "claimed")
        if any(isinstance(one.entry.operation, Create) for one in again):
            return None
        return f"its run was never made: entry {entry_id} was given up"

    def _note_creation(self, ended: Ended) -> None:
        if ended.receipt.outcome == "theirs":
            self._given_up[ended.entry.run_path] = ended.entry.id
        else:
            self._given_up.pop(ended.entry.run_path, None)

    def _hold_back(self, entry: Entry) -> None:
        self._held.setdefault(entry.run_path, []).append((entry.id, touched(entry.operation)))

    def _is_held_back(self, entry: Entry) -> bool:
        """Whether an earlier entry about the same values waits for a person."""
        about = touched(entry.operation)
        return any(held_id < entry.id and about & names for held_id, names in self._held.get(entry.run_path, ()))

    async def _is_away(self, error: MirrorError) -> bool:
        """Whether an error is the server's, and not this operation's: then a small question fails as well."""
        if isinstance(error, StoreError):
            return False
        async with self._probing:
            if self.report.outage is None:
                if isinstance(error, AuthError) and not isinstance(error, Forbidden):
                    self.report.outage = error
                else:
                    try:
                        await self.context.client.check()
                    except MirrorError as also:
                        self.report.outage = also
            return self.report.outage is not None

    def _wait(self, entry: Entry) -> None:
        self._blocked.add(entry.run_path)
        self.report.waiting += 1

    def _later(self, entry: Entry) -> dt.datetime:
        return later(entry.attempts, self.context.now(), random.random())  # noqa: S311 - jitter is not a secret

    async def _put_back(
        self,
        entry: Entry,
        reason: str,
        until: dt.datetime | None,
        *,
        attempted: bool = True,
        unconfirmed: bool = False,
    ) -> None:
        put_back = partial(self.context.outbox.put_back, attempted=attempted, unconfirmed=unconfirmed)
        await anyio.to_thread.run_sync(put_back, entry, reason, until)
        self._blocked.add(entry.run_path)
        self.report.put_back += 1
        self.watcher.ended(entry, "put_back", reason)


async def _next(waiting: Iterator[Placed]) -> list[Placed]:
    """Some more entries; reading them blocks."""
    return await anyio.to_thread.run_sync(lambda: list(islice(waiting, 32)))


def _receipt(entry: Entry, delivered: Delivered, at: dt.datetime, duration_s: float) -> Receipt:
    return Receipt(
        id=entry.id,
        entity=entry.entity,
        project=entry.project,
        run_id=entry.run_id,
        kind=entry.kind,
        operation=dump_strict(msgspec.to_builtins(entry.operation)),
        created_at=entry.created_at,
        ended_at=at,
        outcome=delivered.outcome,
        attempts=entry.attempts + 1,
        sent=None if delivered.sent is None else dump_strict(delivered.sent),
        answer=delivered.answer,
        duration_s=duration_s,
        folded=entry.folded,
    )
