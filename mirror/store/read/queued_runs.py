"""Runs as queued operations will make them, as a relation in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mirror.store.engine.connection import sql_text
from mirror.texts.values import storable


class Overlaid(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a run that an operation can change, as they will be."""

    entity: str
    project: str
    run_id: str
    state: str | None
    display_name: str | None
    tags: list[str]
    group: str | None
    job_type: str | None
    notes: str | None
    description: str | None
    config: str  # strict JSON of the plain values
    summary: str  # strict JSON
    created_at: str | None = None  # UTC, ISO 8601: of a run that the server does not know yet
    gone_at: str | None = None  # UTC, ISO 8601: when its deletion was queued


_DOCUMENTS = ("config", "summary")
_TEXTS = ("state", "display_name", "tags", "group", "job_type", "notes", "description")
_SHAPES = ", ".join(
    f'"{name}": "{"VARCHAR[]" if name == "tags" else "VARCHAR"}"' for name in Overlaid.__struct_fields__
)
_REPLACED = ", ".join(
    f'if(o.run_id IS NULL, r."{name}", o."{name}"{"::JSON" if name in _DOCUMENTS else ""}) AS "{name}"'
    for name in (*_TEXTS, *_DOCUMENTS)
)
_PATH = ("entity", "project", "run_id")
_OVERLAID = (
    f"(SELECT r.* REPLACE ({_REPLACED}, {', '.join(f'coalesce(r.{name}, o.{name}) AS {name}' for name in _PATH)},"
    " coalesce(r.created_at, o.created_at::TIMESTAMP) AS created_at,"
    " coalesce(r.gone_at, o.gone_at::TIMESTAMP) AS gone_at)"
    " FROM (SELECT * FROM {source}) r FULL JOIN"
    f" (SELECT unnest(from_json({{shown}}, '[{{{{{_SHAPES}}}}}]'), recursive := true)) o"
    f" ON {' AND '.join(f'r.{name} = o.{name}' for name in _PATH)})"
)


def overlaid_relation(source: str, shown: Sequence[Overlaid]) -> str:
    """Runs as they will be, as a relation in SQL. A run that is still to be made has no row of its own in the lake.

    Args:
        source: a relation with the columns of the view `runs`, as SQL.
        shown: runs that operations wait for.
    """
    encoded = msgspec.json.encode([_stored(run) for run in shown]).decode()
    return _OVERLAID.format(source=source, shown=sql_text(encoded))


def _stored(run: Overlaid) -> dict[str, Any]:
    """As the columns hold it."""
    values = msgspec.structs.asdict(run)
    texts = {name: storable(value) for name, value in values.items() if isinstance(value, str)}
    return {**values, **texts, "tags": [storable(tag) for tag in run.tags]}
