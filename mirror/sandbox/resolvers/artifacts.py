"""Reading artifacts: versions, collections, types, manifests and their files (W&B API notes, section 8)."""

from __future__ import annotations

from typing import Any

from ..artifact_records import ArtifactRecord, CollectionRecord, MembershipRecord
from ..artifact_state import content_key, member_by_alias
from ..context import Context, Info, Resolvers, attribute, constant, context
from ..mongo import compile_filters, named_fields
from ..paging import ordered, page
from ..records import ProjectRecord, RunRecord
from ..storage import guess_mimetype
from ..wire import typed_id


def live(versions: list[ArtifactRecord]) -> list[ArtifactRecord]:
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


def _aliases(artifact: ArtifactRecord, info: Info) -> list[dict[str, Any]]:
    """Of the sequence and of every portfolio that the version is linked to, as far as the viewer may read them."""
    ctx = context(info)
    readable = [member.collection for member in artifact.memberships if ctx.may_read(member.collection.project)]
    return [value for collection in readable for value in _aliases_in(collection, artifact)]


def _aliases_in(collection: CollectionRecord, artifact: ArtifactRecord) -> list[dict[str, Any]]:
    return [alias_value(collection, alias) for alias, held in collection.aliases.items() if held is artifact]


def _tags(artifact: ArtifactRecord, _info: Info) -> list[dict[str, Any]]:
    return [tag_value(name) for name in artifact.tags]


def _type(artifact: ArtifactRecord, _info: Info) -> Any:
    return type_value(artifact.collection.project, artifact.collection.type_name)


def _used_by(artifact: ArtifactRecord, info: Info) -> Any:
    return page(artifact.used_by, None, None, context(info).state.limits)


def _membership_aliases(member: MembershipRecord, _info: Info) -> list[dict[str, Any]]:
    return _aliases_in(member.collection, member.artifact)


def _membership_files(member: MembershipRecord, info: Info, **arguments: Any) -> Any:
    return _files(member.artifact, info, **arguments)


def _memberships(artifact: ArtifactRecord, info: Info) -> Any:
    ctx = context(info)
    readable = [member for member in artifact.memberships if ctx.may_read(member.collection.project)]
    return page(readable, None, None, ctx.state.limits)


# ---------------------------------------------------------------- collections and types


_VERSION_FIELDS = named_fields(
    {
        "version_index": lambda member: member.version,
        "versionIndex": lambda member: member.version,
        "createdAt": lambda member: member.artifact.created_at,
        "created_at": lambda member: member.artifact.created_at,
        "updatedAt": lambda member: member.artifact.updated_at,
        "updated_at": lambda member: member.artifact.updated_at,
        "digest": lambda member: member.artifact.digest,
        "description": lambda member: member.artifact.description,
        "state": lambda member: member.artifact.state,
        "tag": lambda member: member.artifact.tags,
        "tags": lambda member: member.artifact.tags,
        "alias": lambda member: [a for a, held in member.collection.aliases.items() if held is member.artifact],
        "id": lambda member: member.artifact.id,
    }
)


def members_shown(members: list[MembershipRecord], filters: str | None, order: str | None) -> list[MembershipRecord]:
    """The committed ones that match, newest first unless an order says otherwise."""
    keep = compile_filters(filters, _VERSION_FIELDS)
    kept = [m for m in members if m.artifact.state == "COMMITTED" and (keep is None or keep(m))]
    return ordered(kept, order, _VERSION_FIELDS) if order else list(reversed(kept))


def _versions(
    collection: CollectionRecord,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    shown = page(members_shown(collection.members, filters, order), first, after, context(info).state.limits)
    for edge in shown["edges"]:
        member = edge["node"]
        edge["version"], edge["node"] = f"v{member.version}", member.artifact
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


def _collection_membership(collection: CollectionRecord, _info: Info, aliasName: str) -> MembershipRecord | None:
    return member_by_alias(collection, aliasName)


def _collection_project(collection: CollectionRecord, info: Info) -> ProjectRecord | None:
    return collection.project if context(info).may_read(collection.project) else None


def _latest(collection: CollectionRecord, _info: Info) -> ArtifactRecord | None:
    member = member_by_alias(collection, "latest")
    return None if member is None else member.artifact


COLLECTION_FIELDS = named_fields(
    {
        "name": lambda collection: collection.name,
        "description": lambda collection: collection.description,
        "createdAt": lambda collection: collection.created_at,
        "created_at": lambda collection: collection.created_at,
        "updatedAt": lambda collection: collection.updated_at,
        "updated_at": lambda collection: collection.updated_at,
        "tag": lambda collection: collection.tags,
        "tags": lambda collection: collection.tags,
        "id": lambda collection: collection.id,
    }
)


def collections_shown(
    collections: list[CollectionRecord], filters: str | None, order: str | None
) -> list[CollectionRecord]:
    """Those that match, in order."""
    keep = compile_filters(filters, COLLECTION_FIELDS)
    return ordered([c for c in collections if keep is None or keep(c)], order, COLLECTION_FIELDS)


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
    found = collections_shown(list(project.collections.values()), filters, order)
    return page(found, first, after, context(info).state.limits)


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
    found = [c for c in value["project"].collections.values() if c.type_name == value["name"]]
    return page(collections_shown(found, filters, order), first, after, context(info).state.limits)


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
        found = live(getattr(run, attribute_name))
        return page(found, 100 if first is None else first, after, context(info).state.limits)

    return read


_COLLECTION: Resolvers = {
    "description": attribute("description"),
    "state": attribute("state"),
    "createdAt": attribute("created_at"),
    "updatedAt": attribute("updated_at"),
    "project": _collection_project,
    "defaultArtifactType": _collection_type,
    "tags": _collection_tags,
    "aliases": _collection_aliases,
    "artifacts": _versions,
    "artifactMembership": _collection_membership,
}

RESOLVERS: Resolvers = {
    **{
        f"{kind}.{name}": read
        for kind in ("ArtifactSequence", "ArtifactPortfolio")
        for name, read in _COLLECTION.items()
    },
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
    "ArtifactCollectionMembership.versionIndex": attribute("version"),
    "ArtifactCollectionMembership.createdAt": attribute("created_at"),
    "ArtifactCollectionMembership.artifactCollection": attribute("collection"),
    "ArtifactCollectionMembership.aliases": _membership_aliases,
    "ArtifactCollectionMembership.files": _membership_files,
}
