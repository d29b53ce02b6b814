"""The time, as everything in the daemon reads it: given once to the process, so that ten days can pass in minutes.

Waits go through the event loop, whose own time is the monotonic clock here. A loop with another time needs no other
daemon: `anyio.current_time` asks the loop that is on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from mirror.clock import utc_now


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Three clocks of one moment."""

    utc: Callable[[], dt.datetime] = utc_now  # the wall clock; it jumps
    now: Callable[[], float] = (
        anyio.current_time
    )  # monotonic seconds, of the event loop; it stands while the machine does
    disk: Callable[[], dt.datetime] = (
        utc_now  # what files and snapshots are dated by, UTC; ages of them are reckoned by it
    )
