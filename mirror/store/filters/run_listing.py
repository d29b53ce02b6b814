"""Which runs of a project a filter of W&B's keeps, in which order; with what is queued shown over what is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mirror.store.engine.queries import Queryable
from mirror.store.filters.mongo import Fragment, compile_filter, compile_order
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
    search: str = "",
) -> list[str]:
    """Ids of the held runs of a project that a filter keeps, in order.

    Args:
        reader: of the mirror, or one commit of it.
        project: entity, project.
        filters: W&B's Mongo-style object.
        order: `+field` or `-field`; None: oldest first.
        with_gone: also runs that were deleted upstream.
        overlay: runs that operations wait for.
        search: words that all stand somewhere in what a run is called, its tags, notes, or its config.

    Raises:
        ConfigError: an unknown operator or field, named; an operand of a wrong form.
    """
    chosen, sorting, found = compile_filter(filters), compile_order(order), searched(search)
    present = "TRUE" if with_gone else "gone_at IS NULL"
    rows = reader.rows(
        f"SELECT run_id FROM {relation_of(overlay)} WHERE {present} AND ({chosen.sql}) AND {found.sql}"
        f" ORDER BY {sorting.sql}",
        [*project, *chosen.parameters, *found.parameters, *sorting.parameters],
    )
    return [run_id for (run_id,) in rows]


def relation_of(overlay: Sequence[Overlaid]) -> str:
    """The runs of a project as a relation, as what is queued will make them; its marks are entity and project."""
    of_project = f"(SELECT * FROM lake.runs WHERE {IN_PROJECT})"
    return overlaid_relation(of_project, overlay) if overlay else of_project


def searched(text: str) -> Fragment:
    """Runs in which all words of a text stand somewhere, whatever their case."""
    words = text.lower().split()
    tests = [f"contains(lower(concat_ws(' ', {_SEARCHED})), ?)" for _ in words]
    return Fragment(" AND ".join(["TRUE", *tests]), tuple(words))


_SEARCHED = (
    'run_id, display_name, notes, "group", job_type, "user", sweep, host, array_to_string(tags, \' \'), config::VARCHAR'
)
