"""What an operation came to: one receipt for each that was delivered, buried or given up."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from mirror.records.operations import RunPath

Outcome = Literal[
    "applied",  # the server made the change, and shows it
    "already_so",  # the server had it that way before anything was sent
    "theirs",  # a conflict was settled for what the server has
    "buried",  # the server refused it; the entry stays in the outbox until somebody retries or drops it
    "dropped",  # a person gave it up
]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One end of one operation; an operation that is retried after it was buried gets another."""

    id: str  # of the entry
    entity: str
    project: str
    run_id: str
    kind: str  # "edit", "upload_file", …
    operation: str  # JSON: what was asked
    created_at: dt.datetime  # UTC; when it was asked
    ended_at: dt.datetime  # UTC
    outcome: Outcome
    attempts: int  # deliveries that were begun, this one included
    sent: str | None  # JSON: what was sent; None: nothing was
    answer: str | None  # what the server said, or why nothing was sent
    duration_s: float  # of the delivery
    folded: tuple[str, ...] = ()  # ids of the operations whose changes are in this one

    @property
    def run_path(self) -> RunPath:
        """Entity, project, run id."""
        return self.entity, self.project, self.run_id


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What of a receipt tells whether its entry is to be delivered again."""

    outcome: Outcome
    attempts: int
    answer: str | None
