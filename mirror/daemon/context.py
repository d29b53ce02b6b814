"""What the workers of a session share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from mirror.api.client import Client
from mirror.config import Config
from mirror.daemon.connection import Connection
from mirror.daemon.events import Event
from mirror.daemon.logs import Log
from mirror.daemon.schedule.clock import Clock
from mirror.daemon.schedule.scheduler import PROBE, Scheduler
from mirror.daemon.schedule.triggers import Probing
from mirror.daemon.status.counters import Counters
from mirror.errors import MirrorError
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.store.write.fresh_rows import FreshRows


@dataclass(frozen=True, kw_only=True)
class DaemonContext:
    """What the workers of a session share."""

    lake: Lake  # open for writing as long as the daemon runs
    objects: Objects  # of its home; what one worker has staged is known to all
    config: Config
    log: Log
    connection: Connection
    clock: Clock
    scheduler: Scheduler
    random: Callable[[], float]  # from 0 to 1
    counters: Counters = field(default_factory=Counters)
    storing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))  # one commit at a time
    fresh: FreshRows = field(default_factory=FreshRows)  # what replays write while pulls are under way

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.now()

    def utc(self) -> dt.datetime:
        """The wall clock."""
        return self.clock.utc()

    def lost(self, error: MirrorError) -> None:
        """The server is away, or refuses the key: said once, and asked until it answers."""
        was_up = self.connection.is_up
        if not self.connection.lost(error, self.utc()):
            return
        if was_up:
            self.scheduler.set(PROBE, Probing(settings=self.config.daemon, random=self.random))
        if self.connection.is_refused:
            self.log.alarm(Event.KEY_REFUSED, reason=error.message, hint=error.hint)
        else:
            self.log.warning(Event.OFFLINE, reason=error.message, hint=error.hint)


class WatchContext(Protocol):
    """What watching folders needs, of who has the lease of a shared lake and of who waits for it."""

    @property
    def lake(self) -> Lake | Reader:
        """Of the home, to be read."""

    @property
    def config(self) -> Config:
        """As it is now."""

    @property
    def log(self) -> Log:
        """For what happens."""

    def now(self) -> float:
        """Monotonic seconds."""

    def utc(self) -> dt.datetime:
        """The wall clock."""


@dataclass(frozen=True, kw_only=True)
class StandbyContext:
    """The same of a daemon that waits for the lease."""

    lake: Reader
    config: Config
    log: Log
    clock: Clock

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.now()

    def utc(self) -> dt.datetime:
        """The wall clock."""
        return self.clock.utc()


async def ask(client: Client) -> MirrorError | None:
    """A small question to the server; why it does not answer with what is needed, None when it does."""
    try:
        await client.check()
    except MirrorError as error:
        return error
    return None
