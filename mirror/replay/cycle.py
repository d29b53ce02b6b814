"""One round over the outbox: the entries of a run in order, runs side by side, memory bounded whatever the backlog.

A run whose entry has to wait waits as a whole, so that its order holds; other runs go on. An entry that a person has to
settle holds back what is about the same values, and lets the rest of its run go on; one that the server refused holds
back nothing. What was queued for a run that is not made yet shares the fate of its creation. When the server is away,
the round ends: what was not begun is as it was.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from mirror.errors import MirrorError
from mirror.outbox import Placed
from mirror.outbox.names import name_of, run_tag, tag_in
from mirror.records.addresses import RunPath
from mirror.records.operations import Entry, Operation, SyncRun
from mirror.records.receipts import Ending, Outcome, receipt_of
from mirror.replay.context import DeliveryContext, ReplayWatcher, SilentReplay
from mirror.replay.decide import Decision
from mirror.replay.deliveries import deliver
from mirror.replay.ledger import Ended, Ledger, ended_before, let_leave
from mirror.replay.order import EarlierEntries, later, look_for_creation, needs_creation
from mirror.replay.sending import Delivered
from mirror.store.read.receipts import given_up_creations
from mirror.tasks import side_by_side

AT_ONCE = 256  # entries in memory
OF_A_RUN = 16  # of them at most: so many runs go side by side even when one has thousands of entries
DELIVERED_AT_ONCE = 32  # of them, those whose runs are in memory as well


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


async def replay(context: DeliveryContext, watcher: ReplayWatcher | None = None) -> Replayed:
    """Deliver what waits in the outbox, once each.

    Args:
        context: what deliveries need.
        watcher: shown each operation that is done with; may end the round early.

    Raises:
        HomeBusy: another process replays.
        StoreError: the disk failed; what was not written down stays claimed, and the next replay looks first.
    """
    with context.outbox.replaying():
        return await _Round(context, watcher or SilentReplay()).run()


class _Round:
    """The state of one round."""

    def __init__(self, context: DeliveryContext, watcher: ReplayWatcher) -> None:
        self.context = context
        self.watcher = watcher
        self.report = Replayed()
        self._ledger = Ledger(context)
        self._lanes: dict[RunPath, deque[Entry]] = {}  # entries of a run that wait for the one before
        self._before: dict[RunPath, EarlierEntries] = defaultdict(EarlierEntries)  # what became of the entries so far
        self._given_up: dict[RunPath, str] = {}  # runs that are not to be made, by the entry that was to make each
        self._behind: dict[RunPath, tuple[Entry, RunPath]] = {}  # what waits for another run, and for which
        self._upstream: set[RunPath] = set()  # runs that were brought upstream
        self._ended: dict[str, Ending] = {}  # by entry: those that only have to leave
        self._room = anyio.Semaphore(AT_ONCE)
        self._delivering = anyio.Semaphore(DELIVERED_AT_ONCE)
        self._probing = anyio.Lock()

    async def run(self) -> Replayed:
        try:
            self.context.here.forget()
            self.context.upstream.forget()
            await self._prepare()
            left: dict[str, str] | None = None
            while left != {} and not self._is_over:
                left = await self._pass(left) or self._behind_others()
        finally:
            with anyio.CancelScope(shield=True):  # stopped: what the server has done is written down all the same
                await self._ledger.flush()
        return self.report

    async def _prepare(self) -> None:
        for placed in await anyio.to_thread.run_sync(list, self.context.outbox.entries("conflict")):
            self._before[placed.entry.run_path].note(placed.entry, Decision(verdict="held"))
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
                self._expect([placed.entry for placed in some])
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

    def _expect(self, entries: Sequence[Entry]) -> None:
        """Runs that are to be brought upstream are read, and asked about, many at a time.

        Of a run the first entry alone, since what comes of it is news for those behind it.
        """
        first: dict[RunPath, Operation] = {}
        for entry in entries:
            if entry.run_path not in self._lanes:
                first.setdefault(entry.run_path, entry.operation)
        runs = [(path, one) for path, one in first.items() if isinstance(one, SyncRun)]
        self.context.here.expect((path, one.log) for path, one in runs)
        self.context.upstream.expect([path for path, one in runs if not one.is_begun])

    def _behind_others(self) -> dict[str, str]:
        """The runs that waited for another one, as `_pass` takes them; none, where nothing came of it since."""
        behind, self._behind = self._behind, {}
        ready = {path: entry for path, (entry, parent) in behind.items() if parent in self._upstream}
        for path in ready:
            self._before.pop(path, None)
        self.report.put_back -= len(ready)
        return {run_tag(path): name_of(entry.id, path) for path, entry in ready.items()}

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
        if not (self._before[path].is_blocked or self._before[path].held):
            del self._before[path]

    async def _one(self, entry: Entry) -> None:
        ended: Ended | None = None
        async with self._delivering:
            if self._is_over:
                self.report.waiting += 1
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
            if ended.entry.kind == "sync_run":
                self._upstream.add(ended.entry.run_path)
            self.report.count(ended.receipt.outcome)
            self.watcher.ended(ended.entry, ended.receipt.outcome, ended.receipt.answer)

    async def _begin(self, entry: Entry) -> Ended | None:
        """Claim an entry and deliver it; None when there is nothing to write down.

        Raises:
            LeaseLost: another process may deliver it.
        """
        self.context.lake.storage.may_write()
        before = self._before[entry.run_path]
        stop = before.wait(entry, self.context.now())
        if stop is None and needs_creation(entry):
            given_up = self._given_up.get(entry.run_path)
            await anyio.to_thread.run_sync(look_for_creation, self.context.outbox, before, entry, given_up)
            stop = before.fate(entry)
        if stop is not None and stop.verdict == "waiting":
            before.note(entry, stop)
            self.report.waiting += 1
            return None
        claimed = await anyio.to_thread.run_sync(self.context.outbox.claim, entry)
        if claimed is None:  # folded, dropped or taken meanwhile
            return None
        if (earlier := self._ended.pop(claimed.id, None)) is not None:
            await let_leave(self.context, claimed, earlier)
            return None
        started = anyio.current_time()
        delivered = await self._delivered(claimed) if stop is None else Delivered(outcome="buried", answer=stop.words)
        if delivered.outcome == "held":
            await anyio.to_thread.run_sync(self.context.outbox.hold, claimed, delivered.answer or "")
            before.note(claimed, Decision(verdict="held"))
            self.report.held += 1
            self.watcher.ended(claimed, "held", delivered.answer)
            return None
        if delivered.outcome == "put_back":
            return None
        receipt = receipt_of(
            claimed,
            delivered.outcome,
            ended_at=self.context.now(),
            attempts=claimed.attempts + 1,
            sent=delivered.sent,
            answer=delivered.answer,
            duration_s=anyio.current_time() - started,
        )
        return Ended(entry=claimed, receipt=receipt, delivered=delivered)

    async def _delivered(self, claimed: Entry) -> Delivered:
        """What the delivery of a claimed entry came to; one that failed for the moment is put back."""
        try:
            delivered = await deliver(self.context, claimed)
        except MirrorError as error:
            is_away = await self._is_away(error)
            until = None if is_away else self._later(claimed)
            await self._put_back(claimed, error.message, until, attempted=not is_away)
            return Delivered(outcome="put_back")
        except Exception:  # a defect of ours: it is raised, but does not stand in the way of the others next time
            with anyio.CancelScope(shield=True):
                await self._put_back(claimed, "a defect of wandb-mirror ended the delivery", self._later(claimed))
            raise
        except BaseException:  # cancelled: whether the server acted is for the next look to say
            with anyio.CancelScope(shield=True):
                await self._put_back(claimed, "the delivery was interrupted", None)
            raise
        if delivered.outcome == "put_back" and delivered.again_in_s is not None:
            until = self.context.now() + dt.timedelta(seconds=delivered.again_in_s)
            await self._put_back(claimed, delivered.answer or "", until, attempted=False, remains=delivered.remains)
            if delivered.behind is not None:
                self._behind[claimed.run_path] = claimed, delivered.behind
        elif delivered.outcome == "put_back":
            await self._put_back(claimed, delivered.answer or "", self._later(claimed), unconfirmed=True)
        return delivered

    def _note_creation(self, ended: Ended) -> None:
        if ended.receipt.outcome == "theirs":
            self._given_up[ended.entry.run_path] = ended.entry.id
        else:
            self._given_up.pop(ended.entry.run_path, None)

    async def _is_away(self, error: MirrorError) -> bool:
        """Whether an error is the server's, and not this operation's: then a small question fails as well."""
        async with self._probing:
            if self.report.outage is None:
                self.report.outage = await self.context.upstream.outage(error)
            return self.report.outage is not None

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
        remains: Operation | None = None,
    ) -> None:
        put_back = partial(
            self.context.outbox.put_back, attempted=attempted, unconfirmed=unconfirmed, operation=remains
        )
        await anyio.to_thread.run_sync(put_back, entry, reason, until)
        self._before[entry.run_path].note(entry, Decision(verdict="put_back"))
        self.report.put_back += 1
        self.watcher.ended(entry, "put_back", reason)


async def _next(waiting: Iterator[Placed]) -> list[Placed]:
    """Some more entries; reading them blocks."""
    return await anyio.to_thread.run_sync(lambda: list(islice(waiting, 32)))
