"""Sweeps and projects as rows: what `mirror.run` makes its `Sweep` and `Project` objects of."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mirror.store.engine.reader import Reader
from mirror.typed import struct_of

_IN_PROJECT = "entity = ? AND project = ?"
_ISO = "'%Y-%m-%dT%H:%M:%S'"


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


class ProjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """A project as it was listed."""

    entity: str
    project: str
    storage_id: str | None
    internal_id: str | None
    created_at: str | None  # as sent


_SWEEP = (
    "sweep_id, storage_id, display_name, state, method, description, config, best_loss, run_count, run_count_expected,"
    f" coalesce(created_at_text, strftime(created_at, {_ISO})), strftime(updated_at, {_ISO})"
)


def list_sweep_ids(reader: Reader, entity: str, project: str) -> list[str]:
    """Ids of the sweeps of a project that the server lists, oldest first."""
    rows = reader.rows(
        f"SELECT sweep_id FROM lake.sweeps WHERE {_IN_PROJECT} AND gone_at IS NULL"
        " ORDER BY created_at NULLS LAST, sweep_id",
        [entity, project],
    )
    return [sweep_id for (sweep_id,) in rows]


def read_sweeps(reader: Reader, entity: str, project: str, sweep_ids: Sequence[str]) -> dict[str, SweepRow]:
    """Some sweeps of a project, by id; also those that were deleted upstream."""
    rows = reader.rows(
        f"SELECT {_SWEEP} FROM lake.sweeps WHERE {_IN_PROJECT} AND sweep_id IN (SELECT unnest(?::VARCHAR[]))",
        [entity, project, list(sweep_ids)],
    )
    return {row[0]: struct_of(SweepRow, row) for row in rows}


def read_project(reader: Reader, entity: str, project: str) -> ProjectRow | None:
    """A project; None when it was never listed."""
    rows = reader.rows(
        "SELECT entity, project, storage_id, internal_id, coalesce(created_at_text,"
        f" strftime(created_at, {_ISO})) FROM lake.projects WHERE {_IN_PROJECT}",
        [entity, project],
    )
    return struct_of(ProjectRow, rows[0]) if rows else None
