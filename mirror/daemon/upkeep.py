"""The worker that maintains the home: small files merged, the past that is wanted kept, the rest removed."""

from __future__ import annotations

import anyio
import anyio.to_thread

from mirror.daemon.alone import Turns
from mirror.daemon.events import Event
from mirror.daemon.pulse import Pulse
from mirror.daemon.world import World
from mirror.errors import StoreError
from mirror.outbox import OutboxReader
from mirror.store.maintenance import maintain

FIRST_AFTER_S = 3600.0  # a daemon that is started every day maintains its home all the same
PATIENCE = 0.25  # of its interval, for which it waits for a moment without pulls before it keeps further ones waiting


class UpkeepWorker:
    """Maintains the home now and then.

    Args:
        world: what the workers share.
        turns: maintenance goes beside no pull.
    """

    def __init__(self, world: World, turns: Turns) -> None:
        self._world = world
        self._turns = turns
        self._every_s = world.config.daemon.maintain_every_hours * 3600
        self._due_at = world.now() + min(FIRST_AFTER_S, self._every_s)
        self._done = 0
        self.pulse = Pulse("upkeep", world.now, lambda: self._done)

    async def run(self) -> None:
        """Wait, maintain, and again."""
        while True:
            wait_s = max(0.0, self._due_at - self._world.now())
            self.pulse.idle(wait_s)
            await anyio.sleep(wait_s)
            self.pulse.idle(None)
            async with self._turns.alone(PATIENCE * self._every_s):
                with self.pulse.busy("maintaining"):
                    self._due_at = self._world.now() + self._every_s
                    await self._maintain()
                    self._done += 1

    async def _maintain(self) -> None:
        """Do it now: nobody else commits meanwhile. A failure is logged, no more."""
        world = self._world
        started = world.now()
        needed = OutboxReader(world.lake.home).needed_objects
        try:
            done = await anyio.to_thread.run_sync(
                lambda: maintain(world.lake, world.config.retention, needed=needed, now=world.clock.disk()),
                limiter=world.storing,
            )
        except StoreError as error:
            world.tally.maintenance_error = str(error)
            world.log.alarm(Event.MAINTENANCE_FAILED, reason=error.message, hint=error.hint)
            return
        world.tally.maintained_at, world.tally.maintenance_error = world.utc(), None
        removed = (done.lake_files, done.orphans, done.objects, done.partials)
        world.log.info(
            Event.MAINTENANCE_DONE,
            merged=done.files_merged,
            removed=sum(one.files for one in removed),
            bytes_freed=sum(one.bytes for one in removed),
            waits_for_readers=done.waits_for_readers,
            seconds=round(world.now() - started, 3),
        )
