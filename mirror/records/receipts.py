"""What an operation came to: one receipt for each that was delivered, buried or given up."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import msgspec

from mirror.records.addresses import RunPath
from mirror.records.operations import Entry
from mirror.texts.values import dump_strict

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
        return RunPath(self.entity, self.project, self.run_id)


def receipt_of(
    entry: Entry,
    outcome: Outcome,
    *,
    ended_at: dt.datetime,
    attempts: int,
    sent: Any = None,
    answer: str | None = None,
    duration_s: float = 0.0,
) -> Receipt:
    """The receipt of an entry.

    Args:
        entry: as it was delivered.
        outcome: what it came to.
        ended_at: UTC.
        attempts: deliveries that were begun, this one included.
        sent: what was sent, as plain values; None: nothing was.
        answer: what the server said, or why nothing was sent.
        duration_s: of the delivery.
    """
    return Receipt(
        id=entry.id,
        entity=entry.entity,
        project=entry.project,
        run_id=entry.run_id,
        kind=entry.kind,
        operation=dump_strict(msgspec.to_builtins(entry.operation)),
        created_at=entry.created_at,
        ended_at=ended_at,
        outcome=outcome,
        attempts=attempts,
        sent=None if sent is None else dump_strict(sent),
        answer=answer,
        duration_s=duration_s,
        folded=entry.folded,
    )


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What of a receipt tells whether its entry is to be delivered again."""

    outcome: Outcome
    attempts: int
    answer: str | None
