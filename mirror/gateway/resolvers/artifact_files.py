"""Manifests of versions and their entries as files, with where their bytes are."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any

from mirror.gateway.artifacts import VersionNode
from mirror.gateway.resolvers.files import FileNode
from mirror.run.artifacts.manifest import content_of
from mirror.run.downloads import Content
from mirror.store.read.artifacts import EntryRow, no_manifest
from mirror.texts.values import storable
from mirror.wandb_protocol.paging import connection, edges_by_place, place_after
from mirror.wandb_protocol.resolvers import Info, Resolvers
from mirror.wandb_protocol.wire import typed_id


def _manifest(version: VersionNode, _info: Info) -> dict[str, Any]:
    row, of = version.row, version.facts
    lacking = no_manifest(of.source_qualified_name, of.entity, of.project)
    content = Content(name="wandb_manifest.json", object=row.manifest, missing=lacking.message, hint=lacking.hint)
    file = FileNode(
        context=version.context,
        id=typed_id("MirroredManifestFile", row.artifact_id),
        name=content.name,
        size=None,
        md5=None,
        mimetype="application/json",
        updated_at=row.created_at,
        content=content,
    )
    return {"id": typed_id("MirroredManifest", row.artifact_id), "file": file}


def _files(
    version: VersionNode,
    _info: Info,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    paths = version.paths
    if names:
        wanted = {storable(name) for name in names}
        paths = [path for path in paths if path in wanted]
    start = place_after(after)
    shown = paths[start : start + version.context.limits.size(first)]
    nodes = [_node(version, row) for row in version.entries(shown)]
    return connection(edges_by_place(nodes, start), more=start + len(shown) < len(paths), totalCount=len(paths))


def _files_by_entries(
    version: VersionNode, _info: Info, entries: Sequence[Mapping[str, Any]] | None = None, **_storage: Any
) -> Any:
    """The files of the named entries, in their order."""
    names = [storable(str(entry["name"])) for entry in entries or ()]
    rows = {row.path: row for row in version.entries(names)}
    nodes = [_node(version, rows[name]) for name in names if name in rows]
    return connection(edges_by_place(nodes, 0), more=False, totalCount=len(nodes))


def _membership_files(member: Mapping[str, Any], info: Info, **arguments: Any) -> Any:
    return _files(member["artifact"], info, **arguments)


def _node(version: VersionNode, row: EntryRow) -> FileNode:
    return FileNode(
        context=version.context,
        id=typed_id("ArtifactFile", version.row.artifact_id, row.path),
        name=row.path,
        size=row.size,
        md5=row.digest,  # as W&B has it: of a reference whatever stands for its bytes
        mimetype=mimetypes.guess_type(row.path)[0] or "",
        updated_at=version.row.created_at,
        content=content_of(version.facts, row),
        reference=row.ref,
        artifact=version,
    )


RESOLVERS: Resolvers = {
    "Artifact.currentManifest": _manifest,
    "Artifact.files": _files,
    "Artifact.filesByManifestEntries": _files_by_entries,
    "ArtifactCollectionMembership.files": _membership_files,
    "ArtifactManifest.id": lambda manifest, _info: manifest["id"],
    "ArtifactManifest.file": lambda manifest, _info: manifest["file"],
}
