"""The worker that delivers: a round over the outbox on notice, and now and then in any case."""

from __future__ import annotations

import anyio.to_thread

from mirror.api import Client
from mirror.config import conflict_policy
from mirror.daemon.bell import Bell
from mirror.daemon.events import Event
from mirror.daemon.pulse import Pulse
from mirror.daemon.world import World
from mirror.errors import AuthError, HomeBusy, ServerError, Unreachable
from mirror.outbox import Outbox
from mirror.records.operations import Entry
from mirror.replay import Desk, Replayed, Result, replay
from mirror.replay.due import is_due

RETRY_LOOK_S = 5.0  # until the next look while something waits for its next attempt


class ReplayWorker:
    """Delivers for as long as nobody cancels it.

    Args:
        world: what it shares.
        client: its own, so that its requests show that it moves.
        outbox: of the home.
    """

    def __init__(self, world: World, client: Client, outbox: Outbox) -> None:
        self.bell = Bell()
        self.is_stopping = False  # with it, nothing more is begun
        self.pulse = Pulse("replay", world.now, lambda: client.spent)  # and operations that ended
        self._world = world
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
            self.pulse.idle(wait_s)
            await self.bell.wait(wait_s)
            self.pulse.idle(None)
            await self._world.line.wait_up()
            if self.is_stopping:
                return
            with self.pulse.busy("delivering"):
                wait_s = await self._round()

    async def _round(self) -> float:
        """One round; how long to wait after it, seconds."""
        world = self._world
        rescan_s = world.config.daemon.rescan_s
        if not await anyio.to_thread.run_sync(is_due, self._outbox, world.utc()):
            world.line.replayed()
            return min(rescan_s, RETRY_LOOK_S) if self._outbox.counts()["new"] else rescan_s
        try:
            report = await replay(await self._desk(), self)
        except HomeBusy as busy:
            if not self._busy_told:
                world.log.warning(Event.HOME_BUSY, reason=busy.message)
            self._busy_told = True
            world.line.replayed()
            return min(rescan_s, RETRY_LOOK_S)
        except (AuthError, Unreachable, ServerError) as error:
            self._features = None
            world.lost(error)
            return rescan_s
        self._busy_told = False
        if report.outage is not None:
            self._features = None
            world.lost(report.outage)
        else:
            world.line.replayed()
        self._tell(report)
        return min(rescan_s, RETRY_LOOK_S)

    async def _desk(self) -> Desk:
        """What deliveries need. To a key that it does not know, a server may show no run at all: so it is asked first.

        Raises:
            AuthError, Unreachable, ServerError: nothing may be begun.
        """
        if self._features is None:
            await self._client.check()
            self._features = await self._client.current_features(self._world.utc())
        world = self._world
        return Desk(
            client=self._client,
            lake=world.lake,
            objects=world.objects,
            outbox=self._outbox,
            features=self._features,
            source_policy=lambda entry: conflict_policy(world.config.source, entry.entity, entry.project),
            now=world.utc,
            storing=world.storing,
            fresh=world.fresh,
        )

    def ended(self, entry: Entry, result: Result, words: str | None) -> None:
        """An operation is done with for this round; what a person may want to know is logged."""
        self.pulse.steps += 1
        self._world.tally.operations[result] += 1
        if result in ("buried", "held", "put_back"):
            path = "/".join(entry.run_path)
            self._world.log.warning(
                Event.OPERATION_ENDED, id=entry.id, run=path, kind=entry.kind, result=result, reason=words
            )

    def _tell(self, report: Replayed) -> None:
        counts = {
            name: count
            for name in ("applied", "already_so", "theirs", "buried", "held", "put_back", "waiting")
            if (count := getattr(report, name))
        }
        if counts:
            self._world.log.info(Event.REPLAY_DONE, **counts)
