"""One round over the outbox: the entries of a run in order, runs side by side, memory bounded whatever the backlog.

A run whose entry has to wait waits as a whole, so that its order holds; other runs go on. When nobody answers, the
round ends: what was not begun is as it was.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import deque
from collections.abc import Iterator
from itertools import islice

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskGroup

from mirror.errors import MirrorError
from mirror.outbox import Placed
from mirror.records.operations import Entry, RunPath
from mirror.records.receipts import Outcome, Receipt
from mirror.records.texts import dump_strict
from mirror.replay.deliveries import deliver
from mirror.replay.desk import Desk
from mirror.replay.ledger import Ended, settle, settle_recovered
from mirror.replay.outcomes import (
    Delivered,
    HeldDelivery,
    RefusedDelivery,
    UnconfirmedDelivery,
    is_outage,
    is_refusal,
)
from mirror.replay.watching import Silent, Watcher
from mirror.tasks import side_by_side

AT_ONCE = 256  # entries in memory
SETTLE_MOST = 200  # deliveries that are written down together
SETTLE_WITHIN_S = 0.5  # how long a delivery waits for others to be written down with
FIRST_WAIT_S = 5.0  # before an entry that failed for the moment is tried again; doubled for each further try
LONGEST_WAIT_S = 3600.0
MOST_UNCONFIRMED = 5  # looks at a server that took a change and does not show it
JITTER = 0.25


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


async def replay(desk: Desk, watcher: Watcher | None = None) -> Replayed:
    """Deliver what waits in the outbox, once each.

    Args:
        desk: what deliveries need.
        watcher: shown each operation that is done with; may end the round early.

    Raises:
        HomeBusy: another process replays.
        StoreError: the disk failed; what was not written down stays claimed, and the next replay looks first.
    """
    claimed = [placed.entry for placed in desk.outbox.entries("claimed")]
    with desk.outbox.replaying():
        if claimed:
            await settle_recovered(desk, claimed)
        return await _Round(desk, watcher or Silent()).run()


class _Round:
    """The state of one round."""

    def __init__(self, desk: Desk, watcher: Watcher) -> None:
        self.desk = desk
        self.watcher = watcher
        self.report = Replayed()
        self._lanes: dict[RunPath, deque[Entry]] = {}  # entries of a run that wait for the one before
        self._blocked: set[RunPath] = set()  # runs of which nothing more goes in this round
        self._room = anyio.Semaphore(AT_ONCE)

    async def run(self) -> Replayed:
        send, receive = anyio.create_memory_object_stream[Ended](SETTLE_MOST)
        async with side_by_side() as group:
            group.start_soon(self._write_down, receive)
            async with send:
                await self._deliver_all(send)
        return self.report

    async def _deliver_all(self, send: ObjectSendStream[Ended]) -> None:
        waiting = self.desk.outbox.entries("new")
        async with side_by_side() as lanes:
            while not self._is_over and (some := await _next(waiting)):
                for placed in some:
                    await self._room.acquire()
                    self._assign(placed.entry, lanes, send)

    @property
    def _is_over(self) -> bool:
        return self.report.outage is not None or self.watcher.is_stopping

    def _assign(self, entry: Entry, lanes: TaskGroup, send: ObjectSendStream[Ended]) -> None:
        """Queue an entry behind those of its run."""
        lane = self._lanes.get(entry.run_path)
        if lane is not None:
            lane.append(entry)
            return
        self._lanes[entry.run_path] = deque([entry])
        lanes.start_soon(self._drain, entry.run_path, send)

    async def _drain(self, path: RunPath, send: ObjectSendStream[Ended]) -> None:
        """Deliver the entries of one run, one after the other."""
        lane = self._lanes[path]
        while lane:
            entry = lane.popleft()
            try:
                await self._one(entry, send)
            finally:
                self._room.release()
        del self._lanes[path]

    async def _one(self, entry: Entry, send: ObjectSendStream[Ended]) -> None:
        is_due = entry.not_before is None or entry.not_before <= self.desk.now()
        if self._is_over or entry.run_path in self._blocked or not is_due:
            self._blocked.add(entry.run_path)
            self.report.waiting += 1
            return
        claimed = await anyio.to_thread.run_sync(self.desk.outbox.claim, entry)
        if claimed is None:  # folded, dropped or taken meanwhile
            return
        started = anyio.current_time()
        try:
            delivered = await deliver(self.desk, claimed)
        except RefusedDelivery as refusal:
            delivered = Delivered(outcome="buried", answer=str(refusal))
        except HeldDelivery as held:
            await anyio.to_thread.run_sync(self.desk.outbox.hold, claimed, str(held))
            self.report.held += 1
            self.watcher.ended(claimed, "held", str(held))
            return
        except UnconfirmedDelivery as doubt:
            if claimed.attempts + 1 < MOST_UNCONFIRMED:
                await self._put_back(claimed, str(doubt))
                return
            delivered = Delivered(outcome="buried", answer=str(doubt))
        except MirrorError as error:
            if not is_refusal(error):
                await self._not_now(claimed, error)
                return
            delivered = Delivered(outcome="buried", answer=_words(error))
        except BaseException:  # cancelled, or a defect of ours: whether the server acted is for the next look to say
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.desk.outbox.put_back, claimed, "the delivery was interrupted")
            raise
        receipt = _receipt(claimed, delivered, self.desk.now(), anyio.current_time() - started)
        self.report.count(receipt.outcome)
        await send.send(Ended(entry=claimed, receipt=receipt, delivered=delivered))

    async def _not_now(self, entry: Entry, error: MirrorError) -> None:
        """The server cannot do it at the moment, or is not there at all."""
        if is_outage(error):
            self.report.outage = self.report.outage or error
            await anyio.to_thread.run_sync(self.desk.outbox.put_back, entry, error.message)
            self._blocked.add(entry.run_path)
            self.report.put_back += 1
            self.watcher.ended(entry, "put_back", error.message)
        else:
            await self._put_back(entry, error.message)

    async def _put_back(self, entry: Entry, reason: str) -> None:
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(entry.attempts, 20))
        wait_s *= 1 + JITTER * random.random()  # noqa: S311 - jitter is not a secret
        until = self.desk.now() + dt.timedelta(seconds=wait_s)
        await anyio.to_thread.run_sync(self.desk.outbox.put_back, entry, reason, until)
        self._blocked.add(entry.run_path)
        self.report.put_back += 1
        self.watcher.ended(entry, "put_back", reason)

    async def _write_down(self, receive: ObjectReceiveStream[Ended]) -> None:
        """Commit what deliveries came to, several at a time."""
        async with receive:
            async for first in receive:
                ended = [first]
                with anyio.move_on_after(SETTLE_WITHIN_S):
                    while len(ended) < SETTLE_MOST:
                        try:
                            ended.append(await receive.receive())
                        except anyio.EndOfStream:
                            break
                await settle(self.desk, ended)
                for one in ended:
                    self.watcher.ended(one.entry, one.receipt.outcome, one.receipt.answer)


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


def _words(error: MirrorError) -> str:
    """The server's own words, where it said any."""
    messages = getattr(error, "messages", ())
    return "; ".join(messages) if messages else error.message
