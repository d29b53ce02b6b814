"""Which runs of a project a filter of W&B's keeps, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirror.store.filters import compile_filter, compile_order
from mirror.store.reader import Reader


def list_run_ids(
    reader: Reader,
    project: tuple[str, str],
    *,
    filters: Mapping[str, Any] | None = None,
    order: str | None = None,
    with_gone: bool = False,
) -> list[str]:
    """Ids of the runs of a project that a filter keeps, in order.

    Args:
        reader: of the mirror.
        project: entity, project.
        filters: W&B's Mongo-style object.
        order: `+field` or `-field`; None: oldest first.
        with_gone: also runs that were deleted upstream.

    Raises:
        ConfigError: an unknown operator or field, named; an operand of a wrong form.
    """
    chosen, sorting = compile_filter(filters), compile_order(order)
    present = "TRUE" if with_gone else "gone_at IS NULL"
    rows = reader.rows(
        f"SELECT run_id FROM lake.runs WHERE entity = ? AND project = ? AND {present} AND ({chosen.sql})"
        f" ORDER BY {sorting.sql}",
        [*project, *chosen.parameters, *sorting.parameters],
    )
    return [run_id for (run_id,) in rows]
