"""Reading artifacts: versions, collections, types, manifests and their files (W&B API notes, section 8)."""

from __future__ import annotations

from typing import Any

from ..artifact_records import ArtifactRecord, CollectionRecord
from ..artifact_state import content_key, version_by_alias
from ..context import Context, Info, Resolvers, attribute, constant, context
from ..paging import page
from ..records import ProjectRecord, RunRecord
from ..storage import guess_mimetype
from ..wire import typed_id


def _live(versions: list[ArtifactRecord]) -> list[ArtifactRecord]:
    return [artifact for artifact in versions if artifact.state == "COMMITTED"]


def alias_value(collection: CollectionRecord, alias: str) -> dict[str, Any]:
    return {
        "id": typed_id("ArtifactAlias", collection.id, alias),
        "alias": alias,
        "artifactCollection": collection,
    }


def tag_value(name: str) -> dict[str, Any]:
    return {"id": typed_id("Tag", name), "name": name}


def type_value(project: ProjectRecord, name: str) -> dict[str, Any] | None:
    created = project.artifact_types.get(name)
    if created is None:
        return None
    return {
        "id": typed_id("ArtifactType", project.number, name),
        "name": name,
        "description": None,
        "createdAt": created,
        "project": project,
    }


def file_value(ctx: Context, artifact: ArtifactRecord, path: str, entry: dict[str, Any]) -> dict[str, Any]:
    """An artifact file, with what a manifest entry says of it."""
    signer = ctx.state.signer
    url = entry.get("ref") or signer.url(content_key(entry["digest"]))
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
        "directUrl": ctx.state.signer.url(key),
        "uploadUrl": ctx.state.signer.url(key, write=True),
        "uploadHeaders": [],
        "sizeBytes": len(ctx.state.bucket.get(key) or b""),
    }
    return {"id": artifact.manifest_id, "file": file}


def _size(artifact: ArtifactRecord, _info: Info) -> int:
    return sum(int(entry.get("size") or 0) for entry in _contents(artifact).values())


def _file_count(artifact: ArtifactRecord, _info: Info) -> int:
    return len(_contents(artifact))


def _aliases(artifact: ArtifactRecord, _info: Info) -> list[dict[str, Any]]:
    collection = artifact.collection
    return [alias_value(collection, alias) for alias, held in collection.aliases.items() if held is artifact]


def _tags(artifact: ArtifactRecord, _info: Info) -> list[dict[str, Any]]:
    return [tag_value(name) for name in artifact.tags]


def _type(artifact: ArtifactRecord, _info: Info) -> Any:
    return type_value(artifact.collection.project, artifact.collection.type_name)


def _used_by(artifact: ArtifactRecord, info: Info) -> Any:
    return page(artifact.used_by, None, None, context(info).state.limits)


def membership(artifact: ArtifactRecord) -> dict[str, Any]:
    return {
        "id": typed_id("ArtifactCollectionMembership", artifact.number),
        "versionIndex": artifact.version,
        "createdAt": artifact.created_at,
        "artifactCollection": artifact.collection,
        "artifact": artifact,
    }


def _membership_aliases(value: dict[str, Any], info: Info) -> Any:
    return _aliases(value["artifact"], info)


def _membership_files(value: dict[str, Any], info: Info, **arguments: Any) -> Any:
    return _files(value["artifact"], info, **arguments)


def _memberships(artifact: ArtifactRecord, info: Info) -> Any:
    return page([membership(artifact)], None, None, context(info).state.limits)


# ---------------------------------------------------------------- collections and types


def _versions(
    collection: CollectionRecord,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    del filters, order  # newest first is the only order served, as the SDK asks for none
    found = list(reversed(_live(collection.versions)))
    shown = page(found, first, after, context(info).state.limits)
    for edge in shown["edges"]:
        edge["version"] = f"v{edge['node'].version}"
    return shown


def _collection_aliases(
    collection: CollectionRecord, info: Info, after: str | None = None, first: int | None = None
) -> Any:
    values = [alias_value(collection, alias) for alias in collection.aliases]
    return page(values, first, after, context(info).state.limits)


def _collection_type(collection: CollectionRecord, _info: Info) -> Any:
    return type_value(collection.project, collection.type_name)


def _collection_tags(collection: CollectionRecord, _info: Info) -> dict[str, Any]:
    return {"edges": [{"node": tag_value(name)} for name in collection.tags]}


def _collection_membership(collection: CollectionRecord, _info: Info, aliasName: str) -> Any:
    found = version_by_alias(collection, aliasName)
    return None if found is None else membership(found)


def _latest(collection: CollectionRecord, _info: Info) -> ArtifactRecord | None:
    return version_by_alias(collection, "latest")


def _project_collection(project: ProjectRecord, _info: Info, name: str) -> CollectionRecord | None:
    return project.collections.get(name.partition(":")[0])


def _project_collections(
    project: ProjectRecord,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    del filters, order
    return page(list(project.collections.values()), first, after, context(info).state.limits)


def _type_collection(value: dict[str, Any], _info: Info, name: str) -> CollectionRecord | None:
    found: CollectionRecord | None = value["project"].collections.get(name)
    return found if found is not None and found.type_name == value["name"] else None


def _type_collections(
    value: dict[str, Any],
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    del filters, order
    found = [c for c in value["project"].collections.values() if c.type_name == value["name"]]
    return page(found, first, after, context(info).state.limits)


def _project_type(project: ProjectRecord, _info: Info, name: str) -> Any:
    return type_value(project, name)


def _project_types(
    project: ProjectRecord,
    info: Info,
    after: str | None = None,
    first: int | None = None,
    includeAll: bool | None = None,
) -> Any:
    del includeAll
    return page(
        [type_value(project, name) for name in project.artifact_types], first, after, context(info).state.limits
    )


# ---------------------------------------------------------------- by name and by id


def _project_artifact(
    project: ProjectRecord, info: Info, name: str, enableTracking: bool | None = None
) -> ArtifactRecord | None:
    del enableTracking
    return context(info).state.find_artifact(project, name)


def _project_membership(project: ProjectRecord, info: Info, name: str) -> Any:
    found = context(info).state.find_artifact(project, name)
    return None if found is None else membership(found)


def _artifact(_root: Any, info: Info, id: str) -> ArtifactRecord | None:  # noqa: A002 -- the schema's argument
    ctx = context(info)
    found = ctx.state.artifacts_by_id.get(id)
    return found if found is not None and ctx.may_read(found.collection.project) else None


def _collection(_root: Any, info: Info, id: str) -> CollectionRecord | None:  # noqa: A002 -- the schema's argument
    ctx = context(info)
    found = ctx.state.collections_by_id.get(id)
    return found if found is not None and ctx.may_read(found.project) else None


def _client_id(_root: Any, info: Info, clientID: str) -> dict[str, Any] | None:
    held = context(info).state.artifacts_by_id.values()
    found = next((artifact for artifact in held if artifact.client_id == clientID), None)
    return None if found is None else {"serverID": found.id}


def _run_artifacts(attribute_name: str) -> Any:
    def read(run: RunRecord, info: Info, after: str | None = None, first: int | None = None) -> Any:
        found = _live(getattr(run, attribute_name))
        return page(found, 100 if first is None else first, after, context(info).state.limits)

    return read


RESOLVERS: Resolvers = {
    "Query.artifact": _artifact,
    "Query.artifactCollection": _collection,
    "Query.clientIDMapping": _client_id,
    "Run.outputArtifacts": _run_artifacts("logged"),
    "Run.inputArtifacts": _run_artifacts("used"),
    "Project.artifact": _project_artifact,
    "Project.artifactType": _project_type,
    "Project.artifactTypes": _project_types,
    "Project.artifactCollection": _project_collection,
    "Project.artifactCollections": _project_collections,
    "Project.artifactCollectionMembership": _project_membership,
    "ArtifactType.artifactCollection": _type_collection,
    "ArtifactType.artifactCollections": _type_collections,
    "ArtifactSequence.description": attribute("description"),
    "ArtifactSequence.state": constant("READY"),
    "ArtifactSequence.createdAt": attribute("created_at"),
    "ArtifactSequence.updatedAt": attribute("created_at"),
    "ArtifactSequence.defaultArtifactType": _collection_type,
    "ArtifactSequence.tags": _collection_tags,
    "ArtifactSequence.aliases": _collection_aliases,
    "ArtifactSequence.artifacts": _versions,
    "ArtifactSequence.artifactMembership": _collection_membership,
    "ArtifactSequence.latestArtifact": _latest,
    "ArtifactSequence.digestAlgorithm": attribute("digest_algorithm"),
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
    "ArtifactCollectionMembership.aliases": _membership_aliases,
    "ArtifactCollectionMembership.files": _membership_files,
}
