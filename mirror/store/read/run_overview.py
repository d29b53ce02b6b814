"""What a home holds of one run, in numbers: the figures behind `wandb-mirror status RUN`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.store.engine.connection import Engine, store_errors
from mirror.store.history.nesting import prefixes
from mirror.typed import struct_of

LISTED = 100  # files without bytes that are named one by one
T = TypeVar("T")


class HistoryOverview(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a run's history is held, beside what the server says there is."""

    last_step: int | None  # by the server's word
    history_line_count: int | None  # by the server's count
    rows_held: int  # distinct steps, and rows without a step
    shared_rows: int  # rows that were merged into another one at the same step
    last_step_held: int | None
    parts: int  # exports
    export_bytes: int
    tail_rows: int  # rows that no export holds yet
    complete: bool
    reason: str | None  # why it is not complete
    synced_at: dt.datetime


class FilesOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A run's files by what became of them."""

    held: int
    held_bytes: int
    left_out: int  # by the source's policy
    failed: int
    gone: int  # no longer listed upstream; their bytes stay
    not_held: list[FileOverview]  # the first of those left out or failed, by name


class FileOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose newest bytes are not held."""

    name: str
    size: int | None  # bytes
    status: str  # "left_out" or "failed"
    reason: str | None


class ArtifactOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A version that the run logged or used."""

    name: str  # as `model:v3`
    type: str
    direction: str  # "logged" or "used"
    state: str
    aliases: list[str]
    size: int | None  # bytes
    file_count: int | None
    files_held: int


class ItemFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a run that could not be taken, and is tried again."""

    item: str  # "file NAME", "history", "console", …; empty for the run itself
    reason: str
    attempts: int
    first_at: dt.datetime
    last_at: dt.datetime
    next_at: dt.datetime  # not tried again before
    quarantined: bool  # not tried again until a person asks for it


class RunOverview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is held of one run. Times are UTC without a zone, as the lake has them."""

    entity: str
    project: str
    run_id: str
    display_name: str | None
    state: str | None
    gone_at: dt.datetime | None
    synced_at: dt.datetime
    history_line_count: int | None  # by the server's count
    history: HistoryOverview | None  # None: never read, because nothing was logged or it is not wanted
    files: FilesOverview
    metric_keys: int
    system_metric_rows: int  # distinct instants
    console_lines: int
    artifacts: list[ArtifactOverview]
    failures: list[ItemFailure]


_WHERE = "entity = $1 AND project = $2 AND run_id = $3"
_RUN = f"""
SELECT entity, project, run_id, display_name, state, gone_at, synced_at, history_line_count,
       (SELECT count(DISTINCT key) FROM lake.metrics WHERE {_WHERE}),
       (SELECT count(DISTINCT number) FROM lake.system_metrics WHERE {_WHERE}),
       (SELECT count(*) FROM lake.console_lines WHERE {_WHERE})
FROM lake.runs WHERE {_WHERE}
"""
_HISTORY = f"""
SELECT last_step, history_line_count, rows_held, shared_rows, last_step_held, parts,
       coalesce((SELECT sum(bytes)::BIGINT FROM lake.exports WHERE {_WHERE}), 0), tail_rows, complete, reason, synced_at
FROM lake.completeness WHERE {_WHERE}
"""
_FILES = f"""
SELECT count(*) FILTER (status = 'held'), coalesce(sum(size) FILTER (status = 'held'), 0)::BIGINT,
       count(*) FILTER (status = 'left_out'), count(*) FILTER (status = 'failed'), count(*) FILTER (status = 'gone')
FROM lake.files WHERE {_WHERE}
"""
_NOT_HELD = f"""
SELECT name, size, status, reason FROM lake.files WHERE {_WHERE} AND status IN ('left_out', 'failed')
ORDER BY name LIMIT {LISTED}
"""
_ARTIFACTS = """
SELECT a.sequence || ':v' || coalesce(a.version_index::VARCHAR, '?'), a.type, l.direction, a.state,
       coalesce(a.aliases, []), a.size, a.file_count, coalesce(f.held, 0)
FROM lake.run_artifacts l JOIN lake.artifacts a USING (artifact_id)
LEFT JOIN (SELECT artifact_id, count(object) AS held FROM lake.artifact_files GROUP BY artifact_id) f
    USING (artifact_id)
WHERE l.entity = $1 AND l.project = $2 AND l.run_id = $3 ORDER BY l.direction, a.sequence, a.version_index
"""
_FAILURES = f"""
SELECT item, reason, attempts, first_at, last_at, next_at, quarantined FROM lake.failures WHERE {_WHERE} ORDER BY item
"""


def run_overview(engine: Engine, home: Home, run: RunPath) -> RunOverview | None:
    """Everything that is held of one run, from one commit.

    Args:
        engine: with the lake attached, from `connect`.
        home: for error messages.
        run: entity, project, run id.

    Returns:
        None when the run is not held.
    """

    def ask(query: str) -> list[tuple[Any, ...]]:
        return engine.execute(query, list(run)).fetchall()

    with store_errors(home):
        engine.execute("BEGIN")
        try:
            found = ask(_RUN)
            failures = [struct_of(ItemFailure, row) for row in ask(_FAILURES)]
            if not found:
                return None
            (*facts, metric_keys, system_metric_rows, console_lines) = found[0]
            histories = ask(_HISTORY)
            not_held = [struct_of(FileOverview, row) for row in ask(_NOT_HELD)]
            return RunOverview(
                **dict(zip(RunOverview.__struct_fields__[:8], facts, strict=True)),
                history=struct_of(HistoryOverview, histories[0]) if histories else None,
                files=struct_of(FilesOverview, (*ask(_FILES)[0], not_held)),
                metric_keys=metric_keys,
                system_metric_rows=system_metric_rows,
                console_lines=console_lines,
                artifacts=[struct_of(ArtifactOverview, row) for row in ask(_ARTIFACTS)],
                failures=failures,
            )
        finally:
            engine.execute("COMMIT")


def unknown_keys(engine: Engine, home: Home, run: RunPath, keys: Sequence[str]) -> list[str]:
    """Those of some keys that no step of a run holds, under that name or as a dictionary with members; W&B's own, such
    as `_timestamp`, are taken as known."""
    with store_errors(home):
        rows = engine.execute(f"SELECT DISTINCT key FROM lake.metrics WHERE {_WHERE}", run).fetchall()
    known = {name for (key,) in rows for name in (key, *prefixes(key))}
    return [key for key in keys if key not in known and not key.startswith("_")]
