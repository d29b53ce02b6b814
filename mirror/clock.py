"""The system's wall clock, which everything that is not given another one reads."""

from __future__ import annotations

import datetime as dt


def utc_now() -> dt.datetime:
    """The time now, UTC."""
    return dt.datetime.now(dt.UTC)
