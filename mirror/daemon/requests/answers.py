"""What is done about a request: alone at the home, as maintenance is, while deliveries go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import msgspec

from mirror.check.repair import Plan, repair
from mirror.config import settings_of
from mirror.daemon.context import DaemonContext
from mirror.daemon.events import Event
from mirror.daemon.requests.server import Tell
from mirror.daemon.requests.wire import (
    AskAdd,
    AskDrop,
    AskImport,
    AskMaintain,
    AskPull,
    AskRepair,
    Dropped,
    ImportDone,
    Maintained,
    Outcome,
    Progress,
    PullDone,
    Repaired,
    Request,
    Waits,
)
from mirror.daemon.workers.activity import Activity
from mirror.daemon.workers.alone import Turns
from mirror.daemon.workers.offline import OfflineWorker
from mirror.daemon.workers.pulling import Pulls
from mirror.daemon.workers.upkeep import Upkeep
from mirror.errors import HomeBusy
from mirror.outbox import Outbox
from mirror.pull import ProjectReport, PullReport, PullRequest
from mirror.records.operations import Entry
from mirror.replay.ledger import give_up
from mirror.tasks import side_by_side
from mirror.typed import decode

TELL_S = 0.5  # between two replies that tell progress
STILL_HERE_S = 10.0  # between two replies that tell none
MOST_FAILED = 100  # failures of a pass that is under way; told whole when it ends
BETWEEN_ROUNDS_S = 60.0  # for a round of deliveries to end


class Answers:
    """Does what is asked, one request after the other.

    Args:
        context: what is shared with the workers.
        pulls, upkeep: do what is asked, as they do what is due.
        turns: nobody else commits meanwhile but deliveries.
        offline: takes runs in that were trained without a server.
        outbox: of the home.
    """

    def __init__(
        self,
        context: DaemonContext,
        pulls: Pulls,
        upkeep: Upkeep,
        turns: Turns,
        offline: OfflineWorker,
        outbox: Outbox,
    ) -> None:
        self._outbox = outbox
        self._seen = _Seen()
        self.activity = Activity("requests", context.now, lambda: (pulls.spent, self._seen.steps))
        self._context = context
        self._pulls, self._upkeep = pulls, upkeep
        self._turns, self._offline = turns, offline

    async def answer(self, request: Request, tell: Tell) -> Outcome:
        """Wait for the turn, do it, and say what it came to.

        Raises:
            MirrorError: it could not be done.
        """
        if isinstance(request, AskDrop):  # beside pulls, as deliveries are
            async with _again(tell, Progress(()), STILL_HERE_S):
                return Dropped(await self._drop(request.entry_id))
        if isinstance(request, AskAdd):  # and so are runs that were trained without a server
            async with _again(tell, Progress(()), STILL_HERE_S):
                return await self._offline.add(request.wanted)
        if isinstance(request, AskImport):
            async with _again(tell, Progress(()), STILL_HERE_S):
                return ImportDone(await self._offline.take_archive(request.file))
        at_work = [job.name for job in self._context.scheduler.statuses if job.state == "running"]
        waits = Waits(" and ".join(at_work) or "another request")
        async with _again(tell, waits, STILL_HERE_S) as waiting, self._turns.alone(patience_s=0.0):
            waiting.cancel()
            with self.activity.busy(f"asked to {_NAMES[type(request)]}"):
                self._context.log.info(Event.ASKED, request=_NAMES[type(request)])
                return await self._do(request, tell)

    async def _do(self, request: AskPull | AskMaintain | AskRepair, tell: Tell) -> Outcome:
        context = self._context
        if isinstance(request, AskPull):
            return PullDone(await self._pull(request, tell))
        async with _again(tell, Progress(()), STILL_HERE_S) as telling:
            if isinstance(request, AskMaintain):
                outcome: Outcome = Maintained(msgspec.Raw(msgspec.json.encode(await self._upkeep.done())))
            else:
                plan = decode(request.plan, Plan)
                outcome = Repaired(
                    await anyio.to_thread.run_sync(
                        lambda: repair(context.lake, plan, context.utc()), limiter=context.storing
                    )
                )
            telling.cancel()
            return outcome

    async def _drop(self, entry_id: str) -> Entry:
        """Give an entry up between two rounds of deliveries, which would put back what is claimed for it.

        Raises:
            HomeBusy: a round takes too long.
            EntryMoved: a replay was faster.
        """
        context = self._context
        outbox = self._outbox

        def drop() -> Entry:
            with outbox.replaying():
                return give_up(context.lake, outbox, entry_id, context.utc())

        until = anyio.current_time() + BETWEEN_ROUNDS_S
        while True:
            try:
                return await anyio.to_thread.run_sync(drop, limiter=context.storing)
            except HomeBusy:
                if anyio.current_time() > until:
                    raise
                await anyio.sleep(TELL_S / 5)

    async def _pull(self, asked: AskPull, tell: Tell) -> PullReport:
        self._seen, sources = _Seen(), self._context.config.source
        request = PullRequest(
            sources=asked.narrowing.of([settings_of(sources, path) for path in asked.sources] or sources),
            runs=asked.runs,
            force_walk=asked.force_walk,
            accept_missing=asked.accept_missing,
            retry_quarantined=asked.retry_quarantined,
            dry_run=asked.dry_run,
        )
        async with side_by_side() as group:
            group.start_soon(self._seen.tell_on, tell)
            report, _ = await self._pulls.done(request, self._seen)
            group.cancel_scope.cancel()
        await tell(self._seen.news())
        return report


_NAMES: dict[type, str] = {AskPull: "pull", AskMaintain: "maintain", AskRepair: "repair", AskDrop: "drop"}


class _Seen:
    """A pull as its watcher sees it, told again and again."""

    def __init__(self) -> None:
        self.steps = 0
        self._under_way: list[ProjectReport] = []
        self._ended: list[ProjectReport] = []  # and not told yet

    def pass_started(self, report: ProjectReport) -> None:
        """A pass begins."""
        self.steps += 1
        self._under_way.append(report)

    def page_done(self, _: ProjectReport, __: int | None) -> None:
        """A page is committed."""
        self.steps += 1

    def pass_ended(self, report: ProjectReport) -> None:
        """A pass ended."""
        self.steps += 1
        self._under_way.remove(report)
        self._ended.append(report)

    def news(self) -> Progress:
        """What is to be told now."""
        ended, self._ended = tuple(self._ended), []
        some = (msgspec.structs.replace(one, failed=one.failed[:MOST_FAILED]) for one in self._under_way)
        return Progress(tuple(some), ended)

    async def tell_on(self, tell: Tell) -> None:
        """Until cancelled."""
        while True:
            await anyio.sleep(TELL_S)
            await tell(self.news())


@asynccontextmanager
async def _again(tell: Tell, reply: Waits | Progress, every_s: float) -> AsyncGenerator[anyio.CancelScope, None]:
    """Say the same again and again, until the scope is cancelled."""
    saying = anyio.CancelScope()

    async def say() -> None:
        with saying:
            await anyio.sleep(TELL_S)  # what is done at once needs no word
            while True:
                await tell(reply)
                await anyio.sleep(every_s)

    async with side_by_side() as group:
        group.start_soon(say)
        try:
            yield saying
        finally:
            saying.cancel()
