"""Sweeps as rows: what `mirror.run` makes its `Sweep` objects of, and what a pass compares with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.records.projects import SweepRecord
from mirror.store.engine.queries import Queryable, aware_structs, columns_of, structs
from mirror.store.read.projects import ISO
from mirror.store.schema.keys import IN_PROJECT

_LISTED = f"FROM lake.sweeps WHERE {IN_PROJECT} AND gone_at IS NULL"


class SweepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep as it was listed; times are ISO texts in UTC."""

    sweep_id: str  # W&B's `name`
    storage_id: str
    display_name: str | None
    state: str | None
    method: str | None
    description: str | None
    config: str | None  # YAML text
    best_loss: float | None
    run_count: int | None
    run_count_expected: int | None
    created_at: str | None
    updated_at: str | None


_SWEEP = columns_of(
    SweepRow,
    created_at=f"coalesce(created_at_text, strftime(created_at, {ISO}))",
    updated_at=f"strftime(updated_at, {ISO})",
)


def list_sweep_ids(lake: Queryable, entity: str, project: str) -> list[str]:
    """Ids of the sweeps of a project that the server lists, oldest first."""
    rows = lake.rows(f"SELECT sweep_id {_LISTED} ORDER BY created_at NULLS LAST, sweep_id", [entity, project])
    return [sweep_id for (sweep_id,) in rows]


def read_sweeps(lake: Queryable, entity: str, project: str, sweep_ids: Sequence[str]) -> dict[str, SweepRow]:
    """Some sweeps of a project, by id; also those that were deleted upstream."""
    rows = lake.rows(
        f"SELECT {_SWEEP} FROM lake.sweeps WHERE {IN_PROJECT} AND sweep_id IN (SELECT unnest(?::VARCHAR[]))",
        [entity, project, list(sweep_ids)],
    )
    return {sweep.sweep_id: sweep for sweep in structs(SweepRow, rows)}


def held_sweeps(lake: Queryable, key: ProjectKey) -> dict[str, SweepRecord]:
    """The project's sweeps that are held and not gone, by sweep id."""
    rows = lake.rows(f"SELECT {columns_of(SweepRecord, config_text='config')} {_LISTED}", [key.entity, key.project])
    return {sweep.sweep_id: sweep for sweep in aware_structs(SweepRecord, rows)}
