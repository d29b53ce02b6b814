"""Contents of runs into the lake, inside the one transaction of a commit.

The order of writes, and what a crash leaves at each point:

    1. bytes come in below partial/             crash: they are resumed
    2. objects staged, flushed, named           crash: objects that no row names; a later pull finds them there
    3. metrics written as Parquet files         crash: files that no snapshot names; maintenance removes them
    4. BEGIN; what is superseded is copied into a generation of its own; what is replaced is deleted,
       what is new is added, the Parquet files are registered
                                                crash: files that no snapshot names
    5. every new file and folder of the lake flushed, COMMIT
                                                crash before: the old contents, whole; after: the new ones, whole

Every replacement is a deletion and an addition in the same transaction, so that no row is ever there twice, and
committing the same change again has no effect but a new time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.console import ConsoleLine
from mirror.records.contents import ArtifactChange, ContentChanges
from mirror.store.engine.connection import Engine
from mirror.store.engine.queries import aware
from mirror.store.metrics.events import fold_events
from mirror.store.metrics.files import register
from mirror.store.schema.keys import IN_PROJECT, OF_RUNS
from mirror.store.schema.tables import (
    ARTIFACT_FILES,
    ARTIFACTS,
    COMPLETENESS,
    CONSOLE_LINES,
    EARLIER_FORMS,
    EXPORTS,
    FILES,
    RUN_ARTIFACTS,
    SYSTEM_METRICS,
    TAILS,
)
from mirror.store.write.contents_ready import ReadyContents, ReadyHistory
from mirror.store.write.generations import keep_histories
from mirror.store.write.rows import TEXT, arrow_table, insert, insert_arrow, merge, put
from mirror.texts.values import storable


def commit_contents(engine: Engine, ready: ReadyContents, at: dt.datetime) -> None:
    """Write what is ready; the caller's transaction makes it visible.

    Args:
        engine: inside a transaction of the lake.
        ready: from `contents_ready.prepare`.
        at: UTC; becomes `synced_at`.
    """
    _write_files(engine, ready, at)
    keep_histories(engine, ready.key, ready.superseded, at)
    _write_histories(engine, ready.key, ready.histories, at)
    register(engine, ready.metrics)
    _write_events(engine, ready.key, ready.runs)
    _write_console(engine, ready.key, ready.runs)
    _write_run_artifacts(engine, ready.key, ready.runs)
    _write_artifacts(engine, ready.artifacts, at)


def _write_files(engine: Engine, ready: ReadyContents, at: dt.datetime) -> None:
    listed = {(run.run_id, storable(file.name)): file for run in ready.runs for file in run.files}
    run_ids = [run_id for run_id, _ in listed]
    put(engine, FILES, list(listed.values()), **_of(ready.key, run_ids), synced_at=at, new=ready.new)


def _write_histories(engine: Engine, key: ProjectKey, histories: Sequence[ReadyHistory], at: dt.datetime) -> None:
    _delete(engine, "completeness", key, [history.run_id for history in histories if history.held])
    replaced = [history.run_id for history in histories if history.replaces]
    _delete(engine, "metrics", key, replaced)
    _delete(engine, "tails", key, replaced)
    exported = [history.run_id for history in histories if history.held and history.exports is not None]
    _delete(engine, "exports", key, exported)
    _delete(engine, "earlier_forms", key, exported)
    exports = [(history, part, row) for history in histories for part, row in enumerate(history.exports or ())]
    told = {
        **_of(key, [history.run_id for history, _, _ in exports]),
        "part": [part for _, part, _ in exports],
        "complete": [history.completeness.complete for history, _, _ in exports],
        "synced_at": at,
    }
    insert(engine, EXPORTS, [row for _, _, row in exports], **told)
    forms = [(history.run_id, *form) for history in histories for form in sorted(history.earlier.items())]
    run_ids, parts, objects = _columns(forms, 3)
    insert(engine, EARLIER_FORMS, forms, **_of(key, run_ids), export=parts, object=objects)
    tails = [(history.run_id, row) for history in histories for row in history.tail]
    run_ids, rows = _columns(tails, 2)
    insert(engine, TAILS, rows, **_of(key, run_ids))
    facts, run_ids = [history.completeness for history in histories], [history.run_id for history in histories]
    insert(engine, COMPLETENESS, facts, **_of(key, run_ids), synced_at=at)


def _write_events(engine: Engine, key: ProjectKey, runs: Sequence[ContentChanges]) -> None:
    changed = [(run, run.events) for run in runs if run.events is not None]
    whole = [run.run_id for run, events in changed if run.events_from == 0 and None not in events]
    _delete(engine, "system_metrics", key, whole)
    for run, events in changed:
        if run.run_id not in whole:  # what is held of rows that came before, or could not be read, stays
            came = [number for number, row in enumerate(events, run.events_from) if row is not None]
            engine.execute(
                f"DELETE FROM lake.system_metrics WHERE {OF_RUNS} AND number IN (SELECT unnest(?::BIGINT[]))",
                [key.entity, key.project, [run.run_id], came],
            )
    tables = [
        fold_events(RunPath(key.entity, key.project, run.run_id), [row or "" for row in events], run.events_from)
        for run, events in changed
        if events
    ]
    if tables:
        insert_arrow(engine, SYSTEM_METRICS, pa.concat_tables(tables))


def _write_console(engine: Engine, key: ProjectKey, runs: Sequence[ContentChanges]) -> None:
    rows: list[tuple[str, ConsoleLine]] = []
    starts: list[tuple[str, int]] = []
    for run in runs:
        if run.console is None:
            continue
        lines = {line.number: line for line in run.console}
        lines |= _with_held(engine, key, run.run_id, [line for line in lines.values() if line.untold])
        first = min(lines, default=None) if run.console_from is None else run.console_from
        if run.console_partial:
            engine.execute(
                f"DELETE FROM lake.console_lines WHERE {OF_RUNS} AND number IN (SELECT unnest(?::BIGINT[]))",
                [key.entity, key.project, [run.run_id], list(lines)],
            )
        elif first is not None:
            starts.append((run.run_id, first))
        rows += [(run.run_id, line) for _, line in sorted(lines.items())]
    if starts:
        run_ids, numbers = _columns(starts, 2)
        names = pa.array([storable(run_id) for run_id in run_ids], TEXT)
        engine.register("starts", pa.table({"run_id": names, "first": pa.array(numbers, pa.int64())}))
        try:
            engine.execute(
                f"DELETE FROM lake.console_lines USING starts WHERE {IN_PROJECT}"
                " AND console_lines.run_id = starts.run_id AND number >= starts.first",
                [key.entity, key.project],
            )
        finally:
            engine.unregister("starts")
    run_ids, lines_in_order = _columns(rows, 2)
    insert(engine, CONSOLE_LINES, lines_in_order, **_of(key, run_ids))


def _with_held(engine: Engine, key: ProjectKey, run_id: str, lines: Sequence[ConsoleLine]) -> dict[int, ConsoleLine]:
    """Lines by number, with what is held in place of what the server did not tell of them."""
    if not lines:
        return {}
    rows = engine.execute(
        f"SELECT number, timestamp, timestamp_text, level, label, line FROM lake.console_lines WHERE {OF_RUNS}"
        " AND number IN (SELECT unnest(?::BIGINT[]))",
        [key.entity, key.project, [run_id], [line.number for line in lines]],
    ).fetchall()
    known = {
        number: {"at": aware(at), "at_text": at_text, "level": level or "", "label": label or "", "line": text or ""}
        for number, at, at_text, level, label, text in rows
    }
    return {
        line.number: msgspec.structs.replace(line, **{name: known[line.number][name] for name in line.untold})
        for line in lines
        if line.number in known
    }


def _write_run_artifacts(engine: Engine, key: ProjectKey, runs: Sequence[ContentChanges]) -> None:
    changed = [run for run in runs if run.artifacts is not None]
    _delete(engine, "run_artifacts", key, [run.run_id for run in changed])
    links = [(run.run_id, *link) for run in changed for link in dict.fromkeys(run.artifacts or ())]
    insert_arrow(engine, RUN_ARTIFACTS, run_artifacts(key, links))


def run_artifacts(key: ProjectKey, links: Sequence[tuple[str, str, str]]) -> pa.Table:
    """Rows of `run_artifacts`: of each link the run id, the artifact's id, and the direction."""
    run_ids, artifact_ids, directions = _columns(links, 3)
    return arrow_table(RUN_ARTIFACTS, links, **_of(key, run_ids), artifact_id=artifact_ids, direction=directions)


def _write_artifacts(engine: Engine, changes: Sequence[ArtifactChange], at: dt.datetime) -> None:
    if not changes:
        return
    changes = _with_held_versions(engine, changes)
    unnamed = [change.record.artifact_id for change in changes if change.manifest is None]
    known = dict(
        engine.execute(
            "SELECT artifact_id, manifest FROM lake.artifacts WHERE artifact_id IN (SELECT unnest(?::VARCHAR[]))",
            [unnamed],
        ).fetchall()
    ) if unnamed else {}  # fmt: skip
    records = {change.record.artifact_id: change.record for change in changes}
    manifests = {change.record.artifact_id: change.manifest for change in changes}
    held = [manifests[artifact_id] or known.get(artifact_id) for artifact_id in records]
    merge(engine, ARTIFACTS, list(records.values()), manifest=held, synced_at=at)
    listed = {change.record.artifact_id: change for change in changes if change.files is not None}
    if not listed:
        return
    engine.execute("DELETE FROM lake.artifact_files WHERE artifact_id IN (SELECT unnest(?::VARCHAR[]))", [list(listed)])
    files = {
        (change.record.artifact_id, storable(row.entry.path)): (change.record, row)
        for change in listed.values()
        for row in change.files or ()
    }
    owners, rows = _columns(list(files.values()), 2)
    told = {
        "artifact_id": [record.artifact_id for record in owners],
        "entity": [record.entity for record in owners],
        "project": [record.project for record in owners],
    }
    insert(engine, ARTIFACT_FILES, rows, **told, synced_at=at)


# Columns of `artifacts` that hold a field of a record under another name.
_ARTIFACT_COLUMNS = {"metadata_text": "coalesce(metadata_wire, metadata::VARCHAR)"}


def _with_held_versions(engine: Engine, changes: Sequence[ArtifactChange]) -> list[ArtifactChange]:
    """The changes, with what is held in place of what the server did not tell of a version."""
    names = sorted({name for change in changes for name in change.record.untold})
    if not names:
        return list(changes)
    columns = ", ".join(_ARTIFACT_COLUMNS.get(name, name) for name in names)
    rows = engine.execute(
        f"SELECT artifact_id, {columns} FROM lake.artifacts WHERE artifact_id IN (SELECT unnest(?::VARCHAR[]))",
        [[change.record.artifact_id for change in changes if change.record.untold]],
    ).fetchall()
    known = {row[0]: dict(zip(names, map(_as_recorded, row[1:]), strict=True)) for row in rows}
    return [
        msgspec.structs.replace(
            change,
            record=msgspec.structs.replace(
                change.record, **{name: known[change.record.artifact_id][name] for name in change.record.untold}
            ),
        )
        if change.record.artifact_id in known
        else change
        for change in changes
    ]


def _as_recorded(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else aware(value)


def _of(key: ProjectKey, run_ids: list[str]) -> dict[str, Any]:
    """The columns that say whose a row is."""
    return {"entity": key.entity, "project": key.project, "run_id": run_ids}


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows turned into so many columns."""
    return [[row[place] for row in rows] for place in range(width)]


def _delete(engine: Engine, table: str, key: ProjectKey, run_ids: Sequence[str]) -> None:
    if run_ids:
        engine.execute(f"DELETE FROM lake.{table} WHERE {OF_RUNS}", [key.entity, key.project, list(run_ids)])
