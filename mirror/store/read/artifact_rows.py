"""Versions of artifacts as rows: what `mirror.run` makes its `Artifact` objects of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mirror.records.addresses import RunPath
from mirror.records.contents import Direction, FileStatus
from mirror.store.engine.reader import Reader
from mirror.typed import struct_of

_RUN = "entity = ? AND project = ? AND run_id = ?"
_ISO = "'%Y-%m-%dT%H:%M:%S'"


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an artifact, whole but for its entries."""

    artifact_id: str
    entity: str | None  # None when its project is gone
    project: str | None
    sequence: str  # name of the collection that it was made in
    type: str
    version_index: int | None
    state: str
    digest: str  # hex, over the manifest
    digest_algorithm: str | None
    aliases: list[str]
    tags: list[str]
    metadata: str | None  # wire text
    description: str | None
    size: int | None  # bytes
    file_count: int | None
    commit_hash: str | None
    history_step: int | None
    manifest: str | None  # object of the manifest's bytes; None: not held
    created_at: str | None
    updated_at: str | None


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a manifest, and what became of its bytes here."""

    path: str  # untrusted
    digest: str
    size: int | None  # bytes
    ref: str | None
    birth_artifact_id: str | None
    extra: str | None  # JSON
    object: str | None
    status: FileStatus
    reason: str | None


_VERSION = (
    "artifact_id, entity, project, sequence, type, version_index, state, digest, digest_algorithm, coalesce(aliases,"
    " []), coalesce(tags, []), coalesce(metadata_wire, metadata::VARCHAR), description, size, file_count, commit_hash,"
    f" history_step, manifest, coalesce(created_at_text, strftime(created_at, {_ISO})),"
    f" coalesce(updated_at_text, strftime(updated_at, {_ISO}))"
)
_ENTRY = "path, digest, size, ref, birth_artifact_id, extra::VARCHAR, object, status, reason"


def find_version(reader: Reader, entity: str, project: str, sequence: str, version: str) -> VersionRow | None:
    """The version `vN` of a collection, or the one that an alias points to; None when it is not held."""
    rows = reader.rows(
        f"SELECT {_VERSION} FROM lake.artifacts WHERE entity = ? AND project = ? AND sequence = ?"
        " AND state = 'COMMITTED' AND ('v' || version_index::VARCHAR = ? OR list_contains(aliases, ?))"
        " ORDER BY 'v' || version_index::VARCHAR = ? DESC, version_index DESC LIMIT 1",
        [entity, project, sequence, version, version, version],
    )
    return _version(rows[0]) if rows else None


def run_version_ids(reader: Reader, run: RunPath, direction: Direction) -> list[str]:
    """Ids of the versions that a run logged or used, oldest first; those whose project is gone are left out."""
    rows = reader.rows(
        "SELECT artifact_id FROM lake.artifacts WHERE entity IS NOT NULL AND state = 'COMMITTED' AND artifact_id IN"
        f" (SELECT artifact_id FROM lake.run_artifacts WHERE {_RUN} AND direction = ?)"
        " ORDER BY created_at NULLS LAST, sequence, version_index, artifact_id",
        [*run, direction],
    )
    return [artifact_id for (artifact_id,) in rows]


def read_versions(reader: Reader, artifact_ids: Sequence[str]) -> dict[str, VersionRow]:
    """Some versions, by id."""
    rows = reader.rows(
        f"SELECT {_VERSION} FROM lake.artifacts WHERE artifact_id IN (SELECT unnest(?::VARCHAR[]))",
        [list(artifact_ids)],
    )
    return {row[0]: _version(row) for row in rows}


def list_versions(reader: Reader, entity: str, project: str) -> list[tuple[str, str, str]]:
    """Type, collection and id of the committed versions of a project, newest first in each collection."""
    rows = reader.rows(
        "SELECT type, sequence, artifact_id FROM lake.artifacts WHERE entity = ? AND project = ?"
        " AND state = 'COMMITTED' ORDER BY type, sequence, version_index DESC",
        [entity, project],
    )
    return [(row[0], row[1], row[2]) for row in rows]


def list_entry_paths(reader: Reader, artifact_id: str, among: Sequence[str] | None = None) -> list[str]:
    """Paths of the entries of a version, sorted; with `among` only these."""
    query = "SELECT path FROM lake.artifact_files WHERE artifact_id = ?"
    if among is None:
        rows = reader.rows(f"{query} ORDER BY path", [artifact_id])
    else:
        rows = reader.rows(
            f"{query} AND path IN (SELECT unnest(?::VARCHAR[])) ORDER BY path", [artifact_id, list(among)]
        )
    return [path for (path,) in rows]


def read_entries(reader: Reader, artifact_id: str, paths: Sequence[str] | None = None) -> list[EntryRow]:
    """Entries of a version, by path; all of them without `paths`."""
    query = f"SELECT {_ENTRY} FROM lake.artifact_files WHERE artifact_id = ?"
    if paths is None:
        rows = reader.rows(f"{query} ORDER BY path", [artifact_id])
    else:
        rows = reader.rows(
            f"{query} AND path IN (SELECT unnest(?::VARCHAR[])) ORDER BY path", [artifact_id, list(paths)]
        )
    return [struct_of(EntryRow, row) for row in rows]


def runs_of_version(reader: Reader, artifact_id: str, direction: Direction) -> list[RunPath]:
    """The held runs that logged or used a version, oldest first."""
    rows = reader.rows(
        "SELECT l.entity, l.project, l.run_id FROM lake.run_artifacts l JOIN lake.runs r ON r.entity = l.entity"
        " AND r.project = l.project AND r.run_id = l.run_id WHERE l.artifact_id = ? AND l.direction = ?"
        " ORDER BY r.created_at NULLS LAST, l.run_id",
        [artifact_id, direction],
    )
    return [RunPath(row[0], row[1], row[2]) for row in rows]


def _version(row: Sequence[Any]) -> VersionRow:
    return struct_of(VersionRow, row)
