"""What all passes of a pull share, and how they call the store without waiting for one another's disk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from mirror.api.client import Client
from mirror.config import PullSettings
from mirror.pull.contents.fetch import UnderWay
from mirror.pull.report import PullWatcher
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.write.fresh_rows import FreshRows

P = ParamSpec("P")
T = TypeVar("T")


def _one() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(1)


@dataclass(frozen=True, kw_only=True)
class PullContext:
    """What all passes of a pull share."""

    client: Client
    lake: Lake
    objects: Objects
    settings: PullSettings
    watcher: PullWatcher
    now: Callable[[], dt.datetime]  # UTC
    reserve_bytes: float = 0.0  # of the disk, which no download takes
    accept_missing: bool = False  # a person agreed that runs may be marked as gone, however many
    retry_quarantined: bool = False  # a person asked to try again what was given up
    dry_run: bool = False  # plan, and change nothing
    under_way: UnderWay = field(default_factory=UnderWay)
    readers: anyio.CapacityLimiter = field(default_factory=_one)
    writers: anyio.CapacityLimiter = field(default_factory=_one)
    fresh: FreshRows = field(default_factory=FreshRows)

    async def stored(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the store in a thread. It waits for a transaction that is open, not for what is prepared before one."""
        return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self.readers)

    async def written(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Commit in a thread, one commit after the other."""
        return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self.writers)
