"""Artifact collections and types: listed, filtered and ordered, with their members and aliases."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.schema.context import context
from mirror.sandbox.state.artifacts import member_by_alias
from mirror.sandbox.state.records import ArtifactRecord, CollectionRecord, MembershipRecord, ProjectRecord
from mirror.wandb_protocol.filters import compile_filters, named_fields, ordered
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers, attribute
from mirror.wandb_protocol.wire import typed_id


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


def aliases_in(collection: CollectionRecord, artifact: ArtifactRecord) -> list[dict[str, Any]]:
    return [alias_value(collection, alias) for alias, held in collection.aliases.items() if held is artifact]


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


def _collection(_root: Any, info: Info, id: str) -> CollectionRecord | None:  # noqa: A002 -- the schema's argument
    ctx = context(info)
    found = ctx.state.collections_by_id.get(id)
    return found if found is not None and ctx.may_read(found.project) else None


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
    "Query.artifactCollection": _collection,
    "Project.artifactType": _project_type,
    "Project.artifactTypes": _project_types,
    "Project.artifactCollection": _project_collection,
    "Project.artifactCollections": _project_collections,
    "ArtifactType.artifactCollection": _type_collection,
    "ArtifactType.artifactCollections": _type_collections,
    "ArtifactSequence.latestArtifact": _latest,
    "ArtifactSequence.digestAlgorithm": attribute("digest_algorithm"),
}
