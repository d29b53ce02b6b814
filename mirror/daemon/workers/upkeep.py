"""What maintains the home: small files merged, the past that is wanted kept, the rest removed."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial

import anyio.to_thread

from mirror.daemon.context import DaemonContext
from mirror.daemon.events import Event
from mirror.daemon.schedule.triggers import Every
from mirror.daemon.workers.alone import Turns
from mirror.errors import StoreError
from mirror.outbox.group import needed_objects
from mirror.store.care.maintenance import Maintenance, maintain

FIRST_AFTER_S = 3600.0  # a daemon that is started every day maintains its home all the same
PATIENCE = 0.25  # of its interval, for which it waits for a moment without pulls before it keeps further ones waiting


class Upkeep:
    """Maintains the home.

    Args:
        context: what is shared with other work.
        turns: maintenance goes beside no pull.
    """

    def __init__(self, context: DaemonContext, turns: Turns) -> None:
        self._context = context
        self._turns = turns
        self._every_s = context.config.daemon.maintain_every_hours * 3600

    @property
    def trigger(self) -> Every:
        """When it is done."""
        return Every(self._every_s, first_s=min(FIRST_AFTER_S, self._every_s))

    def gate(self) -> AbstractAsyncContextManager[None]:
        """Inside, nobody else commits."""
        return self._turns.alone(PATIENCE * self._every_s)

    async def maintain(self) -> bool:
        """Do it now. A failure is logged, no more."""
        try:
            await self.done()
        except StoreError:
            return False
        return True

    async def done(self) -> Maintenance:
        """Do it now, because it is due or somebody asked for it, and tell the log of it.

        Raises:
            StoreError: it failed.
        """
        context = self._context
        started = context.now()
        needed = partial(needed_objects, context.lake.home)
        try:
            done = await anyio.to_thread.run_sync(
                lambda: maintain(context.lake, context.config.retention, needed=needed, now=context.clock.disk()),
                limiter=context.storing,
            )
        except StoreError as error:
            context.counters.maintenance_error = str(error)
            context.log.alarm(Event.MAINTENANCE_FAILED, reason=error.message, hint=error.hint)
            raise
        context.counters.maintained_at, context.counters.maintenance_error = context.utc(), None
        removed = (done.lake_files, done.orphans, done.objects, done.partials)
        context.log.info(
            Event.MAINTENANCE_DONE,
            merged=done.files_merged,
            removed=sum(one.files for one in removed),
            bytes_freed=sum(one.bytes for one in removed),
            waits_for_readers=done.waits_for_readers,
            seconds=round(context.now() - started, 3),
        )
        return done
