"""Reading artifacts: versions, collections, types, manifests and their files (W&B API notes, section 8)."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.resolvers.artifact_collections import aliases_in, tag_value, type_value
from mirror.sandbox.schema.context import Context, context
from mirror.sandbox.state.artifacts import content_key
from mirror.sandbox.state.records import ArtifactRecord, MembershipRecord, ProjectRecord, RunRecord
from mirror.sandbox.storage import guess_mimetype
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers, attribute, constant
from mirror.wandb_protocol.wire import typed_id


def live(versions: list[ArtifactRecord]) -> list[ArtifactRecord]:
    return [artifact for artifact in versions if artifact.state == "COMMITTED"]


def file_value(ctx: Context, artifact: ArtifactRecord, path: str, entry: dict[str, Any]) -> dict[str, Any]:
    """An artifact file, with what a manifest entry says of it."""
    storage = ctx.state.storage
    url = entry.get("ref") or storage.url(content_key(entry["digest"]))
    return {
        "id": typed_id("ArtifactFile", artifact.number, path),
        "name": path,
        "displayName": path,
        "directUrl": url,
        "sizeBytes": entry.get("size") or 0,
        "mimetype": guess_mimetype(path),
        "updatedAt": artifact.created_at,
        "digest": entry["digest"],
        "md5": entry["digest"],
        "storagePath": content_key(entry["digest"]),
        "artifact": artifact,
    }


def _contents(artifact: ArtifactRecord) -> dict[str, dict[str, Any]]:
    contents = artifact.manifest.get("contents")
    return contents if isinstance(contents, dict) else {}


def _files(
    artifact: ArtifactRecord,
    info: Info,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    ctx = context(info)
    values = [
        file_value(ctx, artifact, path, entry)
        for path, entry in sorted(_contents(artifact).items())
        if not names or path in names
    ]
    return page(values, first, after, ctx.state.limits)


def _files_by_entries(
    artifact: ArtifactRecord,
    info: Info,
    storageLayout: str,
    manifestVersion: str,
    entries: list[dict[str, Any]] | None = None,
    storageRegion: str | None = None,
) -> Any:
    del storageLayout, manifestVersion, storageRegion
    ctx = context(info)
    values = [file_value(ctx, artifact, entry["name"], entry) for entry in entries or []]
    return page(values, len(values), None, ctx.state.limits)


def _manifest(artifact: ArtifactRecord, info: Info) -> Any:
    return None if artifact.manifest_key is None else manifest_value(context(info), artifact)


def manifest_value(ctx: Context, artifact: ArtifactRecord) -> dict[str, Any]:
    key = artifact.manifest_key or ""
    file = {
        "id": typed_id("File", key),
        "name": "wandb_manifest.json",
        "directUrl": ctx.state.storage.url(key),
        "uploadUrl": ctx.state.storage.url(key, write=True),
        "uploadHeaders": [],
        "sizeBytes": len(ctx.state.bucket.get(key) or b""),
    }
    return {"id": artifact.manifest_id, "file": file}


def _size(artifact: ArtifactRecord, _info: Info) -> int:
    return sum(int(entry.get("size") or 0) for entry in _contents(artifact).values())


def _file_count(artifact: ArtifactRecord, _info: Info) -> int:
    return len(_contents(artifact))


def _aliases(artifact: ArtifactRecord, info: Info) -> list[dict[str, Any]]:
    """Of the sequence and of every portfolio that the version is linked to, as far as the viewer may read them."""
    ctx = context(info)
    readable = [member.collection for member in artifact.memberships if ctx.may_read(member.collection.project)]
    return [value for collection in readable for value in aliases_in(collection, artifact)]


def _tags(artifact: ArtifactRecord, _info: Info) -> list[dict[str, Any]]:
    return [tag_value(name) for name in artifact.tags]


def _type(artifact: ArtifactRecord, _info: Info) -> Any:
    return type_value(artifact.collection.project, artifact.collection.type_name)


def _used_by(artifact: ArtifactRecord, info: Info) -> Any:
    return page(artifact.used_by, None, None, context(info).state.limits)


def _membership_aliases(member: MembershipRecord, _info: Info) -> list[dict[str, Any]]:
    return aliases_in(member.collection, member.artifact)


def _membership_files(member: MembershipRecord, info: Info, **arguments: Any) -> Any:
    return _files(member.artifact, info, **arguments)


def _memberships(artifact: ArtifactRecord, info: Info) -> Any:
    ctx = context(info)
    readable = [member for member in artifact.memberships if ctx.may_read(member.collection.project)]
    return page(readable, None, None, ctx.state.limits)


# ---------------------------------------------------------------- by name and by id


def _project_artifact(
    project: ProjectRecord, info: Info, name: str, enableTracking: bool | None = None
) -> ArtifactRecord | None:
    del enableTracking
    member = context(info).state.find_member(project, name)
    return None if member is None else member.artifact


def _project_membership(project: ProjectRecord, info: Info, name: str) -> MembershipRecord | None:
    return context(info).state.find_member(project, name)


def _artifact(_root: Any, info: Info, id: str) -> ArtifactRecord | None:  # noqa: A002 -- the schema's argument
    ctx = context(info)
    found = ctx.state.artifacts_by_id.get(id)
    readable = found is not None and any(ctx.may_read(project) for project in projects_of(found))
    return found if readable else None


def projects_of(artifact: ArtifactRecord) -> list[ProjectRecord]:
    """Where the version can be read: its sequence's project, and those of the portfolios it is linked to."""
    return [artifact.collection.project, *(member.collection.project for member in artifact.memberships)]


def _client_id(_root: Any, info: Info, clientID: str) -> dict[str, Any] | None:
    held = context(info).state.artifacts_by_id.values()
    found = next((artifact for artifact in held if artifact.client_id == clientID), None)
    return None if found is None else {"serverID": found.id}


def _run_artifacts(attribute_name: str) -> Any:
    def read(run: RunRecord, info: Info, after: str | None = None, first: int | None = None) -> Any:
        found = live(getattr(run, attribute_name))
        return page(found, 100 if first is None else first, after, context(info).state.limits)

    return read


RESOLVERS: Resolvers = {
    "Query.artifact": _artifact,
    "Query.clientIDMapping": _client_id,
    "Run.outputArtifacts": _run_artifacts("logged"),
    "Run.inputArtifacts": _run_artifacts("used"),
    "Project.artifact": _project_artifact,
    "Project.artifactCollectionMembership": _project_membership,
    "Artifact.artifactSequence": attribute("collection"),
    "Artifact.artifactType": _type,
    "Artifact.versionIndex": attribute("version"),
    "Artifact.tags": _tags,
    "Artifact.aliases": _aliases,
    "Artifact.digestAlgorithm": attribute("digest_algorithm"),
    "Artifact.commitHash": attribute("digest"),
    "Artifact.size": _size,
    "Artifact.fileCount": _file_count,
    "Artifact.historyStep": attribute("history_step"),
    "Artifact.ttlDurationSeconds": constant(-2),  # "inherit", by the SDK's convention
    "Artifact.ttlIsInherited": constant(True),
    "Artifact.createdAt": attribute("created_at"),
    "Artifact.updatedAt": attribute("updated_at"),
    "Artifact.createdBy": attribute("creator"),
    "Artifact.usedBy": _used_by,
    "Artifact.artifactMemberships": _memberships,
    "Artifact.currentManifest": _manifest,
    "Artifact.files": _files,
    "Artifact.filesByManifestEntries": _files_by_entries,
    "ArtifactCollectionMembership.versionIndex": attribute("version"),
    "ArtifactCollectionMembership.createdAt": attribute("created_at"),
    "ArtifactCollectionMembership.artifactCollection": attribute("collection"),
    "ArtifactCollectionMembership.aliases": _membership_aliases,
    "ArtifactCollectionMembership.files": _membership_files,
}
