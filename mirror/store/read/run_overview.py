"""What a home holds of one run, in numbers: the figures behind `wandb-mirror status RUN` and a run's page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from mirror.records.addresses import RunPath
from mirror.records.passes import COSTS_HISTORY
from mirror.store.engine.queries import Queryable, columns_of, structs
from mirror.store.engine.reader import Reader
from mirror.store.history.nesting import prefixes
from mirror.store.read.failures import FailureOverview, failures_of
from mirror.store.schema.keys import OF_RUN
from mirror.typed import struct_of

LISTED = 100  # files without bytes that are named one by one
FAILURES_LISTED = 20


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
    failures: list[FailureOverview]


class RunGaps(msgspec.Struct, frozen=True, kw_only=True):
    """What of a run is not held: what a page that shows it must say. Times are UTC without a zone."""

    synced_at: dt.datetime | None  # when the run changed here last; None: it is not in the lake
    rows_logged: int | None  # steps of its history, by the server's count
    rows_held: int | None  # None: the history was never read
    is_complete: bool
    reason: str | None  # why the history is not complete
    files_not_held: int  # listed upstream, and left out or failed
    failures: tuple[tuple[str, str], ...]  # item and reason of what could not be taken


_LACKING = "status IN ('left_out', 'failed')"
_FACTS = f"""
SELECT entity, project, run_id, display_name, state, gone_at, synced_at, history_line_count,
       (SELECT count(DISTINCT key) FROM lake.metrics WHERE {OF_RUN}),
       (SELECT count(DISTINCT number) FROM lake.system_metrics WHERE {OF_RUN}),
       (SELECT count(*) FROM lake.console_lines WHERE {OF_RUN})
FROM lake.runs WHERE {OF_RUN}
"""
_EXPORTED = f"coalesce((SELECT sum(bytes)::BIGINT FROM lake.exports WHERE {OF_RUN}), 0)"
_HISTORY = f"SELECT {columns_of(HistoryOverview, export_bytes=_EXPORTED)} FROM lake.completeness WHERE {OF_RUN}"
_FILES = f"""
SELECT count(*) FILTER (status = 'held'), coalesce(sum(size) FILTER (status = 'held'), 0)::BIGINT,
       count(*) FILTER (status = 'left_out'), count(*) FILTER (status = 'failed'), count(*) FILTER (status = 'gone')
FROM lake.files WHERE {OF_RUN}
"""
_NOT_HELD = f"""
SELECT {columns_of(FileOverview)} FROM lake.files WHERE {OF_RUN} AND {_LACKING} ORDER BY name LIMIT {LISTED}
"""
_ARTIFACTS = """
SELECT a.sequence || ':v' || coalesce(a.version_index::VARCHAR, chr(63)), a.type, l.direction, a.state,
       coalesce(a.aliases, []), a.size, a.file_count, coalesce(f.held, 0)
FROM lake.run_artifacts l JOIN lake.artifacts a USING (artifact_id)
LEFT JOIN (SELECT artifact_id, count(object) AS held FROM lake.artifact_files GROUP BY artifact_id) f
    USING (artifact_id)
WHERE l.entity = ? AND l.project = ? AND l.run_id = ? ORDER BY l.direction, a.sequence, a.version_index
"""
# One statement, for each costs a look into the catalog. What is not in the lake may have failed all the same.
_GAPS = f"""
SELECT r.synced_at, coalesce(c.history_line_count, r.history_line_count), c.rows_held, coalesce(c.complete, false)
       AND NOT EXISTS (FROM lake.failures WHERE {OF_RUN} AND item IN (SELECT unnest(?::VARCHAR[]))),
       c.reason, (SELECT count(*) FROM lake.files WHERE {OF_RUN} AND {_LACKING}),
       (SELECT list([item, reason] ORDER BY item) FROM (
           SELECT item, reason FROM lake.failures WHERE {OF_RUN} ORDER BY item LIMIT {FAILURES_LISTED}
       ))
FROM (SELECT 1) LEFT JOIN (FROM lake.runs WHERE {OF_RUN}) r ON true
LEFT JOIN (FROM lake.completeness WHERE {OF_RUN}) c ON true
"""


def run_overview(reader: Reader, run: RunPath) -> RunOverview | None:
    """Everything that is held of one run, from one commit; None when it is not held.

    Raises:
        NotMirrored, StoreError: as `Reader.rows`.
    """
    with reader.snapshot() as lake:
        found = lake.rows(_FACTS, [*run, *run, *run, *run])
        if not found:
            return None
        (*facts, metric_keys, system_metric_rows, console_lines) = found[0]
        histories = structs(HistoryOverview, lake.rows(_HISTORY, [*run, *run]))
        not_held = structs(FileOverview, lake.rows(_NOT_HELD, run))
        return RunOverview(
            **dict(zip(RunOverview.__struct_fields__[: len(facts)], facts, strict=True)),
            history=histories[0] if histories else None,
            files=struct_of(FilesOverview, (*lake.rows(_FILES, run)[0], not_held)),
            metric_keys=metric_keys,
            system_metric_rows=system_metric_rows,
            console_lines=console_lines,
            artifacts=structs(ArtifactOverview, lake.rows(_ARTIFACTS, run)),
            failures=failures_of(lake, run),
        )


def run_gaps(lake: Queryable, run: RunPath) -> RunGaps:
    """What of a run is not held; of a run that is not in the lake, nothing is."""
    ((*facts, failures),) = lake.rows(_GAPS, [*run, list(COSTS_HISTORY), *run, *run, *run, *run])
    return struct_of(RunGaps, (*facts, tuple((item, reason) for item, reason in failures or ())))


def history_keys(lake: Queryable, run: RunPath) -> list[str]:
    """The keys that the steps of a run hold, sorted."""
    return [key for (key,) in lake.rows(f"SELECT DISTINCT key FROM lake.metrics WHERE {OF_RUN} ORDER BY key", run)]


def unknown_among(held: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Those of some keys that are not held, under that name or as a dictionary with members; W&B's own, such as
    `_timestamp`, are taken as known."""
    known = {*held, *(name for key in held for name in prefixes(key))}
    return [key for key in keys if key not in known and not key.startswith("_")]


def logged_as_none(lake: Queryable, run: RunPath, keys: Sequence[str]) -> dict[str, int]:
    """How often keys were logged as None, by the server's count; a history does not tell that from an absent key.

    Args:
        lake: to ask.
        run: whose.
        keys: which; those that never were are left out.
    """
    kinds = "json_each(r.history_keys, '$.keys') k, json_each(k.value, '$.typeCounts') c"
    rows = lake.rows(
        f"SELECT k.key, TRY_CAST(c.value->>'$.count' AS BIGINT) FROM lake.runs r, {kinds} WHERE {OF_RUN}"
        " AND (c.value->>'$.type') = 'nil' AND k.key IN (SELECT unnest(?::VARCHAR[]))",
        [*run, list(keys)],
    )
    return {key: count for key, count in rows if count}
