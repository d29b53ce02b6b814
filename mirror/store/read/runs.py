"""Runs as rows: what `mirror.run` makes its objects of.

A run's **light** columns are cheap to list; the **documents** are the exact wire texts of config, summary and system
metrics, which can be megabytes each and are read when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.meta import lake_version
from mirror.store.engine.queries import Queryable, columns_of, structs
from mirror.store.schema.keys import IN_PROJECT, OF_RUNS
from mirror.typed import struct_of


class LightRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its documents; times are the texts that the server sent."""

    entity: str
    project: str
    run_id: str
    storage_id: str
    display_name: str | None
    state: str | None
    tags: list[str]
    group: str | None
    job_type: str | None
    sweep: str | None
    notes: str | None
    description: str | None
    commit: str | None
    user: str | None
    user_name: str | None
    read_only: bool | None
    created_at: str | None
    heartbeat_at: str | None
    history_line_count: int | None
    project_internal_id: str | None
    gone: bool  # deleted upstream; the mirror keeps it

    @property
    def run_path(self) -> RunPath:
        """Entity, project, run id."""
        return RunPath(self.entity, self.project, self.run_id)


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """A run's large JSON texts, as the server sent them; None where it sent none."""

    config: str | None
    summary: str | None
    system_metrics: str | None
    history_keys: str | None  # strict JSON


DocumentName = Literal["config", "summary", "system_metrics", "history_keys"]

_LIGHT = columns_of(
    LightRun,
    tags="coalesce(tags, [])",
    created_at="created_at_text",
    heartbeat_at="heartbeat_at_text",
    gone="gone_at IS NOT NULL",
)
_WIRE: dict[str, str] = {"config": "config_wire", "summary": "summary_wire", "system_metrics": "system_metrics_wire"}
_DOCUMENTS = columns_of(Documents, **_WIRE)
_LATER_SINCE = 4  # version of the schema
_FROM_PROJECT = f"FROM lake.runs WHERE {IN_PROJECT}"
_SOME = f"FROM lake.runs WHERE {OF_RUNS}"


def read_runs(
    lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]
) -> dict[str, tuple[LightRun, Documents]]:
    """Some runs of a project, whole; by run id, those that are held."""
    rows = lake.rows(f"SELECT {_LIGHT}, {_DOCUMENTS} {_SOME}", [*project, list(run_ids)])
    split = len(LightRun.__struct_fields__)
    both = [(struct_of(LightRun, row[:split]), struct_of(Documents, row[split:])) for row in rows]
    return {light.run_id: (light, documents) for light, documents in both}


def read_run(lake: Queryable, run: RunPath) -> tuple[LightRun, Documents] | None:
    """One run, whole; None when it is not held."""
    rows = lake.rows(f"SELECT {_LIGHT}, {_DOCUMENTS} {_FROM_PROJECT} AND run_id = ?", run)
    if not rows:
        return None
    split = len(LightRun.__struct_fields__)
    return struct_of(LightRun, rows[0][:split]), struct_of(Documents, rows[0][split:])


def runs_by_storage_id(lake: Queryable, storage_ids: Collection[str]) -> dict[str, RunPath]:
    """Where the runs are that W&B's opaque ids name; those that are not held are left out."""
    query = (
        "SELECT storage_id, entity, project, run_id FROM lake.runs WHERE storage_id IN (SELECT unnest(?::VARCHAR[]))"
    )
    return {found: RunPath(*path) for found, *path in lake.rows(query, [list(storage_ids)])}


def is_held(lake: Queryable, run: RunPath) -> bool:
    """Whether the mirror holds a run at all."""
    return bool(lake.rows(f"SELECT 1 {_FROM_PROJECT} AND run_id = ?", run))


def read_documents(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, Documents]:
    """The documents of some runs of a project, by run id."""
    rows = lake.rows(f"SELECT run_id, {_DOCUMENTS} {_SOME}", [*project, list(run_ids)])
    return {row[0]: struct_of(Documents, row[1:]) for row in rows}


def read_light_runs(lake: Queryable, project: tuple[str, str], run_ids: Collection[str]) -> list[LightRun]:
    """Some runs of a project, in the order in which they are named."""
    rows = lake.rows(f"SELECT {_LIGHT} {_SOME}", [*project, list(run_ids)])
    found = {run.run_id: run for run in structs(LightRun, rows)}
    return [found[run_id] for run_id in run_ids if run_id in found]


def read_listed_runs(
    lake: Queryable, project: tuple[str, str], run_ids: Sequence[str], documents: Sequence[DocumentName]
) -> dict[str, tuple[LightRun, dict[DocumentName, str | None]]]:
    """Those of some runs of a project that are held, with some of their documents and no other read.

    Returns:
        By run id, the row and the documents that were asked for, as `Documents` has them.
    """
    columns = [_LIGHT, *(_WIRE.get(name, name) for name in documents)]
    rows = lake.rows(f"SELECT {', '.join(columns)} {_SOME}", [*project, list(run_ids)])
    split = len(LightRun.__struct_fields__)
    runs = [(struct_of(LightRun, row[:split]), dict(zip(documents, row[split:], strict=True))) for row in rows]
    return {run.run_id: (run, texts) for run, texts in runs}


class LaterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What lakes of earlier versions hold of no run."""

    updated_at: str | None = None  # as sent
    host: str | None = None


def read_later_facts(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, LaterFacts]:
    """The same of some runs of a project, by run id; nothing in a lake of an earlier version."""
    if lake_version(lake) < _LATER_SINCE:
        return {}
    columns = columns_of(LaterFacts, updated_at="updated_at_text")
    rows = lake.rows(f"SELECT run_id, {columns} {_SOME}", [*project, list(run_ids)])
    return {row[0]: struct_of(LaterFacts, row[1:]) for row in rows}
