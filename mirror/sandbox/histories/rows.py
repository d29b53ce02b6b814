"""History rows: merging, sampling, and the live tail (W&B API notes, section 6)."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from mirror.sandbox.histories.keys import flattened
from mirror.sandbox.state.records import RunRecord
from mirror.wandb_protocol.wire import finite

Row = dict[str, Any]
LiveNumbers = Literal["float", "int"]
"""How whole numbers stand in liveData: all as floats, or as they were logged."""


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


def live_rows(run: RunRecord, keys: Sequence[str], numbers: LiveNumbers = "float") -> list[Row]:
    """Rows not exported yet, reduced to the dotted `keys`; `numbers` says how whole numbers are spelled."""
    if not run.serves_live_data:
        return []
    wanted = frozenset(keys)
    rows: list[Row] = []
    for row in run.history:
        if row["_step"] in run.exported:
            continue
        reduced = {key: _live_value(value, numbers) for key, value in flattened(row) if key in wanted}
        if reduced:
            rows.append(reduced)
    return rows


def _live_value(value: Any, numbers: LiveNumbers) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or (numbers == "int" and isinstance(value, int)):
        return finite(value)
    return finite(float(value))


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
