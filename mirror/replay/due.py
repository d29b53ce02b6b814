"""Whether an entry, or anything in the outbox, is due: values and a clock that is given."""

from __future__ import annotations

import datetime as dt

from mirror.outbox import OutboxReader
from mirror.records.operations import Create, Entry, RunPath

FIRST_WAIT_S = 5.0  # before an entry that failed for the moment is tried again; doubled for each further try
LONGEST_WAIT_S = 3600.0
JITTER = 0.25


def later(attempts: int, now: dt.datetime, random: float) -> dt.datetime:
    """When an entry that failed for the moment is tried again, after so many attempts; `random` is from 0 to 1."""
    wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(attempts, 20))
    return now + dt.timedelta(seconds=wait_s * (1 + JITTER * random))


def may_go(entry: Entry, now: dt.datetime) -> bool:
    """Whether an entry need not wait for its next attempt.

    A wait that is longer than any was begun by a wall clock that was ahead, and has been set right since.
    """
    longest = dt.timedelta(seconds=LONGEST_WAIT_S * (1 + JITTER))
    return entry.not_before is None or not now < entry.not_before <= now + longest


def is_due(outbox: OutboxReader, now: dt.datetime) -> bool:
    """Whether a round would have something to deliver now: the first entry of some run need not wait."""
    behind: set[RunPath] = {
        entry.run_path for _, entry in outbox.entries("conflict") if isinstance(entry.operation, Create)
    }
    for state, entry in outbox.entries("claimed", "new"):
        if state == "claimed" or (may_go(entry, now) and entry.run_path not in behind):
            return True
        behind.add(entry.run_path)
    return False
