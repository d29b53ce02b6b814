"""Writing artifacts: a new version from draft to commit, aliases, tags, use by a run."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.resolvers.artifacts import manifest_value, projects_of
from mirror.sandbox.schema.context import Context, mutation
from mirror.sandbox.state.artifacts import content_key
from mirror.sandbox.state.records import ArtifactRecord, CollectionRecord, RunRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.paging import connection, encode_cursor
from mirror.wandb_protocol.resolvers import Resolvers


def _artifact(ctx: Context, artifact_id: str) -> ArtifactRecord:
    found = ctx.state.artifacts_by_id.get(artifact_id)
    if found is None:
        raise RequestRefused("artifact not found", status=404)
    if not ctx.may_write(found.collection.project.entity):
        raise RequestRefused("permission denied", status=403)
    return found


def _run(ctx: Context, entity: str, project: str, name: str) -> RunRecord:
    owner = ctx.state.find_project(entity, project)
    run = owner.runs.get(name) if owner is not None else None
    if run is None:
        raise RequestRefused("run not found", status=404)
    return ctx.writable_run(run.id)


def _create(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """A pending version, or the committed one of the same digest when deduplication is asked for."""
    names = given.get("artifactCollectionNames") or [given.get("artifactCollectionName")]
    if not names[0]:
        raise RequestRefused("createArtifact needs a collection name")
    project = ctx.writable_project(given["entityName"], given["projectName"])
    run = _run(ctx, given["entityName"], given["projectName"], given["runName"]) if given.get("runName") else None
    collection = ctx.state.collection(project, names[0], given["artifactTypeName"])
    aliases = [alias["alias"] for alias in given.get("aliases") or []]
    tags = [tag["tagName"] for tag in given.get("tags") or []]
    held = next((a for a in collection.versions if a.digest == given["digest"] and a.state == "COMMITTED"), None)
    if held is not None and given.get("enableDigestDeduplication"):
        for alias in aliases:
            collection.aliases[alias] = held
        held.tags.extend(tag for tag in tags if tag not in held.tags)
        if run is not None:
            ctx.state.note_logged(run, held)
        return {"artifact": held}
    artifact = ctx.state.new_artifact(
        collection, digest=given["digest"], digest_algorithm=given["digestAlgorithm"], creator=run or ctx.user
    )
    artifact.wanted_aliases, artifact.tags = aliases, tags
    artifact.description, artifact.metadata = given.get("description"), given.get("metadata")
    artifact.history_step, artifact.client_id = given.get("historyStep"), given.get("clientID")
    return {"artifact": artifact}


def _create_manifest(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    artifact = _artifact(ctx, given["artifactID"])
    ctx.state.begin_manifest(artifact, digest=given["digest"])
    return {"artifactManifest": manifest_value(ctx, artifact)}


def _update_manifest(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    artifact = ctx.state.manifests_by_id.get(given["artifactManifestID"])
    if artifact is None:
        raise RequestRefused("artifact manifest not found", status=404)
    ctx.state.begin_manifest(artifact, digest=given.get("digest") or "")
    return {"artifactManifest": manifest_value(ctx, artifact)}


def _create_files(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Where to upload each file, in the order of the request; null where the bytes are held already."""
    edges = []
    for i, spec in enumerate(given["artifactFiles"]):
        key = content_key(spec.get("digest") or spec["md5"])
        known = ctx.state.bucket.get(key) is not None
        node = {
            "id": key,
            "name": spec["name"],
            "displayName": spec["name"],
            "storagePath": key,
            "uploadUrl": None if known else ctx.state.storage.url(key, write=True),
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "directUrl": ctx.state.storage.url(key),
            "artifact": _artifact(ctx, spec["artifactID"]),
        }
        edges.append({"cursor": encode_cursor(i), "node": node})
    return {"files": connection(edges, more=False, totalCount=len(edges))}


def _commit(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    artifact = _artifact(ctx, given["artifactID"])
    ctx.state.commit_artifact(artifact)
    return {"artifact": artifact}


def _use(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    artifact = ctx.state.artifacts_by_id.get(given["artifactID"])
    if artifact is None or not any(ctx.may_read(project) for project in projects_of(artifact)):
        raise RequestRefused("artifact not found", status=404)
    ctx.state.note_used(_run(ctx, given["entityName"], given["projectName"], given["runName"]), artifact)
    return {"artifact": artifact}


def _update(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    artifact = _artifact(ctx, given["artifactID"])
    if given.get("description") is not None:
        artifact.description = given["description"]
    if given.get("metadata") is not None:
        artifact.metadata = given["metadata"]
    if given.get("aliases") is not None:
        _replace_aliases(artifact, given["aliases"])
    added = [tag["tagName"] for tag in given.get("tagsToAdd") or []]
    removed = {tag["tagName"] for tag in given.get("tagsToDelete") or []}
    artifact.tags = [tag for tag in dict.fromkeys([*artifact.tags, *added]) if tag not in removed]
    artifact.updated_at = ctx.state.now_text()
    return {"artifact": artifact}


def _replace_aliases(artifact: ArtifactRecord, wanted: list[dict[str, Any]]) -> None:
    """In every collection that is named, and in the sequence; `latest` stays where it is."""
    names = {alias["artifactCollectionName"] for alias in wanted} | {artifact.collection.name}
    for member in artifact.memberships:
        collection = member.collection
        if collection.name in names:
            kept = {n: held for n, held in collection.aliases.items() if held is not artifact or n == "latest"}
            own = [alias["alias"] for alias in wanted if alias["artifactCollectionName"] == collection.name]
            collection.aliases = kept | dict.fromkeys(own, artifact)


def _delete(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    artifact = _artifact(ctx, given["artifactID"])
    own = [name for name, held in artifact.collection.aliases.items() if held is artifact]
    if own and not given.get("deleteAliases"):
        raise RequestRefused(f"artifact has aliases: {', '.join(own)}", status=409)
    ctx.state.delete_artifact(artifact)
    return {"artifact": artifact}


def _named_collection(ctx: Context, alias: dict[str, Any]) -> CollectionRecord:
    project = ctx.readable_project(alias["entityName"], alias["projectName"])
    collection = project.collections.get(alias["artifactCollectionName"]) if project is not None else None
    if collection is None:
        raise RequestRefused("artifact collection not found", status=404)
    if not ctx.may_write(collection.project.entity):
        raise RequestRefused("permission denied", status=403)
    return collection


def _member(ctx: Context, artifact_id: str, alias: dict[str, Any]) -> tuple[ArtifactRecord, CollectionRecord]:
    """The version and the collection of an alias; writing to the collection is enough."""
    collection = _named_collection(ctx, alias)
    artifact = ctx.state.artifacts_by_id.get(artifact_id)
    if artifact is None or artifact not in collection.versions:
        raise RequestRefused("artifact not found", status=404)
    return artifact, collection


def _add_aliases(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    for alias in given["aliases"]:
        artifact, collection = _member(ctx, given["artifactID"], alias)
        collection.aliases[alias["alias"]] = artifact
    return {"success": True}


def _delete_aliases(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    for alias in given["aliases"]:
        artifact, collection = _member(ctx, given["artifactID"], alias)
        if collection.aliases.get(alias["alias"]) is artifact:
            del collection.aliases[alias["alias"]]
    return {"success": True}


RESOLVERS: Resolvers = {
    "Mutation.createArtifact": mutation(_create),
    "Mutation.createArtifactManifest": mutation(_create_manifest),
    "Mutation.updateArtifactManifest": mutation(_update_manifest),
    "Mutation.createArtifactFiles": mutation(_create_files),
    "Mutation.commitArtifact": mutation(_commit),
    "Mutation.useArtifact": mutation(_use),
    "Mutation.updateArtifact": mutation(_update),
    "Mutation.deleteArtifact": mutation(_delete),
    "Mutation.addAliases": mutation(_add_aliases),
    "Mutation.deleteAliases": mutation(_delete_aliases),
}
