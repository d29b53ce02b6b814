"""The daemon of a home that shares its lake: it waits for the lease, works while it has it, and waits again.

While it waits, what is queued here is handed over all the same, and what waits in the group is shown here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread

from mirror.daemon.events import Event
from mirror.daemon.logs import Log
from mirror.daemon.schedule.clock import Clock
from mirror.daemon.session import cause_of
from mirror.daemon.status.status_file import State
from mirror.errors import HomeBusy, LakeAway, LeaseLost, MirrorError
from mirror.outbox.group import GroupOutbox
from mirror.replay.wishes import fulfil_wishes
from mirror.sharing import Shared, begin_to_deliver, share, share_with_reader
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.tasks import side_by_side

LOOK_S = 5.0  # between two tries to get the lease, and between two exchanges with the group
LONGEST_S = 60.0  # the longest pause before it is tried again by who could not use it
WATCH_S = 1.0  # between two looks whether the lease is still ours

Work = Callable[[Lake], Awaitable[None]]


class GroupMember:
    """One of the daemons that share a lake.

    Args:
        outbox: of the home.
        log: for what happens.
        clock: the time.
        open_lake: gives the lake, to be entered.
        told: called with who has the lease, and the state that follows from it, for the status.
        meanwhile: what needs no lease; cancelled once there is one.
    """

    def __init__(
        self,
        outbox: GroupOutbox,
        log: Log,
        clock: Clock,
        open_lake: Callable[[], Lake],
        told: Callable[[str, State], None],
        meanwhile: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._outbox, self._log, self._clock = outbox, log, clock
        self._open_lake, self._told, self._meanwhile = open_lake, told, meanwhile
        self._waits_for: str | None = None
        self._is_away = False

    async def run(self, work: Work, is_stopping: Callable[[], bool], stopping: anyio.Event) -> None:
        """Until it is told to stop: get the lease, work, and again.

        Args:
            work: what the holder does; ends when it is told to stop.
            is_stopping: whether it was told.
            stopping: set at that moment.

        Raises:
            MirrorError: as `work`, and what has nothing to do with the lease.
        """
        pause_s = LOOK_S
        while not is_stopping():
            lake = await self._try() or await self._stand_by(stopping)
            if lake is None:
                return
            try:
                await self._work(lake, work)
            except Exception as error:
                cause = cause_of(error)
                if not isinstance(cause, LeaseLost | LakeAway):
                    raise
                self._log.warning(Event.LEASE_LOST, reason=cause.message)
                pause_s = min(LONGEST_S, 2 * pause_s)
            else:
                pause_s = LOOK_S
            finally:
                self._outbox.delivers = False
                self._outbox.rows.option = ""
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(lake.__exit__, None, None, None)
            with anyio.move_on_after(pause_s - LOOK_S):  # another may have what this one lacks
                await stopping.wait()

    async def _stand_by(self, stopping: anyio.Event) -> Lake | None:
        """Do what needs no lease until there is one; None when it is told to stop."""
        lake: Lake | None = None
        async with side_by_side() as group:
            group.start_soon(self._meanwhile)
            while lake is None and not stopping.is_set():
                await self._exchange(lambda: share_with_reader(self._outbox))
                with anyio.move_on_after(LOOK_S):
                    await stopping.wait()
                lake = None if stopping.is_set() else await self._try()
            group.cancel_scope.cancel()
        return lake

    async def _try(self) -> Lake | None:
        """The lake, opened; None while another process has the lease or writes this home, or nobody can be asked."""
        lake = self._open_lake()
        try:
            await anyio.to_thread.run_sync(lake.__enter__)
        except (HomeBusy, LakeAway) as error:
            is_away = isinstance(error, LakeAway)
            if error.message != self._waits_for:
                self._log.info(Event.LAKE_AWAY if is_away else Event.STANDBY, reason=error.message)
            self._waits_for = error.message
            self._told(error.message, "lake_away" if is_away else "standby")
            return None
        self._waits_for = None
        self._told("this process", "standby")
        self._log.info(Event.LEASE_TAKEN)
        return lake

    async def _work(self, lake: Lake, work: Work) -> None:
        objects = Objects(lake.home)
        await anyio.to_thread.run_sync(begin_to_deliver, self._outbox, objects, lake)
        async with side_by_side() as group:
            group.start_soon(self._watch, lake)
            group.start_soon(self._share, lake)
            await work(lake)
            group.cancel_scope.cancel()

    async def _watch(self, lake: Lake) -> None:
        """End all work once the lease is lost.

        Raises:
            LeaseLost: it is.
        """
        while True:
            lake.storage.may_write()
            await anyio.to_thread.run_sync(lake.rest)
            await anyio.sleep(WATCH_S)

    async def _share(self, lake: Lake) -> None:
        objects = Objects(lake.home)

        def exchange() -> Shared:
            done = share(self._outbox, objects, lake)
            with contextlib.suppress(HomeBusy), self._outbox.replaying():  # what is being delivered is decided later
                fulfil_wishes(lake, self._outbox, self._clock.utc())
            return done

        while True:
            await self._exchange(exchange)
            await anyio.sleep(LOOK_S)

    async def _exchange(self, exchange: Callable[[], Shared]) -> None:
        """Exchange once; a group that is not there is told of once."""
        try:
            done = await anyio.to_thread.run_sync(exchange)
        except LeaseLost:
            raise
        except MirrorError as error:
            if not self._is_away:
                self._log.warning(Event.SHARING_FAILED, reason=error.message)
            self._is_away = True
            return
        self._is_away = False
        if done.handed_over:
            self._log.info(Event.HANDED_OVER, operations=done.handed_over)
