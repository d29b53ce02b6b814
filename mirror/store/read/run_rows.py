"""Runs, projects and sweeps as rows: what `mirror.run` makes its objects of.

A run's **light** columns are cheap to list; the **documents** are the exact wire texts of config, summary and system
metrics, which can be megabytes each and are read when somebody asks for them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.lake import lake_app_url
from mirror.store.engine.reader import Reader
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


_LIGHT = (
    'entity, project, run_id, storage_id, display_name, state, coalesce(tags, []), "group", job_type, sweep, notes,'
    " description,"
    ' "commit", "user", user_name, read_only, created_at_text, heartbeat_at_text, history_line_count,'
    " project_internal_id, gone_at IS NOT NULL"
)
_DOCUMENTS = "config_wire, summary_wire, system_metrics_wire, history_keys"
_IN_PROJECT = "entity = ? AND project = ?"


def read_run(reader: Reader, run: RunPath) -> tuple[LightRun, Documents] | None:
    """One run, whole; None when it is not held."""
    rows = reader.rows(f"SELECT {_LIGHT}, {_DOCUMENTS} FROM lake.runs WHERE {_IN_PROJECT} AND run_id = ?", run)
    if not rows:
        return None
    split = len(LightRun.__struct_fields__)
    return struct_of(LightRun, rows[0][:split]), struct_of(Documents, rows[0][split:])


def read_documents(reader: Reader, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, Documents]:
    """The documents of some runs of a project, by run id."""
    rows = reader.rows(
        f"SELECT run_id, {_DOCUMENTS} FROM lake.runs WHERE {_IN_PROJECT} AND run_id IN (SELECT unnest(?::VARCHAR[]))",
        [*project, list(run_ids)],
    )
    return {row[0]: struct_of(Documents, row[1:]) for row in rows}


def read_light_runs(reader: Reader, project: tuple[str, str], run_ids: Sequence[str]) -> list[LightRun]:
    """Some runs of a project, in the order in which they are named."""
    rows = reader.rows(
        f"SELECT {_LIGHT} FROM lake.runs WHERE {_IN_PROJECT} AND run_id IN (SELECT unnest(?::VARCHAR[]))",
        [*project, list(run_ids)],
    )
    found = {row[2]: struct_of(LightRun, row) for row in rows}
    return [found[run_id] for run_id in run_ids if run_id in found]


def is_mirrored(reader: Reader, entity: str, project: str) -> bool:
    """Whether a project was ever pulled, or any of its runs."""
    query = (
        f"SELECT EXISTS (FROM lake.projects WHERE {_IN_PROJECT}) OR EXISTS (FROM lake.runs WHERE {_IN_PROJECT})"
        f" OR EXISTS (FROM lake.sources WHERE {_IN_PROJECT} AND last_pass_at IS NOT NULL)"
    )
    return bool(reader.rows(query, [entity, project] * 3)[0][0])


def mirrored_projects(reader: Reader, entity: str | None = None) -> list[tuple[str, str]]:
    """Entity and name of all projects that are held, or of those of one entity, by name."""
    query = (
        "SELECT DISTINCT entity, project FROM (SELECT entity, project FROM lake.runs UNION ALL"
        " SELECT entity, project FROM lake.projects) WHERE ?::VARCHAR IS NULL OR entity = ? ORDER BY ALL"
    )
    return [(found[0], found[1]) for found in reader.rows(query, [entity, entity])]


def last_pass(reader: Reader, entity: str, project: str) -> dt.datetime | None:
    """When the last good pass over a project began, UTC; None before the first."""
    rows = reader.rows(f"SELECT last_pass_at FROM lake.sources WHERE {_IN_PROJECT}", [entity, project])
    return rows[0][0].replace(tzinfo=dt.UTC) if rows and rows[0][0] is not None else None


def app_url(reader: Reader) -> str | None:
    """The address of the server's pages, with a trailing slash, as the last pull knew it."""
    with reader.engine() as engine:
        url = lake_app_url(engine)
    return None if url is None else url.rstrip("/") + "/"
