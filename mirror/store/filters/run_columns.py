"""Which columns the runs of a project can be shown by: their facts, and the keys of their config and summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from mirror.store.engine.queries import Queryable
from mirror.store.filters.mongo import run_expression
from mirror.store.schema.keys import IN_PROJECT
from mirror.texts.values import dump_strict, parse_lenient

SAMPLED = 1_000  # runs whose documents say which keys there are
MOST = 2_000  # keys
COMPARED = 200  # keys that are compared over all runs
_DEEPEST = 4  # levels of nested keys
FACTS = (
    "state", "display_name", "run_id", "tags", "user", "group", "job_type", "sweep", "notes", "created_at",
    "heartbeat_at", "duration", "host", "commit", "history_line_count",
)  # fmt: skip
_TEXTS = ("state", "display_name", "user", "group", "job_type", "sweep", "notes", "host", "commit")
_NUMBERS = ("duration", "history_line_count")


class RunColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the table of runs."""

    name: str  # as `config.lr`
    kind: str  # "fact", "config" or "summary"
    type: str  # "number", "text", "bool", "time" or "other"
    runs: int  # of those that were looked at, that have it
    same: bool  # whether all runs of the project agree


def run_columns(lake: Queryable, project: tuple[str, str]) -> list[RunColumn]:
    """The columns of a project: facts, then keys by name. The keys are those of up to `SAMPLED` runs, evenly spread.

    Raises:
        NotMirrored, StoreError: as `Queryable.rows`.
    """
    where = f"{IN_PROJECT} AND gone_at IS NULL"
    rows = lake.rows(
        "SELECT config::VARCHAR, summary::VARCHAR FROM (SELECT config, summary, row_number() OVER (ORDER BY run_id) - 1"
        f" AS place, count(*) OVER () AS runs FROM lake.runs WHERE {where}) WHERE place % ceil(runs / ?) = 0",
        [*project, float(SAMPLED)],
    )
    seen: dict[str, dict[str, set[str]]] = {"config": {}, "summary": {}}
    counts: dict[str, int] = {}
    values: dict[str, set[str]] = {}
    for documents in rows:
        for kind, text in zip(("config", "summary"), documents, strict=True):
            for key, value in _leaves(parse_lenient(text), ""):
                if kind == "summary" and key.startswith("_wandb"):
                    continue
                name = f"{kind}.{key}"
                if name not in counts and len(counts) >= MOST:
                    continue
                counts[name] = counts.get(name, 0) + 1
                seen[kind].setdefault(key, set()).add(_type(value))
                values.setdefault(name, set()).add(dump_strict(value))
    facts = [RunColumn(name=name, kind="fact", type=_type_of_fact(name), runs=len(rows), same=False) for name in FACTS]
    found = [
        RunColumn(
            name=f"{kind}.{key}",
            kind=kind,
            type=next(iter(types)) if len(types) == 1 else "other",
            runs=counts[f"{kind}.{key}"],
            same=False,
        )
        for kind, keys in seen.items()
        for key, types in sorted(keys.items())
    ]
    # Only keys in which the runs that were looked at agree can be the same in all: the others need no comparison.
    agreeing = [column for column in found if column.runs == len(rows) and len(values[column.name]) == 1][:COMPARED]
    same = _agreed(lake, where, project, [column.name for column in (*facts, *agreeing) if column.name != "tags"])
    return [msgspec.structs.replace(column, same=column.name in same) for column in (*facts, *found)]


def _agreed(lake: Queryable, where: str, project: tuple[str, str], names: list[str]) -> set[str]:
    """Of some columns, those that have one value in all runs; also of a project of one run."""
    expressions = [run_expression(name) for name in names]
    shown = ", ".join(f"({one.sql})::VARCHAR AS c{place}" for place, one in enumerate(expressions))
    compared = ", ".join(
        f"count(c{place}) IN (0, count(*)) AND min(c{place}) IS NOT DISTINCT FROM max(c{place})"
        for place in range(len(names))
    )
    parameters = [value for one in expressions for value in one.parameters]
    rows = lake.rows(
        f"SELECT count(*), {compared} FROM (SELECT {shown} FROM lake.runs WHERE {where})", [*parameters, *project]
    )
    runs, *same = rows[0]
    return {name for name, is_same in zip(names, same, strict=True) if is_same} if runs > 1 else set()


def _leaves(value: Any, prefix: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a document; what has a `_type` is W&B's, and stays whole."""
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping) and inner and "_type" not in inner and depth < _DEEPEST:
            yield from _leaves(inner, f"{name}.", depth + 1)
        else:
            yield name, inner


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float) or value in ("NaN", "Infinity", "-Infinity"):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _type_of_fact(name: str) -> str:
    if name in _NUMBERS:
        return "number"
    return "text" if name in _TEXTS or name == "run_id" else "other" if name == "tags" else "time"
