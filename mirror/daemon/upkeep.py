"""Maintenance of the home between two pulls: small files merged, the past that is wanted kept, the rest removed."""

from __future__ import annotations

import anyio.to_thread

from mirror.daemon.events import Event
from mirror.daemon.world import World
from mirror.errors import StoreError
from mirror.outbox import OutboxReader
from mirror.store.maintenance import maintain

FIRST_AFTER_S = 3600.0  # a daemon that is started every day maintains its home all the same


class Upkeep:
    """When maintenance is due, and how it is done.

    Args:
        world: what the workers share.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._every_s = world.config.daemon.maintain_every_hours * 3600
        self._due_at = world.now() + min(FIRST_AFTER_S, self._every_s)

    @property
    def wait_s(self) -> float:
        """Seconds until it is due; 0.0 when it is."""
        return max(0.0, self._due_at - self._world.now())

    async def run(self) -> None:
        """Do it now. No pull may be under way; nobody else commits meanwhile. A failure is logged, no more."""
        world = self._world
        self._due_at = world.now() + self._every_s
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
