"""Whether a round over the outbox would find anything to do."""

from __future__ import annotations

import datetime as dt

from mirror.outbox import OutboxReader
from mirror.records.operations import Create, RunPath


def is_due(outbox: OutboxReader, now: dt.datetime) -> bool:
    """Whether a round would have something to deliver now: the first entry of some run need not wait."""
    behind: set[RunPath] = {
        entry.run_path for _, entry in outbox.entries("conflict") if isinstance(entry.operation, Create)
    }
    for state, entry in outbox.entries("claimed", "new"):
        may_go = entry.not_before is None or entry.not_before <= now
        if state == "claimed" or (may_go and entry.run_path not in behind):
            return True
        behind.add(entry.run_path)
    return False
