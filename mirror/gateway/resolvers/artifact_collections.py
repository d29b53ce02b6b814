"""Types and collections of artifacts, as far as a version of them is held: listed, filtered and ordered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirror.gateway.artifacts import (
    CollectionNode,
    TypeNode,
    VersionNode,
    collection_by_id,
    collection_named,
    collections_of,
    versions_of,
)
from mirror.gateway.context import ProjectPath, RequestContext, context
from mirror.gateway.resolvers.projects import ProjectNode
from mirror.run.sdk.absent import CollectionNotMirrored
from mirror.store.filters.patterns import search
from mirror.wandb_protocol.filters import compile_filters, named_fields, ordered
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolver, Resolvers, attribute, constant
from mirror.wandb_protocol.wire import typed_id

_VERSION_FIELDS = named_fields(
    {
        "version_index": lambda node: node.row.version_index,
        "versionIndex": lambda node: node.row.version_index,
        "createdAt": lambda node: node.row.created_at,
        "created_at": lambda node: node.row.created_at,
        "updatedAt": lambda node: node.facts.updated_at,
        "updated_at": lambda node: node.facts.updated_at,
        "digest": lambda node: node.row.digest,
        "description": lambda node: node.row.description,
        "state": lambda node: node.row.state,
        "tag": lambda node: node.facts.tags,
        "tags": lambda node: node.facts.tags,
        "alias": lambda node: node.facts.aliases,
        "id": lambda node: node.row.artifact_id,
    }
)
_COLLECTION_FIELDS = named_fields(
    {"name": lambda node: node.name, "id": lambda node: node.id}
)  # a mirror knows no more


def alias_value(collection: CollectionNode, alias: str) -> dict[str, Any]:
    """An alias of a collection."""
    return {"id": typed_id("ArtifactAlias", collection.id, alias), "alias": alias, "artifactCollection": collection}


def tag_value(name: str) -> dict[str, Any]:
    """A tag."""
    return {"id": typed_id("Tag", name), "name": name}


def type_value(ctx: RequestContext, project: ProjectPath, name: str) -> TypeNode:
    """A type."""
    return TypeNode(context=ctx, project=project, name=name)


# ---------------------------------------------------------------- collections


def _first_made(versions: Sequence[VersionNode]) -> str | None:
    """When the oldest held version was made: a collection is made with its first."""
    return min((node.row.created_at for node in versions if node.row.created_at), default=None)


def _created_at(collection: CollectionNode, _info: Info) -> str | None:
    return _first_made(collection.versions)


def _project_of(collection: CollectionNode, _info: Info) -> ProjectNode | None:
    return ProjectNode(collection.context, *collection.project) if all(collection.project) else None


def _type_of(collection: CollectionNode, _info: Info) -> TypeNode:
    return type_value(collection.context, collection.project, collection.type)


def _aliases(collection: CollectionNode, _info: Info, after: str | None = None, first: int | None = None) -> Any:
    values = [alias_value(collection, alias) for alias in collection.aliases]
    return page(values, first, after, collection.context.limits)


def _versions(
    collection: CollectionNode,
    _info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    """Newest first unless an order says otherwise; equal ones stay oldest first."""
    keep = compile_filters(filters, _VERSION_FIELDS, search)
    kept = [node for node in collection.versions if keep is None or keep(node)]
    if order:
        kept = ordered(kept[::-1], order, _VERSION_FIELDS)
    shown = page(kept, first, after, collection.context.limits)
    for edge in shown["edges"]:
        edge["version"] = edge["node"].facts.version
    return shown


def _latest(collection: CollectionNode, _info: Info) -> VersionNode | None:
    return collection.aliases.get("latest")


def _algorithm(collection: CollectionNode, _info: Info) -> str | None:
    return collection.versions[0].facts.digest_algorithm if collection.versions else None


# ---------------------------------------------------------------- of a project, and of a type


def _shown(
    ctx: RequestContext,
    found: list[CollectionNode],
    filters: str | None,
    order: str | None,
    window: tuple[int | None, str | None],
) -> Any:
    keep = compile_filters(filters, _COLLECTION_FIELDS, search)
    kept = [node for node in found if keep is None or keep(node)]
    return page(ordered(kept, order, _COLLECTION_FIELDS), *window, ctx.limits)


def _collections(
    project: ProjectNode,
    _info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    return _shown(project.context, collections_of(project.context, project.path), filters, order, (first, after))


def _type_collections(
    kind: TypeNode,
    _info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    return _shown(kind.context, kind.collections, filters, order, (first, after))


def _project_collection(project: ProjectNode, _info: Info, name: str) -> CollectionNode:
    return collection_named(project.context, project.path, name.partition(":")[0])


def _type_collection(kind: TypeNode, _info: Info, name: str) -> CollectionNode | None:
    """Null for one of another type, as the server has it."""
    found = collection_named(kind.context, kind.project, name)
    return found if found.type == kind.name else None


def _types(project: ProjectNode, _info: Info, after: str | None = None, first: int | None = None, **_: Any) -> Any:
    names = dict.fromkeys(kind for kind, _ in versions_of(project.context, project.path))
    nodes = [type_value(project.context, project.path, name) for name in names]
    return page(nodes, first, after, project.context.limits)


def _type_named(project: ProjectNode, _info: Info, name: str) -> TypeNode:
    if all(kind != name for kind, _ in versions_of(project.context, project.path)):
        raise CollectionNotMirrored.of(*project.path, f"the artifact type {name!r} is not known")
    return type_value(project.context, project.path, name)


def _type_made(kind: TypeNode, _info: Info) -> str | None:
    return min((made for node in kind.collections if (made := _first_made(node.versions))), default=None)


def _by_id(_root: Any, info: Info, id: str) -> CollectionNode:  # noqa: A002 -- the schema's argument
    return collection_by_id(context(info), id)


_COLLECTION: dict[str, Resolver] = {
    "id": attribute("id"),
    "name": attribute("name"),
    "state": constant("READY"),
    "createdAt": _created_at,
    "project": _project_of,
    "defaultArtifactType": _type_of,
    "aliases": _aliases,
    "artifacts": _versions,
    "latestArtifact": _latest,
    "digestAlgorithm": _algorithm,
    # The SDK asks for these of every collection, and no pull does: null says so.
    "description": constant(None),
    "updatedAt": constant(None),
    "tags": constant({"edges": []}),
}

RESOLVERS: Resolvers = {
    **{f"ArtifactSequence.{name}": read for name, read in _COLLECTION.items()},
    "Query.artifactCollection": _by_id,
    "Project.artifactType": _type_named,
    "Project.artifactTypes": _types,
    "Project.artifactCollection": _project_collection,
    "Project.artifactCollections": _collections,
    "ArtifactType.id": attribute("id"),
    "ArtifactType.name": attribute("name"),
    "ArtifactType.createdAt": _type_made,
    "ArtifactType.description": constant(None),
    "ArtifactType.artifactCollection": _type_collection,
    "ArtifactType.artifactCollections": _type_collections,
}
