"""The runs of a project as a table: which, in which order, by which columns, and in groups."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mirror.errors import ConfigError
from mirror.gateway.context import RequestContext
from mirror.gateway.listings import Listing, listing_of
from mirror.gateway.runs import DOCUMENTS, RunBatch, RunNode
from mirror.records.addresses import ProjectKey
from mirror.run.pending.listing import queued_runs
from mirror.run.run_table import RunTable
from mirror.store.filters.run_columns import run_columns
from mirror.store.filters.run_fields import Fragment
from mirror.store.filters.run_groups import run_groups_sql
from mirror.store.filters.run_list import RunQuery
from mirror.store.filters.run_listing import relation_of, searched
from mirror.store.metrics.curves import keys_with_numbers
from mirror.texts.ordering import shallow_first
from mirror.wandb_protocol.wire import seconds_since_epoch
from mirror.web.asked import Asked, object_of

MOST_ROWS = 5_000  # of one answer
MOST_GROUPS = 1_000
_LOOKED_AT = 50  # runs whose history is asked for its keys, since the server did not tell them
_AT_ONCE = 500  # runs whose documents are in memory together
NEWEST_FIRST = "-created_at"
# Columns that the table of `mirror.Runs` has not.
_MORE = {"duration", "commit", "history_line_count"}
# Names of columns that filters and orders of W&B's call otherwise.
_WANDB_NAMES = {"run_id": "name"}


def runs(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """A window of the runs that filters and a search keep."""
    project = asked.project()
    columns = asked.json("columns", list[str], [])
    offset, limit = asked.count("offset", 0, 10**9), asked.count("limit", 100, MOST_ROWS)
    listing, every = listed(ctx, asked), listing_of(ctx, project, None, NEWEST_FIRST)
    ids = listing.run_ids[offset : offset + limit]
    rows = [
        row
        for start in range(0, len(ids), _AT_ONCE)
        for row in _rows(ctx, project, ids[start : start + _AT_ONCE], columns)
    ]
    return {
        "total": len(listing.run_ids),
        "all": len(every.run_ids),
        "offset": offset,
        "columns": columns,
        "rows": rows,
    }


def listed(ctx: RequestContext, asked: Asked) -> Listing:
    """The runs that the filters, the search and the order of a question name."""
    filters = wandb_filters(asked.json("filters", dict[str, Any], {}))
    order = wandb_order(asked.text("order") or NEWEST_FIRST)
    return listing_of(ctx, asked.project(), json.dumps(filters), order, asked.text("search"))


def columns(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """The columns that the runs of a project can be shown by."""
    project = asked.project()
    found = ctx.recall(("columns", project), lambda lake: run_columns(lake, project), lambda all_: 200 * len(all_))
    count = len(listing_of(ctx, project, None, NEWEST_FIRST).run_ids)
    return {"columns": found, "runs": count}


def groups(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """Runs in groups by some columns, with figures of others."""
    project, waiting = asked.project(), ctx.waiting.get(asked.project(), {})
    overlay = queued_runs(ctx.mirror, project, waiting) if waiting else ()
    by = tuple(asked.json("by", list[str], []))
    query = RunQuery(
        filters=wandb_filters(asked.json("filters", dict[str, Any], {})),
        columns=tuple(name for name in asked.json("columns", list[str], []) if "." in name or name == "duration"),
        order=asked.text("order") or None,
        limit=MOST_GROUPS,
    )
    text, parameters = run_groups_sql(
        query, by, relation=Fragment(relation_of(overlay), project), also=searched(asked.text("search"))
    )
    rows = ctx.lake.rows(text, parameters)
    figures = [f"{name}({column})" for column in query.columns if column not in by for name in ("mean", "min", "max")]
    shown = [[_grouped(value) if place < len(by) else value for place, value in enumerate(row)] for row in rows]
    return {"columns": [*by, "runs", *figures], "rows": shown, "total": len(rows)}


def members(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """The runs of each group, most runs first: `{"groups": {"sgd": [ids], …}}`."""
    by = asked.json("by", list[str], [])
    if not by:
        raise ConfigError("no column to group by is named")
    ids = listed(ctx, asked).run_ids[: asked.count("limit", 1_000, MOST_ROWS)]
    found: dict[str, list[str]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        for row in _rows(ctx, asked.project(), ids[start : start + _AT_ONCE], by):
            label = ", ".join(_word(value) for value in row["cells"])
            found.setdefault(label, []).append(row["id"])
    return {"groups": dict(sorted(found.items(), key=lambda item: -len(item[1])))}


def keys(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """Keys of the histories of some runs that hold numbers, shallow ones first."""
    ids = asked.json("runs", list[str], [])[:MOST_ROWS]
    counts: dict[str, int] = {}
    untold: list[str] = []
    for node in RunBatch(ctx, asked.project(), ids, ["history_keys"]).nodes:
        told = number_keys(node)
        if not told:
            untold.append(node.held.run_id)
        for key in told:
            counts[key] = counts.get(key, 0) + 1
    for key, count in keys_with_numbers(ctx.lake, asked.project(), untold[:_LOOKED_AT]) if untold else ():
        if not is_own(key):
            counts[key] = counts.get(key, 0) + count
    return {"keys": [{"key": key, "runs": counts[key]} for key in sorted(counts, key=shallow_first)]}


def number_keys(node: RunNode) -> list[str]:
    """Keys of a run's history that hold numbers, by what the server said of them."""
    return [key for key, kinds in kinds_of_keys(node).items() if "number" in kinds and not is_own(key)]


def kinds_of_keys(node: RunNode) -> dict[str, list[str]]:
    """Types of the values of a run's keys, as the server's `historyKeys` has them: `number`, `image-file`, …"""
    told = object_of(object_of(node.facts._known_document("historyKeys")).get("keys"))
    found: dict[str, list[str]] = {}
    for key, facts in told.items():
        counts = object_of(facts).get("typeCounts")
        found[key] = [str(object_of(one).get("type")) for one in counts] if isinstance(counts, list) else []
    return found


def is_own(key: str) -> bool:
    """Whether a key is W&B's own, which no panel shows."""
    return key in ("_step", "_timestamp", "_runtime") or key.startswith("_wandb")


def wandb_order(order: str) -> str:
    """An order by a column, as W&B's language calls it."""
    sign, name = (order[0], order[1:]) if order[:1] in ("+", "-") else ("+", order)
    return sign + wandb_name(name)


def wandb_name(name: str) -> str:
    """A column as filters and orders of W&B's call it."""
    if name.startswith("summary."):
        return f"summary_metrics.{name.removeprefix('summary.')}"
    return _WANDB_NAMES.get(name, name)


def wandb_filters(filters: Any) -> Any:
    """Filters whose fields may be called as columns are."""
    if isinstance(filters, Mapping):
        return {
            name if str(name).startswith("$") else wandb_name(str(name)): wandb_filters(value)
            for name, value in filters.items()
        }
    return [wandb_filters(one) for one in filters] if isinstance(filters, list) else filters


def _rows(
    ctx: RequestContext, project: ProjectKey, ids: Sequence[str], columns: Sequence[str]
) -> Iterable[dict[str, Any]]:
    # All documents, for a run's facts want them all: each that is missing is a scan of its own.
    nodes = RunBatch(ctx, project, ids, DOCUMENTS).nodes
    table = RunTable((node.facts for node in nodes), [name for name in columns if name not in _MORE])
    for node, cells in zip(nodes, table.rows(columns), strict=True):
        facts = node.facts
        more = {
            "duration": _duration(facts._attrs), "commit": facts._attrs.get("commit"),
            "history_line_count": facts._attrs.get("historyLineCount"),
        }  # fmt: skip
        yield {
            "id": node.held.run_id, "name": facts.name or node.held.run_id, "state": facts.state,
            "pending": len(node.pending), "gone": facts.gone,
            "cells": [more.get(name, cell) for name, cell in zip(columns, cells, strict=True)],
        }  # fmt: skip


def _duration(attrs: Mapping[str, Any]) -> float | None:
    """Seconds from a run's creation to its last sign of life."""
    moments = [seconds_since_epoch(text) for text in (attrs.get("createdAt"), attrs.get("heartbeatAt")) if text]
    if len(moments) < 2 or moments[0] is None or moments[1] is None:
        return None
    return max(0.0, moments[1] - moments[0])


def _grouped(value: Any) -> Any:
    """A value that runs are grouped by: what comes out of a document is JSON text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value.isoformat() if hasattr(value, "isoformat") else value


def _word(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
