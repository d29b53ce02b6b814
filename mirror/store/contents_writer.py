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
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from mirror.records.artifacts import ArtifactRecord
from mirror.records.console import ConsoleLine
from mirror.records.contents import ArtifactChange, ContentChanges, FileRow
from mirror.records.passes import ProjectKey
from mirror.records.texts import document_json, storable, storable_wire
from mirror.store.contents_ready import ReadyContents, ReadyHistory
from mirror.store.engine import Engine
from mirror.store.events import EVENT_COLUMNS, fold_events
from mirror.store.generations import keep_histories
from mirror.store.held import aware
from mirror.store.metric_files import register
from mirror.store.rows import TEXT, TIME, arrow_table, insert, merge, naive, put

_INT = pa.int64()
_RUN = [(name, TEXT) for name in ("entity", "project", "run_id")]

# Columns and types as `tables` has them; the rows below come in the same order.
_FILES = pa.schema(
    [
        *_RUN,
        *((name, TEXT) for name in ("name", "file_id")),
        ("size", _INT),
        *((name, TEXT) for name in ("md5", "mimetype")),
        ("updated_at", TIME),
        *((name, TEXT) for name in ("updated_at_text", "object", "status", "reason")),
        ("synced_at", TIME),
    ]
)
_EXPORTS = pa.schema(
    [
        *_RUN,
        ("part", _INT),
        ("object", TEXT),
        *((name, _INT) for name in ("bytes", "rows", "min_step", "max_step")),
        ("complete", pa.bool_()),
        ("synced_at", TIME),
    ]
)
_EARLIER_FORMS = pa.schema([*_RUN, ("export", TEXT), ("object", TEXT)])
_TAILS = pa.schema([*_RUN, ("step", _INT), ("row", TEXT)])
_CONSOLE = pa.schema(
    [
        *_RUN,
        ("number", _INT),
        ("timestamp", TIME),
        *((name, TEXT) for name in ("timestamp_text", "level", "label", "line")),
    ]
)
_COMPLETENESS = pa.schema(
    [
        *_RUN,
        *((name, _INT) for name in ("last_step", "history_line_count", "rows_held", "shared_rows", "last_step_held")),
        *((name, _INT) for name in ("parts", "tail_rows")),
        ("complete", pa.bool_()),
        ("reason", TEXT),
        ("synced_at", TIME),
        *((name, TEXT) for name in ("keys_fingerprint", "parts_fingerprint")),
    ]
)
_ARTIFACTS = pa.schema(
    [
        *((name, TEXT) for name in ("artifact_id", "entity", "project", "sequence", "type")),
        ("version_index", _INT),
        *((name, TEXT) for name in ("state", "digest", "digest_algorithm")),
        *((name, pa.list_(TEXT)) for name in ("aliases", "tags")),
        *((name, TEXT) for name in ("metadata", "description")),
        *((name, _INT) for name in ("size", "file_count")),
        ("commit_hash", TEXT),
        ("history_step", _INT),
        *((name, TIME) for name in ("created_at", "updated_at")),
        ("manifest", TEXT),
        ("synced_at", TIME),
        *((name, TEXT) for name in ("created_at_text", "updated_at_text", "metadata_wire")),
    ]
)
_ARTIFACT_FILES = pa.schema(
    [
        *((name, TEXT) for name in ("artifact_id", "entity", "project", "path", "digest")),
        ("size", _INT),
        *((name, TEXT) for name in ("ref", "birth_artifact_id", "extra", "object", "status", "reason")),
        ("synced_at", TIME),
    ]
)
_RUN_ARTIFACTS = pa.schema([*_RUN, *((name, TEXT) for name in ("artifact_id", "direction"))])

_OF_RUNS = "entity = ? AND project = ? AND run_id IN (SELECT unnest(?::VARCHAR[]))"


def commit_contents(engine: Engine, ready: ReadyContents, at: dt.datetime) -> None:
    """Write what is ready; the caller's transaction makes it visible.

    Args:
        engine: inside a transaction of the lake.
        ready: from `contents_ready.prepare`.
        at: UTC; becomes `synced_at`.
    """
    now = naive(at)
    _write_files(engine, ready, now)
    keep_histories(engine, ready.key, ready.superseded, at)
    _write_histories(engine, ready.key, ready.histories, now)
    register(engine, ready.metrics)
    _write_events(engine, ready.key, ready.runs)
    _write_console(engine, ready.key, ready.runs)
    _write_run_artifacts(engine, ready.key, ready.runs)
    _write_artifacts(engine, ready.artifacts, now)


def _write_files(engine: Engine, ready: ReadyContents, now: dt.datetime | None) -> None:
    rows = {
        (run.run_id, storable(file.name)): (*_of(ready.key, run.run_id), *_file_values(file), now)
        for run in ready.runs
        for file in run.files
    }
    put(engine, "files", _FILES, list(rows.values()), keys=("entity", "project", "run_id", "name"), new=ready.new)


def _file_values(file: FileRow) -> tuple[Any, ...]:
    return (
        file.name, file.file_id, file.size, file.md5, file.mimetype, naive(file.updated_at), file.updated_at_text,
        file.object, file.status, file.reason,
    )  # fmt: skip


def _write_histories(
    engine: Engine, key: ProjectKey, histories: Sequence[ReadyHistory], now: dt.datetime | None
) -> None:
    _delete(engine, "completeness", key, [history.run_id for history in histories if history.held])
    replaced = [history.run_id for history in histories if history.replaces]
    _delete(engine, "metrics", key, replaced)
    _delete(engine, "tails", key, replaced)
    exported = [history.run_id for history in histories if history.held and history.exports is not None]
    _delete(engine, "exports", key, exported)
    _delete(engine, "earlier_forms", key, exported)
    insert(
        engine, "exports", arrow_table(_EXPORTS, [row for history in histories for row in _exports(key, history, now)])
    )
    forms = [
        (*_of(key, history.run_id), export, digest)
        for history in histories
        for export, digest in sorted(history.earlier.items())
    ]
    insert(engine, "earlier_forms", arrow_table(_EARLIER_FORMS, forms))
    tails = [
        (*_of(key, history.run_id), row.step, storable_wire(row.row)) for history in histories for row in history.tail
    ]
    insert(engine, "tails", arrow_table(_TAILS, tails))
    facts = [
        (
            *_of(key, history.run_id), fact.last_step, fact.history_line_count, fact.rows_held, fact.shared_rows,
            fact.last_step_held, fact.parts, fact.tail_rows, fact.complete, fact.reason, now,
            fact.keys_fingerprint, fact.parts_fingerprint,
        )
        for history in histories
        for fact in [history.completeness]
    ]  # fmt: skip
    insert(engine, "completeness", arrow_table(_COMPLETENESS, facts))


def _exports(key: ProjectKey, history: ReadyHistory, now: dt.datetime | None) -> Iterator[tuple[Any, ...]]:
    complete = history.completeness.complete
    for part, row in enumerate(history.exports or ()):
        yield (
            *_of(key, history.run_id), part, row.object, row.size, row.rows, row.min_step, row.max_step, complete, now,
        )  # fmt: skip


def _write_events(engine: Engine, key: ProjectKey, runs: Sequence[ContentChanges]) -> None:
    changed = [run for run in runs if run.events is not None]
    _delete(engine, "system_metrics", key, [run.run_id for run in changed if None not in (run.events or ())])
    for run in changed:
        if run.events is not None and None in run.events:  # what is held of rows that could not be read stays
            came = [number for number, row in enumerate(run.events) if row is not None]
            engine.execute(
                f"DELETE FROM lake.system_metrics WHERE {_OF_RUNS} AND number IN (SELECT unnest(?::BIGINT[]))",
                [key.entity, key.project, [run.run_id], came],
            )
    tables = [fold_events(_of(key, run.run_id), [row or "" for row in run.events]) for run in changed if run.events]
    if tables:
        insert(engine, "system_metrics", pa.concat_tables([EVENT_COLUMNS.empty_table(), *tables]))


def _write_console(engine: Engine, key: ProjectKey, runs: Sequence[ContentChanges]) -> None:
    rows: list[tuple[Any, ...]] = []
    starts: list[tuple[str, int]] = []
    for run in runs:
        if run.console is None:
            continue
        lines = {line.number: line for line in run.console}
        lines |= _with_held(engine, key, run.run_id, [line for line in lines.values() if line.untold])
        first = min(lines, default=None) if run.console_from is None else run.console_from
        if run.console_partial:
            engine.execute(
                f"DELETE FROM lake.console_lines WHERE {_OF_RUNS} AND number IN (SELECT unnest(?::BIGINT[]))",
                [key.entity, key.project, [run.run_id], list(lines)],
            )
        elif first is not None:
            starts.append((run.run_id, first))
        rows += [
            (*_of(key, run.run_id), line.number, naive(line.at), line.at_text, line.level, line.label, line.line)
            for _, line in sorted(lines.items())
        ]
    if starts:
        first_of = arrow_table(pa.schema([("run_id", TEXT), ("first", _INT)]), starts)
        engine.register("starts", first_of)
        try:
            engine.execute(
                "DELETE FROM lake.console_lines USING starts WHERE entity = ? AND project = ?"
                " AND console_lines.run_id = starts.run_id AND number >= starts.first",
                [key.entity, key.project],
            )
        finally:
            engine.unregister("starts")
    insert(engine, "console_lines", arrow_table(_CONSOLE, rows))


def _with_held(engine: Engine, key: ProjectKey, run_id: str, lines: Sequence[ConsoleLine]) -> dict[int, ConsoleLine]:
    """Lines by number, with what is held in place of what the server did not tell of them."""
    if not lines:
        return {}
    rows = engine.execute(
        f"SELECT number, timestamp, timestamp_text, level, label, line FROM lake.console_lines WHERE {_OF_RUNS}"
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
    rows = [
        (*_of(key, run.run_id), artifact_id, direction)
        for run in changed
        for artifact_id, direction in dict.fromkeys(run.artifacts or ())
    ]
    insert(engine, "run_artifacts", arrow_table(_RUN_ARTIFACTS, rows))


def _write_artifacts(engine: Engine, changes: Sequence[ArtifactChange], now: dt.datetime | None) -> None:
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
    rows = {
        change.record.artifact_id: _artifact_row(
            change.record, change.manifest or known.get(change.record.artifact_id), now
        )
        for change in changes
    }
    merge(engine, "artifacts", arrow_table(_ARTIFACTS, list(rows.values())), keys=("artifact_id",))
    listed = {change.record.artifact_id: change for change in changes if change.files is not None}
    if not listed:
        return
    engine.execute("DELETE FROM lake.artifact_files WHERE artifact_id IN (SELECT unnest(?::VARCHAR[]))", [list(listed)])
    files = [row for change in listed.values() for row in _artifact_files(change, now)]
    insert(engine, "artifact_files", arrow_table(_ARTIFACT_FILES, files))


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


def _artifact_row(record: ArtifactRecord, manifest: str | None, now: dt.datetime | None) -> tuple[Any, ...]:
    return (
        record.artifact_id, record.entity, record.project, record.sequence, record.type, record.version_index,
        record.state, record.digest, record.digest_algorithm, [storable(alias) for alias in record.aliases],
        [storable(tag) for tag in record.tags], document_json(record.metadata_text), record.description, record.size,
        record.file_count, record.commit_hash, record.history_step, naive(record.created_at), naive(record.updated_at),
        manifest, now, record.created_at_text, record.updated_at_text, storable_wire(record.metadata_text),
    )  # fmt: skip


def _artifact_files(change: ArtifactChange, now: dt.datetime | None) -> Iterator[tuple[Any, ...]]:
    record = change.record
    for row in {storable(row.entry.path): row for row in change.files or ()}.values():
        entry = row.entry
        yield (
            record.artifact_id, record.entity, record.project, entry.path, entry.digest, entry.size, entry.ref,
            entry.birth_artifact_id, entry.extra, row.object, row.status, row.reason, now,
        )  # fmt: skip


def _of(key: ProjectKey, run_id: str) -> tuple[str, str, str]:
    return key.entity, key.project, run_id


def _delete(engine: Engine, table: str, key: ProjectKey, run_ids: Sequence[str]) -> None:
    if run_ids:
        engine.execute(f"DELETE FROM lake.{table} WHERE {_OF_RUNS}", [key.entity, key.project, list(run_ids)])
