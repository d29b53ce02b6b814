"""The worker that delivers: a round over the outbox on notice, and now and then in any case."""

from __future__ import annotations

import anyio.to_thread

from mirror.api.client import Client
from mirror.config import conflict_policy
from mirror.daemon.context import DaemonContext
from mirror.daemon.events import Event
from mirror.daemon.workers.activity import Activity
from mirror.daemon.workers.wake_up import WakeUp
from mirror.errors import AuthError, HomeBusy, ServerError, Unreachable
from mirror.outbox import Outbox
from mirror.records.operations import Entry
from mirror.replay import DeliveryContext, Replayed, Result, replay
from mirror.replay.order import is_due

RETRY_LOOK_S = 5.0  # until the next look while something waits for its next attempt


class ReplayWorker:
    """Delivers for as long as nobody cancels it.

    Args:
        context: what it shares.
        client: its own, so that its requests show that it moves.
        outbox: of the home.
    """

    def __init__(self, context: DaemonContext, client: Client, outbox: Outbox) -> None:
        self.wake_up = WakeUp()
        self.is_stopping = False  # with it, nothing more is begun
        self.activity = Activity("replay", context.now, lambda: client.spent)  # and operations that ended
        self._context = context
        self._client = client
        self._outbox = outbox
        self._features: frozenset[str] | None = None
        self._busy_told = False

    async def run(self) -> None:
        """Wait, deliver what waits, and again.

        Raises:
            StoreError: the home, the lake or the disk.
        """
        wait_s = 0.0
        while True:
            self.activity.idle(wait_s)
            await self.wake_up.wait(wait_s)
            self.activity.idle(None)
            await self._context.connection.wait_up()
            if self.is_stopping:
                return
            with self.activity.busy("delivering"):
                wait_s = await self._round()

    async def _round(self) -> float:
        """One round; how long to wait after it, seconds."""
        context = self._context
        rescan_s = context.config.daemon.rescan_s
        if not await anyio.to_thread.run_sync(is_due, self._outbox, context.utc()):
            context.connection.replayed()
            return min(rescan_s, RETRY_LOOK_S) if self._outbox.counts()["new"] else rescan_s
        try:
            report = await replay(await self._desk(), self)
        except HomeBusy as busy:
            if not self._busy_told:
                context.log.warning(Event.HOME_BUSY, reason=busy.message)
            self._busy_told = True
            context.connection.replayed()
            return min(rescan_s, RETRY_LOOK_S)
        except (AuthError, Unreachable, ServerError) as error:
            self._features = None
            context.lost(error)
            return rescan_s
        self._busy_told = False
        if report.outage is not None:
            self._features = None
            context.lost(report.outage)
        else:
            context.connection.replayed()
        self._tell(report)
        return min(rescan_s, RETRY_LOOK_S)

    async def _desk(self) -> DeliveryContext:
        """What deliveries need. To a key that it does not know, a server may show no run at all: so it is asked first.

        Raises:
            AuthError, Unreachable, ServerError: nothing may be begun.
        """
        if self._features is None:
            await self._client.check()
            self._features = await self._client.current_features(self._context.utc())
        context = self._context
        return DeliveryContext(
            client=self._client,
            lake=context.lake,
            objects=context.objects,
            outbox=self._outbox,
            features=self._features,
            source_policy=lambda entry: conflict_policy(context.config.source, entry.entity, entry.project),
            now=context.utc,
            storing=context.storing,
            fresh=context.fresh,
        )

    def ended(self, entry: Entry, result: Result, words: str | None) -> None:
        """An operation is done with for this round; what a person may want to know is logged."""
        self.activity.steps += 1
        self._context.counters.operations[result] += 1
        if result in ("buried", "held", "put_back"):
            self._context.log.warning(
                Event.OPERATION_ENDED,
                id=entry.id,
                run=str(entry.run_path),
                kind=entry.kind,
                result=result,
                reason=words,
            )

    def _tell(self, report: Replayed) -> None:
        counts = {
            name: count
            for name in ("applied", "already_so", "theirs", "buried", "held", "put_back", "waiting")
            if (count := getattr(report, name))
        }
        if counts:
            self._context.log.info(Event.REPLAY_DONE, **counts)
