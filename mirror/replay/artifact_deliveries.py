"""Deliveries that tie a version of an artifact to a run."""

from __future__ import annotations

from typing import Any

from mirror.records.artifacts import ArtifactRecord
from mirror.records.contents import Direction
from mirror.records.operations import Entry, LogArtifact, UseArtifact
from mirror.replay.context import DeliveryContext
from mirror.replay.outcomes import Delivered, RefusedDelivery, UnconfirmedDelivery

_USE_FEATURE = "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION"


async def log_artifact(context: DeliveryContext, entry: Entry, operation: LogArtifact) -> Delivered:
    """Attach a version to a run as its output, by its digest: no bytes are sent."""
    run = await context.run(entry)
    link: tuple[tuple[str, Direction], ...] = ((operation.artifact_id, "logged"),)
    if await _is_linked(context, entry, operation.artifact_id, "logged", operation.aliases):
        return Delivered(outcome="already_so", run=run, links=link)
    fields = {
        "entityName": entry.entity,
        "projectName": entry.project,
        "runName": entry.run_id,
        "artifactTypeName": operation.type,
        "artifactCollectionNames": [operation.collection],
        "digest": operation.digest,
        "digestAlgorithm": operation.digest_algorithm or "MANIFEST_MD5",
        "enableDigestDeduplication": True,
        "aliases": [{"artifactCollectionName": operation.collection, "alias": alias} for alias in operation.aliases],
        "tags": [{"tagName": tag} for tag in operation.tags],
    }
    await _require(context, operation)  # else the server would begin a new version, whose bytes never come
    state = await context.client.attach_artifact(fields)
    if state not in {None, "COMMITTED"}:
        raise RefusedDelivery(f"the server no longer has the bytes of {operation.name}")
    if not await _is_linked(context, entry, operation.artifact_id, "logged", operation.aliases):
        raise UnconfirmedDelivery(f"the server took {operation.name} but does not show it at the run")
    return Delivered(outcome="applied", run=run, links=link, sent=fields)


async def use_artifact(context: DeliveryContext, entry: Entry, operation: UseArtifact) -> Delivered:
    """Declare a version as an input of a run."""
    run = await context.run(entry)
    link: tuple[tuple[str, Direction], ...] = ((operation.artifact_id, "used"),)
    if await _is_linked(context, entry, operation.artifact_id, "used", ()):
        return Delivered(outcome="already_so", run=run, links=link)
    fields: dict[str, Any] = {
        "entityName": entry.entity,
        "projectName": entry.project,
        "runName": entry.run_id,
        "artifactID": operation.artifact_id,
        "usedAs": operation.use_as,
    }
    owner = operation.name.split("/")
    if _USE_FEATURE in context.features and len(owner) == 3:
        fields |= {"artifactEntityName": owner[0], "artifactProjectName": owner[1]}
    await _require(context, operation)
    await context.client.use_artifact(fields)
    if not await _is_linked(context, entry, operation.artifact_id, "used", ()):
        raise UnconfirmedDelivery(f"the server took {operation.name} but does not show it at the run")
    return Delivered(outcome="applied", run=run, links=link, sent=fields)


async def _require(context: DeliveryContext, operation: LogArtifact | UseArtifact) -> None:
    """Refuse a version that went upstream, which servers leave out of listings."""
    found = (await context.client.artifacts([operation.artifact_id]))[operation.artifact_id]
    if found is None or (isinstance(found, ArtifactRecord) and found.state != "COMMITTED"):
        state = "no longer there" if found is None else found.state
        raise RefusedDelivery(f"the version {operation.name} is not to be had upstream: it is {state}")


async def _is_linked(
    context: DeliveryContext, entry: Entry, artifact_id: str, direction: Direction, aliases: tuple[str, ...]
) -> bool:
    ref = await context.client.linked_artifact(*entry.run_path, direction, artifact_id, with_aliases=bool(aliases))
    return ref is not None and set(aliases) <= set(ref.aliases)
