"""`historyKeys`: which keys a history has, with their types, counts and last values.

Maps are flattened to dotted keys; a dict with `_type` is one value of that type, a list is one value. `previousValue`
is the last number of a key, and the lowest double for a key without numbers; `monotonic` is left out where a number
went down. Parts of lists and dicts are described without counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mirror.sandbox.state.records import RunRecord

NO_NUMBER = -1.7976931348623157e308
_SCALARS = {kind: json.dumps({"type": kind}) for kind in ("bool", "nil", "number", "string")}


@dataclass
class _KeyFacts:
    """What is known of one key so far."""

    counts: dict[str, int] = field(default_factory=dict)  # by the type's description, as JSON text
    previous: float | None = None
    monotonic: bool = True

    def see(self, value: Any) -> None:
        nested = isinstance(value, dict | list)
        described = json.dumps(_describe(value), sort_keys=True) if nested else _SCALARS[_scalar_type(value)]
        self.counts[described] = self.counts.get(described, 0) + 1
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            self.monotonic = self.monotonic and (self.previous is None or value >= self.previous)
            self.previous = value

    def spelled(self) -> dict[str, Any]:
        table: dict[str, Any] = {"typeCounts": _type_counts(self.counts)}
        if self.monotonic:
            table["monotonic"] = True
        table["previousValue"] = NO_NUMBER if self.previous is None else self.previous
        return table


def key_table(run: RunRecord) -> dict[str, Any] | None:
    """`Run.historyKeys`: null when nothing was logged; kept until the history changes."""
    if run._keys[0] == run.history_version:
        return run._keys[1]
    facts: dict[str, _KeyFacts] = {}
    for row in run.history:
        for key, value in flattened(row):
            facts.setdefault(key, _KeyFacts()).see(value)
    table: dict[str, Any] | None = None
    if run.history:
        keys = {key: known.spelled() for key, known in facts.items()}
        table = {"sets": [], "keys": keys, "lastStep": int(run.history[-1]["_step"])}
    run._keys = (run.history_version, table)
    return table


def joined_key_table(runs: Iterable[RunRecord]) -> dict[str, Any] | None:
    """`RunConnection.historyKeys`: the keys of several runs, type counts added up; null when nothing was logged."""
    counts: dict[str, dict[str, int]] = {}
    for run in runs:
        for key, about in (key_table(run) or {"keys": {}})["keys"].items():
            seen = counts.setdefault(key, {})
            for counted in about["typeCounts"]:
                described = json.dumps({k: v for k, v in counted.items() if k != "count"}, sort_keys=True)
                seen[described] = seen.get(described, 0) + int(counted["count"])
    if not counts:
        return None
    return {"sets": [], "keys": {key: {"typeCounts": _type_counts(seen)} for key, seen in counts.items()}}


def flattened(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The row's values by dotted key. Dicts with `_type`, empty dicts and lists stay whole."""
    for key, value in row.items():
        if isinstance(value, dict) and value and "_type" not in value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _type_counts(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{**json.loads(described), "count": count} for described, count in sorted(counts.items())]


def _describe(value: Any) -> dict[str, Any]:
    """The type of a value, with those of its parts."""
    if isinstance(value, dict):
        described: dict[str, Any] = {"type": str(value.get("_type", "map"))}
        if value:
            described["keys"] = {key: [_describe(part)] for key, part in value.items()}
        return described
    if isinstance(value, list):
        parts = {json.dumps(_describe(part), sort_keys=True) for part in value}
        items = [json.loads(part) for part in sorted(parts)]
        described = {"type": "list"}
        if items:
            described |= {"items": items, "nestedTypes": sorted({item["type"] for item in items})}
        return described
    return {"type": _scalar_type(value)}


def _scalar_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "nil" if value is None else "string"
