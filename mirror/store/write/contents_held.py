"""What the lake holds of the contents of some runs, as the pull's planner asks for it: one query a table and page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mirror.records.addresses import ProjectKey
from mirror.records.contents import Completeness, Direction, ExportRow, HeldArtifact, HeldFile, HeldHistory
from mirror.store.engine.connection import Engine
from mirror.store.engine.lake import Lake
from mirror.store.engine.literals import inlined
from mirror.typed import struct_of

_RUNS = "entity = ? AND project = ? AND run_id IN (SELECT unnest(?::VARCHAR[]))"


def held_files(lake: Lake, key: ProjectKey, run_ids: Iterable[str]) -> dict[str, dict[str, HeldFile]]:
    """The files of the named runs, by run id and name; runs without a file are left out."""
    fields = HeldFile.__struct_fields__
    held: dict[str, dict[str, HeldFile]] = {}
    with lake.reading() as engine:
        rows = _ask(engine, f"SELECT run_id, name, {', '.join(fields)} FROM lake.files WHERE {_RUNS}", key, run_ids)
    for run_id, name, *values in rows:
        held.setdefault(run_id, {})[name] = struct_of(HeldFile, values)
    return held


def held_histories(lake: Lake, key: ProjectKey, run_ids: Iterable[str]) -> dict[str, HeldHistory]:
    """Histories and streams of the named runs, by run id; empty ones for runs of which nothing is held."""
    wanted = list(run_ids)
    with lake.reading() as engine:
        return read_histories(engine, key, wanted)


def read_histories(engine: Engine, key: ProjectKey, run_ids: list[str]) -> dict[str, HeldHistory]:
    """`held_histories`, on an engine that is at hand."""
    exports: dict[str, list[ExportRow]] = {}
    for run_id, *values in _ask(
        engine,
        f"SELECT run_id, object, bytes, rows, min_step, max_step FROM lake.exports WHERE {_RUNS} ORDER BY run_id, part",
        key,
        run_ids,
    ):
        row = struct_of(ExportRow, values)
        exports.setdefault(run_id, []).append(row)
    tails = _by_run(engine, "count(*), min(step), max(step), arg_max(row, step)", "tails", key, run_ids)
    fields = Completeness.__struct_fields__
    facts = {
        run_id: struct_of(Completeness, values)
        for run_id, *values in _ask(
            engine, f"SELECT run_id, {', '.join(fields)} FROM lake.completeness WHERE {_RUNS}", key, run_ids
        )
    }
    nothing = (0, None, None, None)
    console = _by_run(engine, "max(number)", "console_lines", key, run_ids)
    events = _by_run(engine, "max(number) + 1", "system_metrics", key, run_ids)
    return {
        run_id: HeldHistory(
            exports=tuple(exports.get(run_id, ())),
            tail_rows=tails.get(run_id, nothing)[0],
            first_tail_step=tails.get(run_id, nothing)[1],
            last_tail_step=tails.get(run_id, nothing)[2],
            last_tail_row=tails.get(run_id, nothing)[3],
            completeness=facts.get(run_id),
            last_console_number=console.get(run_id, (None,))[0],
            event_rows=events.get(run_id, (0,))[0],
        )
        for run_id in run_ids
    }


def held_tails(engine: Engine, key: ProjectKey, run_ids: list[str]) -> dict[str, list[tuple[int | None, str]]]:
    """Steps and JSON texts of the tails of the named runs."""
    tails: dict[str, list[tuple[int | None, str]]] = {}
    query = f"SELECT run_id, step, row FROM lake.tails WHERE {_RUNS} ORDER BY run_id, step NULLS LAST"
    for run_id, step, row in _ask(engine, query, key, run_ids):
        tails.setdefault(run_id, []).append((step, row))
    return tails


def held_rows_at(engine: Engine, key: ProjectKey, steps: Mapping[str, int]) -> dict[str, list[str]]:
    """JSON texts of the tail rows of the named runs, each run at one step."""
    rows: dict[str, list[str]] = {}
    query = (
        "SELECT run_id, row FROM lake.tails JOIN (SELECT unnest(?::VARCHAR[]) AS run_id, unnest(?::BIGINT[]) AS step)"
        " USING (run_id, step) WHERE entity = ? AND project = ?"
    )
    for run_id, row in engine.execute(query, [list(steps), list(steps.values()), key.entity, key.project]).fetchall():
        rows.setdefault(run_id, []).append(row)
    return rows


def held_artifacts(lake: Lake, artifact_ids: Iterable[str]) -> dict[str, HeldArtifact]:
    """Those of the named versions that are held, by id."""
    with lake.reading() as engine:
        rows = engine.execute(
            "SELECT artifact_id, digest, updated_at_text, aliases, manifest, coalesce(failed, 0), left_out"
            " FROM lake.artifacts LEFT JOIN (SELECT artifact_id, count(*) FILTER (status = 'failed') AS failed,"
            " min(reason) FILTER (status = 'left_out' AND ref IS NULL) AS left_out FROM lake.artifact_files"
            " WHERE artifact_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY artifact_id) USING (artifact_id)"
            " WHERE artifact_id IN (SELECT unnest($1::VARCHAR[]))",
            [list(artifact_ids)],
        ).fetchall()
    return {
        row[0]: HeldArtifact(
            digest=row[1], updated_at_text=row[2], aliases=tuple(row[3] or ()), manifest=row[4], failed_files=row[5],
            left_out=row[6],
        )
        for row in rows
    }  # fmt: skip


def held_bytes(lake: Lake, digests: Iterable[str]) -> dict[str, str]:
    """Objects of artifact files by the digest in their manifests, as far as such bytes are held."""
    with lake.reading() as engine:
        rows = engine.execute(
            "SELECT digest, min(object) FROM lake.artifact_files WHERE object IS NOT NULL"
            " AND digest IN (SELECT unnest(?::VARCHAR[])) GROUP BY digest",
            [list(digests)],
        ).fetchall()
    return dict(rows)


def held_links(lake: Lake, key: ProjectKey, run_ids: Iterable[str]) -> dict[str, list[tuple[str, Direction]]]:
    """Which versions the named runs logged and used, by run id."""
    links: dict[str, list[tuple[str, Direction]]] = {}
    with lake.reading() as engine:
        rows = _ask(
            engine, f"SELECT run_id, artifact_id, direction FROM lake.run_artifacts WHERE {_RUNS}", key, run_ids
        )
    for run_id, artifact_id, direction in rows:
        links.setdefault(run_id, []).append((artifact_id, direction))
    return links


def _by_run(engine: Engine, what: str, table: str, key: ProjectKey, run_ids: list[str]) -> dict[str, tuple[Any, ...]]:
    rows = _ask(engine, f"SELECT run_id, {what} FROM lake.{table} WHERE {_RUNS} GROUP BY run_id", key, run_ids)
    return {run_id: tuple(values) for run_id, *values in rows}


def _ask(engine: Engine, query: str, key: ProjectKey, run_ids: Iterable[str]) -> list[tuple[Any, ...]]:
    return engine.execute(inlined(query, [key.entity, key.project, list(run_ids)])).fetchall()
