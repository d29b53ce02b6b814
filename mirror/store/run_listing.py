"""Which runs of a project a filter of W&B's keeps, in which order; with what is queued shown over what is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mirror.records.texts import storable
from mirror.store.filters import compile_filter, compile_order
from mirror.store.reader import Reader


class Overlaid(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a run that an operation can change, as they will be."""

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


_DOCUMENTS = ("config", "summary")
_TEXTS = ("state", "display_name", "tags", "group", "job_type", "notes", "description")
_SHAPES = ", ".join(
    f'"{name}": "{"VARCHAR[]" if name == "tags" else "VARCHAR"}"' for name in Overlaid.__struct_fields__
)
_REPLACED = ", ".join(
    f'if(o.run_id IS NULL, r."{name}", o."{name}"{"::JSON" if name in _DOCUMENTS else ""}) AS "{name}"'
    for name in (*_TEXTS, *_DOCUMENTS)
)
# The runs of a project as they will be. A run that is still to be made has no row of its own in the lake.
_OVERLAID = (
    f"(SELECT r.* REPLACE ({_REPLACED}, coalesce(r.run_id, o.run_id) AS run_id, coalesce(r.entity, ?) AS entity,"
    " coalesce(r.project, ?) AS project, coalesce(r.created_at, o.created_at::TIMESTAMP) AS created_at)"
    " FROM (SELECT * FROM lake.runs WHERE entity = ? AND project = ?) r FULL JOIN"
    f" (SELECT unnest(from_json(?, '[{{{_SHAPES}}}]'), recursive := true)) o ON r.run_id = o.run_id)"
)


def list_run_ids(
    reader: Reader,
    project: tuple[str, str],
    *,
    filters: Mapping[str, Any] | None = None,
    order: str | None = None,
    with_gone: bool = False,
    overlay: Sequence[Overlaid] = (),
) -> list[str]:
    """Ids of the held runs of a project that a filter keeps, in order.

    Args:
        reader: of the mirror.
        project: entity, project.
        filters: W&B's Mongo-style object.
        order: `+field` or `-field`; None: oldest first.
        with_gone: also runs that were deleted upstream.
        overlay: runs that operations wait for.

    Raises:
        ConfigError: an unknown operator or field, named; an operand of a wrong form.
    """
    chosen, sorting = compile_filter(filters), compile_order(order)
    present = "TRUE" if with_gone else "gone_at IS NULL"
    relation: tuple[str, tuple[Any, ...]] = ("lake.runs", ())
    if overlay:
        relation = _OVERLAID, (*project, *project, msgspec.json.encode([_stored(run) for run in overlay]).decode())
    rows = reader.rows(
        f"SELECT run_id FROM {relation[0]} WHERE entity = ? AND project = ? AND {present} AND ({chosen.sql})"
        f" ORDER BY {sorting.sql}",
        [*relation[1], *project, *chosen.parameters, *sorting.parameters],
    )
    return [run_id for (run_id,) in rows]


def _stored(run: Overlaid) -> dict[str, Any]:
    """As the columns hold it."""
    values = msgspec.structs.asdict(run)
    texts = {name: storable(value) for name, value in values.items() if isinstance(value, str)}
    return {**values, **texts, "tags": [storable(tag) for tag in run.tags]}
