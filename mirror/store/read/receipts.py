"""What deliveries came to, as the replay asks before it tries again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from mirror.records.addresses import RunPath
from mirror.records.receipts import Ending
from mirror.store.engine.meta import has_table
from mirror.store.engine.queries import Queryable, columns_of, structs
from mirror.typed import struct_of


def endings_of(lake: Queryable, entry_ids: Sequence[str]) -> dict[str, list[Ending]]:
    """The receipts that some entries have, latest first, by entry id."""
    if not has_table(lake, "receipts"):  # a lake of an older version
        return {}
    rows = lake.rows(
        f"SELECT id, {columns_of(Ending)} FROM lake.receipts WHERE id IN (SELECT unnest(?::VARCHAR[]))"
        " ORDER BY ended_at DESC",
        [list(entry_ids)],
    )
    found: dict[str, list[Ending]] = {}
    for entry_id, *values in rows:
        found.setdefault(entry_id, []).append(struct_of(Ending, values))
    return found


def asked_of(lake: Queryable, entry_ids: Sequence[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What entries asked that have a receipt: the operation as JSON, and the ids of the edits that were folded in."""
    if not has_table(lake, "receipts"):
        return {}
    rows = lake.rows(
        "SELECT id, arg_max(operation, ended_at), arg_max(coalesce(folded, []), ended_at) FROM lake.receipts"
        " WHERE id IN (SELECT unnest(?::VARCHAR[])) GROUP BY id",
        [list(entry_ids)],
    )
    return {entry_id: (operation, tuple(folded)) for entry_id, operation, folded in rows}


def given_up_creations(lake: Queryable) -> dict[RunPath, str]:
    """The runs whose last creation a person gave up, each with the id of that entry."""
    if not has_table(lake, "receipts"):
        return {}
    rows = lake.rows(
        "SELECT entity, project, run_id, arg_max(id, ended_at) FROM lake.receipts WHERE kind = 'create'"
        " GROUP BY ALL HAVING arg_max(outcome, ended_at) IN ('dropped', 'theirs')"
    )
    return {RunPath(entity, project, run_id): entry_id for entity, project, run_id, entry_id in rows}


class LastReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery came to, in short. Times are UTC without a zone, as the lake has them."""

    id: str
    entity: str
    project: str
    run_id: str
    kind: str
    outcome: str
    answer: str | None
    created_at: dt.datetime
    ended_at: dt.datetime


def last_receipts(lake: Queryable, count: int) -> list[LastReceipt]:
    """The last so many receipts, latest first."""
    if not has_table(lake, "receipts"):
        return []
    rows = lake.rows(f"SELECT {columns_of(LastReceipt)} FROM lake.receipts ORDER BY ended_at DESC LIMIT ?", [count])
    return structs(LastReceipt, rows)
