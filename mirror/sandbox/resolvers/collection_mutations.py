"""Writing artifact collections: links to portfolios, names, descriptions, types and tags."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.resolvers.artifact_collections import tag_value
from mirror.sandbox.schema.context import Context, mutation
from mirror.sandbox.state.records import ArtifactRecord, CollectionKind, CollectionRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolvers


def _collection(ctx: Context, collection_id: str, kind: CollectionKind) -> CollectionRecord:
    found = ctx.state.collections_by_id.get(collection_id)
    if found is None or found.kind != kind or found.state == "DELETED":
        raise RequestRefused("artifact collection not found", status=404)
    if not ctx.may_write(found.project.entity):
        raise RequestRefused("permission denied", status=403)
    return found


def _linked(ctx: Context, given: dict[str, Any]) -> ArtifactRecord:
    """The version to link, by its id or by the id that the client gave it."""
    held = ctx.state.artifacts_by_id
    found = held.get(given.get("artifactID") or "")
    if found is None and given.get("clientID"):
        found = next((artifact for artifact in held.values() if artifact.client_id == given["clientID"]), None)
    if found is None or not ctx.may_read(found.collection.project):
        raise RequestRefused("artifact not found", status=404)
    if found.state != "COMMITTED":
        raise RequestRefused("artifact is not committed", status=400)
    return found


def _link(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Link a version into a portfolio, which is made when it is missing."""
    artifact = _linked(ctx, given)
    if given.get("artifactPortfolioID"):
        portfolio = _collection(ctx, given["artifactPortfolioID"], "PORTFOLIO")
    else:
        name = given.get("artifactPortfolioName")
        if not name:
            raise RequestRefused("linkArtifact needs a portfolio")
        project = ctx.writable_project(given.get("entityName"), given.get("projectName") or "uncategorized")
        portfolio = ctx.state.collection(project, name, artifact.collection.type_name, "PORTFOLIO")
    if portfolio.type_name != artifact.collection.type_name:
        raise RequestRefused(f"portfolio {portfolio.name} has type {portfolio.type_name}", status=400)
    member = ctx.state.link_artifact(artifact, portfolio, [alias["alias"] for alias in given.get("aliases") or []])
    return {"versionIndex": member.version, "artifactMembership": member}


def _unlink(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    portfolio = _collection(ctx, given["artifactPortfolioID"], "PORTFOLIO")
    artifact = ctx.state.artifacts_by_id.get(given["artifactID"])
    if artifact is None or not ctx.state.unlink_artifact(artifact, portfolio):
        raise RequestRefused("artifact not found", status=404)
    return {"success": True}


def _rename(ctx: Context, collection: CollectionRecord, given: dict[str, Any]) -> dict[str, Any]:
    name, held = given.get("name"), collection.project.collections
    if name and name != collection.name:
        if name in held:
            raise RequestRefused(f"artifact collection {name} already exists", status=409)
        del held[collection.name]
        collection.name = name
        held[name] = collection
    if given.get("description") is not None:
        collection.description = given["description"]
    collection.updated_at = ctx.state.now_text()
    return {"artifactCollection": collection}


def _update_sequence(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    return _rename(ctx, _collection(ctx, given["artifactSequenceID"], "SEQUENCE"), given)


def _update_portfolio(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    return _rename(ctx, _collection(ctx, given["artifactPortfolioID"], "PORTFOLIO"), given)


def _move(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Give a sequence another type; the type is made when it is missing."""
    collection = _collection(ctx, given["artifactSequenceID"], "SEQUENCE")
    collection.type_name = given["destinationArtifactTypeName"]
    collection.project.artifact_types.setdefault(collection.type_name, ctx.state.now_text())
    collection.updated_at = ctx.state.now_text()
    return {"artifactCollection": collection}


def _delete_sequence(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    collection = _collection(ctx, given["artifactSequenceID"], "SEQUENCE")
    ctx.state.delete_collection(collection)
    return {"artifactCollection": collection}


def _delete_portfolio(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    collection = _collection(ctx, given["artifactPortfolioID"], "PORTFOLIO")
    ctx.state.delete_collection(collection)
    return {"artifactCollection": collection}


def _tagged(ctx: Context, given: dict[str, Any]) -> CollectionRecord:
    project = ctx.readable_project(given["entityName"], given["projectName"])
    found = project.collections.get(given["artifactCollectionName"]) if project is not None else None
    if found is None:
        raise RequestRefused("artifact collection not found", status=404)
    return _collection(ctx, found.id, found.kind)


def _add_tags(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    collection = _tagged(ctx, given)
    names = [tag["tagName"] for tag in given["tags"]]
    collection.tags = list(dict.fromkeys([*collection.tags, *names]))
    return {"tags": [tag_value(name) for name in names]}


def _remove_tags(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    collection = _tagged(ctx, given)
    removed = {tag["tagName"] for tag in given["tags"]}
    collection.tags = [name for name in collection.tags if name not in removed]
    return {"success": True}


RESOLVERS: Resolvers = {
    "Mutation.linkArtifact": mutation(_link),
    "Mutation.unlinkArtifact": mutation(_unlink),
    "Mutation.updateArtifactSequence": mutation(_update_sequence),
    "Mutation.updateArtifactPortfolio": mutation(_update_portfolio),
    "Mutation.moveArtifactSequence": mutation(_move),
    "Mutation.deleteArtifactSequence": mutation(_delete_sequence),
    "Mutation.deleteArtifactPortfolio": mutation(_delete_portfolio),
    "Mutation.createArtifactCollectionTagAssignments": mutation(_add_tags),
    "Mutation.deleteArtifactCollectionTagAssignments": mutation(_remove_tags),
}
