"""Versions of artifacts and their entries as rows: for those who show them, and for those who plan a pull."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mirror.errors import NotMirrored
from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.contents import Direction, FileStatus, HeldArtifact
from mirror.store.engine.queries import Queryable, columns_of, structs
from mirror.store.read.files import ListedBytes
from mirror.store.read.projects import ISO
from mirror.store.schema.keys import IN_PROJECT, OF_RUN, OF_RUNS
from mirror.texts.typed_paths import in_shell
from mirror.typed import struct_of

_BY_ID = "artifact_id IN (SELECT unnest(?::VARCHAR[]))"


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


_VERSION = columns_of(
    VersionRow,
    aliases="coalesce(aliases, [])",
    tags="coalesce(tags, [])",
    metadata="coalesce(metadata_wire, metadata::VARCHAR)",
    created_at=f"coalesce(created_at_text, strftime(created_at, {ISO}))",
    updated_at=f"coalesce(updated_at_text, strftime(updated_at, {ISO}))",
)
_ENTRY = columns_of(EntryRow, extra="extra::VARCHAR")


_LISTS_IT = "l.artifact_id = artifacts.artifact_id AND r.gone_at IS NULL"


def find_version(lake: Queryable, entity: str, project: str, sequence: str, version: str) -> VersionRow | None:
    """The version `vN` of a collection, or the one that an alias points to; None when it is not held.

    One that was deleted upstream is still there by its number. Aliases of a version that only deleted runs list are
    those of when it was listed last: where another one has the alias, too, it has moved there.
    """
    listed = f"EXISTS (FROM lake.run_artifacts l JOIN lake.runs r USING (entity, project, run_id) WHERE {_LISTS_IT})"
    rows = lake.rows(
        f"SELECT {_VERSION} FROM lake.artifacts WHERE {IN_PROJECT} AND sequence = ?"
        " AND state IN ('COMMITTED', 'DELETED') AND ('v' || version_index::VARCHAR = ? OR list_contains(aliases, ?))"
        f" ORDER BY 'v' || version_index::VARCHAR = ? DESC, {listed} DESC, version_index DESC LIMIT 1",
        [entity, project, sequence, version, version, version],
    )
    return structs(VersionRow, rows)[0] if rows else None


def run_version_ids(lake: Queryable, run: RunPath, direction: Direction) -> list[str]:
    """Ids of the versions that a run logged or used, oldest first; those whose project is gone are left out."""
    rows = lake.rows(
        "SELECT artifact_id FROM lake.artifacts WHERE entity IS NOT NULL AND state = 'COMMITTED' AND artifact_id IN"
        f" (SELECT artifact_id FROM lake.run_artifacts WHERE {OF_RUN} AND direction = ?)"
        " ORDER BY created_at NULLS LAST, sequence, version_index, artifact_id",
        [*run, direction],
    )
    return [artifact_id for (artifact_id,) in rows]


def read_versions(lake: Queryable, artifact_ids: Sequence[str]) -> dict[str, VersionRow]:
    """Some versions, by id."""
    rows = lake.rows(f"SELECT {_VERSION} FROM lake.artifacts WHERE {_BY_ID}", [list(artifact_ids)])
    return {version.artifact_id: version for version in structs(VersionRow, rows)}


def list_versions(lake: Queryable, entity: str, project: str) -> list[tuple[str, str, str]]:
    """Type, collection and id of the committed versions of a project, newest first in each collection."""
    rows = lake.rows(
        f"SELECT type, sequence, artifact_id FROM lake.artifacts WHERE {IN_PROJECT}"
        " AND state = 'COMMITTED' ORDER BY type, sequence, version_index DESC",
        [entity, project],
    )
    return [(row[0], row[1], row[2]) for row in rows]


def list_entry_paths(lake: Queryable, artifact_id: str, among: Sequence[str] | None = None) -> list[str]:
    """Paths of the entries of a version, sorted; with `among` only these."""
    query = "SELECT path FROM lake.artifact_files WHERE artifact_id = ?"
    if among is None:
        rows = lake.rows(f"{query} ORDER BY path", [artifact_id])
    else:
        rows = lake.rows(f"{query} AND path IN (SELECT unnest(?::VARCHAR[])) ORDER BY path", [artifact_id, list(among)])
    return [path for (path,) in rows]


def read_entries(lake: Queryable, artifact_id: str, paths: Sequence[str] | None = None) -> list[EntryRow]:
    """Entries of a version, by path; all of them without `paths`."""
    query = f"SELECT {_ENTRY} FROM lake.artifact_files WHERE artifact_id = ?"
    if paths is None:
        rows = lake.rows(f"{query} ORDER BY path", [artifact_id])
    else:
        rows = lake.rows(f"{query} AND path IN (SELECT unnest(?::VARCHAR[])) ORDER BY path", [artifact_id, list(paths)])
    return structs(EntryRow, rows)


def runs_of_version(lake: Queryable, artifact_id: str, direction: Direction) -> list[RunPath]:
    """The held runs that logged or used a version, oldest first."""
    rows = lake.rows(
        "SELECT l.entity, l.project, l.run_id FROM lake.run_artifacts l JOIN lake.runs r ON r.entity = l.entity"
        " AND r.project = l.project AND r.run_id = l.run_id WHERE l.artifact_id = ? AND l.direction = ?"
        " ORDER BY r.created_at NULLS LAST, l.run_id",
        [artifact_id, direction],
    )
    return [RunPath(*row) for row in rows]


def version_names(lake: Queryable, run: RunPath) -> list[str]:
    """Names of the versions that a run logged or used, as `model:v3`, sorted."""
    rows = lake.rows(
        "SELECT DISTINCT sequence || ':v' || version_index::VARCHAR FROM lake.artifacts WHERE version_index IS NOT NULL"
        f" AND artifact_id IN (SELECT artifact_id FROM lake.run_artifacts WHERE {OF_RUN}) ORDER BY 1",
        run,
    )
    return [name for (name,) in rows]


def files_of_artifact(lake: Queryable, run: RunPath, name: str) -> list[ListedBytes] | None:
    """Files of a version that a run logged or used, by path.

    Args:
        lake: to ask.
        run: entity, project, run id.
        name: as `model:v3`, or with an alias, `model:best`.

    Returns:
        None when the run has no such version.

    Raises:
        NotMirrored: what is in it is not known here.
    """
    sequence, _, version = name.rpartition(":")
    found = lake.rows(
        "SELECT artifact_id, manifest IS NOT NULL FROM lake.artifacts WHERE sequence = ?"
        " AND ('v' || version_index::VARCHAR = ? OR list_contains(aliases, ?))"
        f" AND artifact_id IN (SELECT artifact_id FROM lake.run_artifacts WHERE {OF_RUN})",
        [sequence, version, version, *run],
    )
    if not found:
        return None
    query = (
        f"SELECT {columns_of(ListedBytes, name='path')} FROM lake.artifact_files WHERE artifact_id = ? ORDER BY path"
    )
    ((artifact_id, has_manifest), *_) = found
    files = structs(ListedBytes, lake.rows(query, [artifact_id]))
    if not files and not has_manifest:
        raise no_manifest(name, run.entity, run.project)
    return files


def no_manifest(name: str, entity: str, project: str) -> NotMirrored:
    """The error for a version of which the entries are not known."""
    return NotMirrored(
        f"the manifest of {name} is not in this mirror",
        hint=f"`wandb-mirror pull --source {in_shell(entity, project)}` tries to fetch it",
    )


def held_artifacts(lake: Queryable, artifact_ids: Iterable[str]) -> dict[str, HeldArtifact]:
    """Those of the named versions that are held, by id."""
    wanted = list(artifact_ids)
    columns = columns_of(HeldArtifact, aliases="coalesce(aliases, [])", failed_files="coalesce(failed_files, 0)")
    rows = lake.rows(
        f"SELECT artifact_id, {columns} FROM lake.artifacts LEFT JOIN (SELECT artifact_id,"
        " count(*) FILTER (status = 'failed') AS failed_files,"
        " min(reason) FILTER (status = 'left_out' AND ref IS NULL) AS left_out"
        f" FROM lake.artifact_files WHERE {_BY_ID} GROUP BY artifact_id) USING (artifact_id) WHERE {_BY_ID}",
        [wanted, wanted],
    )
    held = {row[0]: struct_of(HeldArtifact, row[1:]) for row in rows}
    return {key: msgspec.structs.replace(one, aliases=tuple(one.aliases)) for key, one in held.items()}


def held_bytes(lake: Queryable, digests: Iterable[str]) -> dict[str, str]:
    """Objects of artifact files by the digest in their manifests, as far as such bytes are held."""
    rows = lake.rows(
        "SELECT digest, min(object) FROM lake.artifact_files WHERE object IS NOT NULL"
        " AND digest IN (SELECT unnest(?::VARCHAR[])) GROUP BY digest",
        [list(digests)],
    )
    return dict(rows)


def held_links(lake: Queryable, key: ProjectKey, run_ids: Iterable[str]) -> dict[str, list[tuple[str, Direction]]]:
    """Which versions the named runs logged and used, by run id."""
    links: dict[str, list[tuple[str, Direction]]] = {}
    rows = lake.rows(
        f"SELECT run_id, artifact_id, direction FROM lake.run_artifacts WHERE {OF_RUNS}",
        [key.entity, key.project, list(run_ids)],
    )
    for run_id, artifact_id, direction in rows:
        links.setdefault(run_id, []).append((artifact_id, direction))
    return links
