"""What the lake holds of histories: for a reader of rows, and for the planner of a pull. All from one commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.contents import Completeness, ExportRow, HeldHistory
from mirror.store.engine.meta import has_table, last_commit
from mirror.store.engine.queries import Queryable, columns_of
from mirror.store.engine.reader import Reader
from mirror.store.schema.keys import IN_PROJECT, OF_RUN, OF_RUNS
from mirror.typed import struct_of

# Of a table whose rows are inlined in the catalog: planning a filter that DuckDB hands down to SQLite costs more than
# reading them all (8 ms against 4 ms for 60 rows, 23 ms against 20 ms for 20,000), so it is given one it cannot.
_INLINED = "{'e': entity, 'p': project, 'r': run_id} = {'e': ?, 'p': ?, 'r': ?}"


class HistoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one run's history is held."""

    rows_held: int
    last_step_held: int | None
    parts: int  # exports
    tail_rows: int  # rows that no export holds
    complete: bool  # as much as the server said there is
    reason: str | None  # why it is not complete


class StoredHistory(msgspec.Struct, frozen=True, kw_only=True):
    """One run's history: where its values are."""

    facts: HistoryFacts | None = None  # None: the history was never read
    exports: tuple[str, ...] = ()  # digests, by part
    tail: tuple[str, ...] = ()  # exact JSON texts, by step
    earlier: Mapping[str, str] = {}  # by export: digest of what earlier forms of its rows had told


# What was read last, good for one commit: asking which commit is the last one costs a tenth of reading it again.
_Known = tuple[int, dict[RunPath, StoredHistory]]
_known: WeakKeyDictionary[Reader, _Known] = WeakKeyDictionary()
_KEPT = 4  # runs


def read_history(reader: Reader, run: RunPath) -> StoredHistory:
    """What is held of one run's history.

    Raises:
        StoreError: the lake cannot be read.
    """
    with reader.snapshot() as lake:
        newest = last_commit(lake)
        commit, known = _known.get(reader, (-1, {}))
        if commit != newest:
            known = {}
        if run not in known:
            known = {**dict(list(known.items())[1 - _KEPT :]), run: stored_history(lake, run)}
            _known[reader] = newest, known
    return known[run]


def stored_history(lake: Queryable, run: RunPath) -> StoredHistory:
    """What is held of one run's history; of one commit where `lake` is a snapshot."""
    return stored_histories(lake, run[:2], [run[2]])[run[2]]


def stored_histories(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, StoredHistory]:
    """What is held of the histories of some runs of a project, by run id; each of them has an answer."""
    one = len(run_ids) == 1
    values = [*project, run_ids[0] if one else list(run_ids)]

    def ask(columns: str, table: str, where: str, order: str = "ALL") -> list[tuple[Any, ...]]:
        query = f"SELECT run_id, {columns} FROM lake.{table} WHERE {where if one else OF_RUNS} ORDER BY {order}"
        return lake.rows(query, values)

    facts = {
        run_id: struct_of(HistoryFacts, found)
        for run_id, *found in ask(columns_of(HistoryFacts), "completeness", _INLINED)
    }
    exports: dict[str, list[str]] = {}
    earlier: dict[str, dict[str, str]] = {}
    tails: dict[str, list[str]] = {}
    if any(fact.parts for fact in facts.values()):
        for run_id, digest in ask("object", "exports", _INLINED, "part"):
            exports.setdefault(run_id, []).append(digest)
        earlier = earlier_forms(lake, project, run_ids)
    if any(fact.tail_rows for fact in facts.values()):
        for run_id, row in ask("row", "tails", OF_RUN, "step, rowid"):
            tails.setdefault(run_id, []).append(row)
    return {
        run_id: StoredHistory(
            facts=facts.get(run_id),
            exports=tuple(exports.get(run_id, ())),
            tail=tuple(tails.get(run_id, ())),
            earlier=earlier.get(run_id, {}),
        )
        for run_id in run_ids
    }


def earlier_forms(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """By run and export, the objects that say what earlier forms of the export had told."""
    if not has_table(lake, "earlier_forms"):  # a lake of an older version
        return {}
    found: dict[str, dict[str, str]] = {}
    query = f"SELECT run_id, export, object FROM lake.earlier_forms WHERE {OF_RUNS}"
    for run_id, export, digest in lake.rows(query, [*project, list(run_ids)]):
        found.setdefault(run_id, {})[export] = digest
    return found


def held_histories(
    lake: Queryable, key: ProjectKey, run_ids: Iterable[str], *, whole: bool = True
) -> dict[str, HeldHistory]:
    """Histories and streams of the named runs, by run id; empty ones for runs of which nothing is held.

    Args:
        lake: to ask.
        key: the project of the runs.
        run_ids: of the runs.
        whole: with the last rows and the streams, which a writer does not ask for.
    """
    wanted = list(run_ids)

    def ask(columns: str, table: str, rest: str) -> list[tuple[Any, ...]]:
        query = f"SELECT run_id, {columns} FROM lake.{table} WHERE {OF_RUNS} {rest}"
        return lake.rows(query, [key.entity, key.project, wanted])

    def by_run(columns: str, table: str) -> dict[str, list[Any]]:
        return {run_id: values for run_id, *values in ask(columns, table, "GROUP BY run_id")}

    exports: dict[str, list[ExportRow]] = {}
    for run_id, *values in ask(columns_of(ExportRow, size="bytes"), "exports", "ORDER BY run_id, part"):
        exports.setdefault(run_id, []).append(struct_of(ExportRow, values))
    facts = {
        run_id: struct_of(Completeness, values) for run_id, *values in ask(columns_of(Completeness), "completeness", "")
    }
    last_row = "arg_max(row, step)" if whole else "NULL"  # reads the texts of all
    tails = by_run(f"count(*), min(step), max(step), {last_row}", "tails")
    console = by_run("max(number)", "console_lines") if whole else {}
    events = by_run("max(number) + 1", "system_metrics") if whole else {}
    held: dict[str, HeldHistory] = {}
    for run_id in wanted:
        tail_rows, first_tail_step, last_tail_step, last_tail_row = tails.get(run_id, (0, None, None, None))
        held[run_id] = HeldHistory(
            exports=tuple(exports.get(run_id, ())),
            tail_rows=tail_rows,
            first_tail_step=first_tail_step,
            last_tail_step=last_tail_step,
            last_tail_row=last_tail_row,
            completeness=facts.get(run_id),
            last_console_number=console.get(run_id, (None,))[0],
            event_rows=events.get(run_id, (0,))[0],
        )
    return held


def held_tails(lake: Queryable, key: ProjectKey, run_ids: Sequence[str]) -> dict[str, list[tuple[int | None, str]]]:
    """Steps and JSON texts of the tails of the named runs."""
    tails: dict[str, list[tuple[int | None, str]]] = {}
    query = f"SELECT run_id, step, row FROM lake.tails WHERE {OF_RUNS} ORDER BY run_id, step NULLS LAST"
    for run_id, step, row in lake.rows(query, [key.entity, key.project, list(run_ids)]):
        tails.setdefault(run_id, []).append((step, row))
    return tails


def held_rows_at(lake: Queryable, key: ProjectKey, steps: Mapping[str, int]) -> dict[str, list[str]]:
    """JSON texts of the tail rows of the named runs, each run at one step."""
    rows: dict[str, list[str]] = {}
    query = (
        "SELECT run_id, row FROM lake.tails JOIN (SELECT unnest(?::VARCHAR[]) AS run_id, unnest(?::BIGINT[]) AS step)"
        f" USING (run_id, step) WHERE {IN_PROJECT}"
    )
    for run_id, row in lake.rows(query, [list(steps), list(steps.values()), key.entity, key.project]):
        rows.setdefault(run_id, []).append(row)
    return rows
