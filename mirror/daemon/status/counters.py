"""What a daemon has done since it began, beside the requests that its clients count themselves."""

from __future__ import annotations

import datetime as dt
from collections import Counter


class Counters:
    """Counted up by the workers of one session after the other; read by whoever tells of it."""

    def __init__(self) -> None:
        self.pulls_good = 0  # without an error in any project
        self.pulls_failed = 0  # with one, or ended by an outage
        self.operations: Counter[str] = Counter()  # by how each try of a delivery ended
        self.source_errors: Counter[str] = Counter()  # by path: pulls that a project of it failed in
        self.quarantined = 0  # items of the mirror that are given up now
        self.maintained_at: dt.datetime | None = None  # UTC
        self.maintenance_error: str | None = None  # why it failed the last time
