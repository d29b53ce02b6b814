"""Which runs of a project a filter of W&B's keeps, in which order; with what is queued shown over what is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mirror.store.engine.queries import Queryable
from mirror.store.filters.mongo import compile_filter, compile_order
from mirror.store.read.queued_runs import Overlaid, overlaid_relation
from mirror.store.schema.keys import IN_PROJECT


def list_run_ids(
    reader: Queryable,
    project: tuple[str, str],
    *,
    filters: Mapping[str, Any] | None = None,
    order: str | None = None,
    with_gone: bool = False,
    overlay: Sequence[Overlaid] = (),
) -> list[str]:
    """Ids of the held runs of a project that a filter keeps, in order.

    Args:
        reader: of the mirror, or one commit of it.
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
    of_project = f"(SELECT * FROM lake.runs WHERE {IN_PROJECT})"
    relation = overlaid_relation(of_project, overlay) if overlay else of_project
    rows = reader.rows(
        f"SELECT run_id FROM {relation} WHERE {present} AND ({chosen.sql}) ORDER BY {sorting.sql}",
        [*project, *chosen.parameters, *sorting.parameters],
    )
    return [run_id for (run_id,) in rows]
