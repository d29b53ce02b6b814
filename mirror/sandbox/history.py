"""History rows: merging, the key table, sampling, and the live tail (W&B API notes, section 6)."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .records import RunRecord
from .wire import finite

Row = dict[str, Any]


def step_of(row: Mapping[str, Any]) -> int | None:
    step = row.get("_step")
    return int(step) if isinstance(step, int | float) else None


def merge_rows(run: RunRecord, rows: Iterable[Row]) -> None:
    """Add rows in step order; a row for a step already held replaces it. Rows without `_step` get the next one."""
    run.history_version += 1
    history = run.history
    for given in rows:
        step = step_of(given)
        last = step_of(history[-1]) if history else None
        if step is None:
            step = 0 if last is None else last + 1
        row = {**given, "_step": step}
        if last is None or step > last:
            history.append(row)
            continue
        place = bisect.bisect_left(history, step, key=lambda held: int(held["_step"]))
        if place < len(history) and history[place]["_step"] == step:
            history[place] = row
        else:
            history.insert(place, row)


def key_table(run: RunRecord) -> dict[str, Any] | None:
    """`historyKeys`: null when nothing was logged; kept until the history changes."""
    if run._keys[0] == run.history_version:
        return run._keys[1]
    counts: dict[str, dict[str, int]] = {}
    for row in run.history:
        for key, value in _leaves(row):
            kinds = counts.setdefault(key, {})
            kind = _kind(value)
            kinds[kind] = kinds.get(kind, 0) + 1
    table: dict[str, Any] | None = None
    if run.history:
        keys = {
            key: {"typeCounts": [{"type": kind, "count": count} for kind, count in sorted(kinds.items())]}
            for key, kinds in counts.items()
        }
        table = {"keys": keys, "lastStep": step_of(run.history[-1]), "sets": []}
    run._keys = (run.history_version, table)
    return table


def joined_key_table(runs: Iterable[RunRecord]) -> dict[str, Any] | None:
    """The key tables of several runs as one, type counts added up; null when nothing was logged."""
    counts: dict[str, dict[str, int]] = {}
    for run in runs:
        for key, about in (key_table(run) or {"keys": {}})["keys"].items():
            kinds = counts.setdefault(key, {})
            for counted in about["typeCounts"]:
                kinds[counted["type"]] = kinds.get(counted["type"], 0) + counted["count"]
    if not counts:
        return None
    keys = {
        key: {"typeCounts": [{"type": kind, "count": count} for kind, count in sorted(kinds.items())]}
        for key, kinds in counts.items()
    }
    return {"keys": keys, "sets": []}


def _leaves(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict) and "_type" not in value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict):
        return str(value.get("_type", "map"))
    return "list" if isinstance(value, list) else "nil" if value is None else "string"


def lookup(row: Mapping[str, Any], key: str) -> Any:
    """Value of `key`; a dotted key means a nested one when there is no such plain key. None when missing."""
    if key in row:
        return row[key]
    current: Any = row
    for part in key.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return None
        current = current[part]
    return current


def in_steps(rows: Sequence[Row], min_step: int | None, max_step: int | None) -> Sequence[Row]:
    """Rows with min_step <= _step < max_step; None leaves that side open."""
    start = 0 if min_step is None else bisect.bisect_left(rows, min_step, key=lambda row: int(row["_step"]))
    stop = len(rows) if max_step is None else bisect.bisect_left(rows, max_step, key=lambda row: int(row["_step"]))
    return rows[start:stop]


def sample(rows: Sequence[Row], samples: int) -> Sequence[Row]:
    """At most `samples` rows, evenly spread and always the same ones, first and last included."""
    count = len(rows)
    if samples <= 0 or count <= samples:
        return rows
    if samples == 1:
        return rows[:1]
    return [rows[round(i * (count - 1) / (samples - 1))] for i in range(samples)]


def live_rows(run: RunRecord, keys: Sequence[str]) -> list[Row]:
    """Rows not exported yet, reduced to `keys`, numbers as floats."""
    if not run.serves_live_data:
        return []
    rows: list[Row] = []
    for row in run.history:
        if row["_step"] in run.exported:
            continue
        reduced = {key: _as_float(row[key]) for key in keys if key in row}
        if reduced:
            rows.append(reduced)
    return rows


def _as_float(value: Any) -> Any:
    return finite(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else finite(value)


def sampled_by_spec(run: RunRecord, spec: Mapping[str, Any]) -> list[Row]:
    """Rows that hold all keys of one spec, inside its steps (both ends inclusive), sampled down."""
    keys = [str(key) for key in spec.get("keys") or []]
    max_step = spec.get("maxStep")
    rows = in_steps(run.history, spec.get("minStep"), None if max_step is None else int(max_step) + 1)
    full = []
    for row in rows:
        picked = {key: lookup(row, key) for key in keys}
        if all(value is not None for value in picked.values()):
            full.append(finite(picked))
    return list(sample(full, int(spec.get("samples") or 500)))
