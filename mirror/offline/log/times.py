"""Times of a log: protobuf's, and as W&B's SDK spells them."""

from __future__ import annotations

import datetime as dt
from typing import Any

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def time_of(timestamp: Any) -> dt.datetime:
    """A protobuf timestamp, UTC; what lies beyond the years of Python counts as the epoch."""
    try:
        return EPOCH + dt.timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)
    except OverflowError:
        return EPOCH


def nanoseconds(timestamp: Any) -> int:
    """A protobuf timestamp since the epoch."""
    return int(timestamp.seconds) * 10**9 + int(timestamp.nanos)


def seconds_text(nanoseconds: int) -> str:
    """Seconds as W&B's SDK comes to them: whole ones, and the rest as a part of one."""
    return repr(nanoseconds // 10**9 + nanoseconds % 10**9 / 1e9)
