"""What a look over a project saw: compared afterwards with what it had to see."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class ListedRuns:
    """What a look saw."""

    unseen: set[str]  # ids of runs that it has to see and has not
    listed: set[str] = field(default_factory=set)  # ids of runs that it saw, those that could not be read with them
    pages: int = 0
    total: int | None = None  # runs in the project
    counted: int | None = None  # runs that the filter of the count matches
    oldest: dt.datetime | None = None  # the least `updatedAt` of a listing by it, UTC
