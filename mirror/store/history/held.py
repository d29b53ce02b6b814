"""What the lake holds of histories, as a reader of rows needs it: facts, exports, tail, all from one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.connection import LAKE, Engine
from mirror.store.engine.literals import inlined
from mirror.store.engine.reader import Reader
from mirror.typed import convert

_RUN = "entity = ? AND project = ? AND run_id = ?"
_RUNS = "entity = ? AND project = ? AND run_id IN (SELECT unnest(?::VARCHAR[]))"
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


_FACTS = ", ".join(HistoryFacts.__struct_fields__)

# What was read last, good for one commit: asking which commit is the last one costs a tenth of reading it again.
_Known = tuple[int, dict[RunPath, StoredHistory]]
_known: WeakKeyDictionary[Reader, _Known] = WeakKeyDictionary()
_KEPT = 4  # runs


def read_history(reader: Reader, run: RunPath) -> StoredHistory:
    """What is held of one run's history.

    Raises:
        StoreError: the lake cannot be read.
    """
    with reader.snapshot() as engine:
        last_commit = int(engine.execute(f"SELECT id FROM {LAKE}.current_snapshot()").fetchall()[0][0])
        commit, known = _known.get(reader, (-1, {}))
        if commit != last_commit:
            known = {}
        if run not in known:
            found = _read(engine, run[:2], [run[2]])[run[2]]
            known = {**dict(list(known.items())[1 - _KEPT :]), run: found}
            _known[reader] = last_commit, known
    return known[run]


def read_histories(reader: Reader, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, StoredHistory]:
    """What is held of the histories of some runs of a project, by run id; each of them has an answer.

    Raises:
        StoreError: the lake cannot be read.
    """
    with reader.snapshot() as engine:
        return _read(engine, project, run_ids)


def stored_history(engine: Engine, run: RunPath) -> StoredHistory:
    """What is held of one run's history, on an engine that is at hand."""
    return _read(engine, run[:2], [run[2]])[run[2]]


def earlier_forms(engine: Engine, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """By run and export, the objects that say what earlier forms of the export had told."""
    query = f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{LAKE}' AND table_name = 'earlier_forms'"
    if not engine.execute(query).fetchall():  # a lake of an older version
        return {}
    found: dict[str, dict[str, str]] = {}
    query = f"SELECT run_id, export, object FROM lake.earlier_forms WHERE {_RUNS}"
    for run_id, export, digest in engine.execute(inlined(query, [*project, list(run_ids)])).fetchall():
        found.setdefault(run_id, {})[export] = digest
    return found


def _read(engine: Engine, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, StoredHistory]:
    one = len(run_ids) == 1
    values: list[object] = [*project, run_ids[0] if one else list(run_ids)]
    facts: dict[str, HistoryFacts] = {}
    exports: dict[str, list[str]] = {}
    tails: dict[str, list[str]] = {}
    earlier: dict[str, dict[str, str]] = {}

    def ask(columns: str, table: str, where: str, order: str = "ALL") -> list[tuple[object, ...]]:
        query = f"SELECT run_id, {columns} FROM lake.{table} WHERE {where if one else _RUNS} ORDER BY {order}"
        return engine.execute(inlined(query, values)).fetchall()

    for run_id, *found in ask(_FACTS, "completeness", _INLINED):
        facts[str(run_id)] = convert(dict(zip(HistoryFacts.__struct_fields__, found, strict=True)), HistoryFacts)
    if any(fact.parts for fact in facts.values()):
        for run_id, digest in ask("object", "exports", _INLINED, "part"):
            exports.setdefault(str(run_id), []).append(str(digest))
        earlier = earlier_forms(engine, project, run_ids)
    if any(fact.tail_rows for fact in facts.values()):
        for run_id, row in ask("row", "tails", _RUN, "step, rowid"):
            tails.setdefault(str(run_id), []).append(str(row))
    return {
        run_id: StoredHistory(
            facts=facts.get(run_id),
            exports=tuple(exports.get(run_id, ())),
            tail=tuple(tails.get(run_id, ())),
            earlier=earlier.get(run_id, {}),
        )
        for run_id in run_ids
    }


def failure_of(reader: Reader, run: RunPath, items: Sequence[str]) -> str | None:
    """Why something of a run could not be taken, in the server's words; None when no failure is recorded.

    Args:
        reader: asks the lake.
        run: entity, project, run id.
        items: what of the run, as the pull names it.
    """
    query = f"SELECT reason FROM lake.failures WHERE {_RUN} AND item IN (SELECT unnest(?::VARCHAR[]))"
    rows = reader.rows(query, [*run, ["", "contents", *items]])
    return str(rows[0][0]) if rows else None
