"""Projects and sweeps as W&B listed them."""

from __future__ import annotations

import datetime as dt

import msgspec


class ProjectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One project of an entity."""

    entity: str
    project: str
    storage_id: str
    internal_id: str | None  # numeric id, as text
    created_at: dt.datetime | None  # UTC
    created_at_text: str | None
    run_count: int | None  # runs upstream at the time of listing


class SweepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One sweep of a project; `config_text` is the YAML text that defines its search."""

    entity: str
    project: str
    sweep_id: str  # W&B's `name`
    storage_id: str
    display_name: str | None
    state: str | None
    method: str | None
    description: str | None
    config_text: str | None
    best_loss: float | None
    run_count: int | None
    run_count_expected: int | None  # None: unbounded
    created_at: dt.datetime | None  # UTC
    created_at_text: str | None
    updated_at: dt.datetime | None  # UTC
    heartbeat_at: dt.datetime | None  # UTC
