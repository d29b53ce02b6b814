"""What the lake has of a run that a later process rewound (`resume_from`): rows behind that step give way.

They are kept as an earlier generation of the run, by the commit that replaces them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

from mirror.records.addresses import RunPath
from mirror.records.contents import STILL_ACTIVE, ContentChanges, HistoryChange, TailRow
from mirror.records.passes import Changes
from mirror.store.engine.lake import Lake
from mirror.store.history.rows import HistoryRows
from mirror.store.objects.objects import Objects
from mirror.store.read.histories import held_histories, stored_histories
from mirror.store.read.runs import read_documents
from mirror.store.write.writer import commit
from mirror.texts.steps import STEP
from mirror.texts.values import parse_lenient


def rewind(lake: Lake, objects: Objects, run: RunPath, step: int, at: dt.datetime) -> None:
    """Leave the rows up to a step; those of an export become rows of the tail, as a part of an export cannot stay.

    Args:
        lake: opened for writing.
        objects: of its home.
        run: whose rows.
        step: the last one that stays.
        at: UTC.

    Raises:
        StoreError: the lake stays at its last commit.
    """
    held = held_histories(lake, run.key, [run.run_id], whole=False)[run.run_id]
    history = HistoryChange(tail_from=step + 1, missing=STILL_ACTIVE)
    if held.exports:
        rows = tuple(_rows(lake, objects, run, step))
        history = HistoryChange(exports=(), tail=rows, replaces_tail=True, missing=STILL_ACTIVE)
    contents = ContentChanges(run_id=run.run_id, history=history)
    commit(lake, Changes(key=run.key, at=at), [contents], objects=objects)


def _rows(lake: Lake, objects: Objects, run: RunPath, step: int) -> Iterator[TailRow]:
    stored = stored_histories(lake, run.key, [run.run_id])[run.run_id]
    summary = parse_lenient(read_documents(lake, run.key, [run.run_id])[run.run_id].summary)
    rows = HistoryRows(objects, stored, lambda: summary if isinstance(summary, dict) else {})
    for batch in rows.batches(None, 0, step + 1, "all"):
        for row in batch:
            yield TailRow(step=int(row[STEP]), row=json.dumps(row, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    """A value that JSON lacks: times, as W&B's exports have them, and bytes."""
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
