"""Versions that exist upstream: a run logs or uses one, and one gets aliases and tags."""

from __future__ import annotations

from typing import Any

from mirror.records.contents import Direction
from mirror.records.operations import (
    EditArtifact,
    LogArtifact,
    UseArtifact,
)
from mirror.replay.decide import (
    aliases_of,
    is_linked,
    unmet,
)
from mirror.replay.look import direction_of
from mirror.replay.marking import marks_of, send_marks
from mirror.replay.sending import Delivered, Sending, SendRefused, Unconfirmed

_USE_FEATURE = "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION"


async def log_artifact(sending: Sending, operation: LogArtifact) -> Delivered:
    """Attach a version to a run as its output, by its digest: no bytes are sent."""
    entry = sending.entry
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
    state = await sending.context.client.attach_artifact(fields)
    if state not in {None, "COMMITTED"}:
        raise SendRefused(f"the server no longer has the bytes of {operation.name}")
    return await _linked(sending, operation, fields)


async def use_artifact(sending: Sending, operation: UseArtifact) -> Delivered:
    """Declare a version as an input of a run."""
    entry = sending.entry
    fields: dict[str, Any] = {
        "entityName": entry.entity,
        "projectName": entry.project,
        "runName": entry.run_id,
        "artifactID": operation.artifact_id,
        "usedAs": operation.use_as,
    }
    owner = operation.name.split("/")
    if _USE_FEATURE in sending.context.features and len(owner) == 3:
        fields |= {"artifactEntityName": owner[0], "artifactProjectName": owner[1]}
    await sending.context.client.use_artifact(fields)
    return await _linked(sending, operation, fields)


async def edit_artifact(sending: Sending, operation: EditArtifact) -> Delivered:
    """Give a version aliases and tags, and take some away."""
    context = sending.context
    sent = await send_marks(context.client, operation, sending.seen.marks)
    after = await context.upstream.marks(operation.artifact_id)
    if after is None or after.flaw is not None or not unmet(operation, after).is_empty:
        raise Unconfirmed(f"the server took the change of {operation.name} but shows other aliases or tags")
    return Delivered(outcome="applied", marked=(operation,), sent=sent)


async def _linked(sending: Sending, operation: LogArtifact | UseArtifact, fields: dict[str, Any]) -> Delivered:
    """See that the run shows a version."""
    aliases = await sending.context.upstream.aliases(
        sending.path, direction_of(operation), operation.artifact_id, needed=bool(aliases_of(operation))
    )
    if not is_linked(operation, aliases):
        raise Unconfirmed(f"the server took {operation.name} but does not show it at the run")
    return Delivered(
        outcome="applied", run=sending.run, links=links_of(operation), marked=marks_of(operation), sent=fields
    )


def links_of(operation: LogArtifact | UseArtifact) -> tuple[tuple[str, Direction], ...]:
    return ((operation.artifact_id, direction_of(operation)),)
