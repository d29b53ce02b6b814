"""New versions of artifacts, from announcement to commit; what the server has of them already is not sent again."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread
import msgspec

from mirror.api.questions.syncing import VersionFile
from mirror.errors import NotFound, RefusedByServer, UrlExpired
from mirror.offline.logged_artifacts import is_local, local_id
from mirror.records.addresses import RunPath
from mirror.records.artifacts import COMMITTED, MANIFEST_MD5, parse_manifest
from mirror.records.operations import Entry, LogArtifact, UseArtifact
from mirror.replay.context import DeliveryContext
from mirror.store.engine.queries import Queryable
from mirror.store.read.artifacts import EntryRow, VersionRow, find_version, read_entries, read_versions
from mirror.tasks import side_by_side

MANIFEST = "wandb_manifest.json"
_ADDRESSES = 3  # that are asked for before the storage's refusal is believed
_FILES_AT_ONCE = 100  # addresses that are asked for together
_UPLOADS_AT_ONCE = 4  # uploads of a version side by side


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the versions of a log."""

    named: tuple[
        tuple[str, str], ...
    ]  # of each that was local and is upstream, the id that it had here, and the server's
    refused: tuple[str, ...]  # why others are not


async def deliver_versions(
    context: DeliveryContext, path: RunPath, artifacts: Sequence[Any], used: Sequence[Any]
) -> Versions:
    """Bring the versions of a log upstream that are not there yet.

    Args:
        context: of the replay.
        path: of the run that logged them.
        artifacts: `Artifact` messages of its log, in order.
        used: those of the versions that the run used as its inputs.

    Raises:
        MirrorError: of the network or the server; what was done is found done the next time.
    """
    named: list[tuple[str, str]] = []
    refused: list[str] = []
    held: Mapping[str, VersionRow] = {}
    if artifacts:
        held = await anyio.to_thread.run_sync(
            read_versions, context.lake, [local_id(one) for one in artifacts], limiter=context.storing
        )
    for artifact in artifacts:
        version = held.get(local_id(artifact))
        if version is not None:
            try:
                named.append((version.artifact_id, await _one(context, path, artifact, version)))
            except RefusedByServer as error:  # which costs neither the others nor the run
                refused.append(error.message)
    for one in used:
        if one.id and not is_local(one.id):
            fields = {
                "entityName": path.entity, "projectName": path.project, "runName": path.run_id, "artifactID": one.id,
                "usedAs": one.name or None,
            }  # fmt: skip
            try:
                await context.client.use_artifact(fields)
            except (RefusedByServer, NotFound) as error:
                refused.append(f"{one.name or one.id} could not be declared as used: {error.message}")
    return Versions(named=tuple(named), refused=tuple(refused))


def with_upstream_id(lake: Queryable, entry: Entry) -> Entry:
    """An entry about a version that only the mirror had when it was queued, with the id that it has upstream by now."""
    operation = entry.operation
    if not isinstance(operation, LogArtifact | UseArtifact) or not is_local(operation.artifact_id):
        return entry
    place, _, version = operation.name.rpartition(":")
    entity, _, rest = place.partition("/")
    project, _, sequence = rest.partition("/")
    found = find_version(lake, entity, project, sequence, version)
    if found is None or is_local(found.artifact_id):
        return entry
    return msgspec.structs.replace(entry, operation=msgspec.structs.replace(operation, artifact_id=found.artifact_id))


async def _one(context: DeliveryContext, path: RunPath, artifact: Any, version: VersionRow) -> str:
    artifact_id, state = await context.client.create_version(_announced(path, artifact))
    if state == COMMITTED:
        return artifact_id
    if version.manifest is None:
        raise RefusedByServer(f"the manifest of {artifact.name} is not in this mirror")
    entries = await anyio.to_thread.run_sync(read_entries, context.lake, version.artifact_id, limiter=context.storing)
    if lost := next((entry for entry in entries if entry.ref is None and entry.object is None), None):
        raise RefusedByServer(f"{lost.path} of {artifact.name} is not in this mirror: {lost.reason}")
    source = context.objects.path(version.manifest)
    content = await anyio.to_thread.run_sync(source.read_bytes)
    fields = {
        "artifactID": artifact_id, "name": MANIFEST, "entityName": path.entity, "projectName": path.project,
        "runName": path.run_id, "type": "FULL",
        "digest": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
    }  # fmt: skip
    manifest_id, slot = await context.client.create_manifest(fields)
    layout = parse_manifest(content).storage_layout or "V1"
    files = [entry for entry in entries if entry.object is not None]
    for start in range(0, len(files), _FILES_AT_ONCE):
        await _upload(context, artifact_id, manifest_id, files[start : start + _FILES_AT_ONCE], layout)
    await context.client.upload(slot, source, len(content))
    state = await context.client.commit_version(artifact_id)
    if state not in (None, COMMITTED):
        raise RefusedByServer(f"the server did not take {artifact.name}: it is {state}")
    return artifact_id


def _announced(path: RunPath, artifact: Any) -> dict[str, Any]:
    """The fields of `CreateArtifactInput`."""
    fields: dict[str, Any] = {
        "entityName": path.entity, "projectName": path.project, "runName": path.run_id,
        "artifactTypeName": artifact.type, "artifactCollectionNames": [artifact.name], "digest": artifact.digest,
        "digestAlgorithm": MANIFEST_MD5, "enableDigestDeduplication": True,
        "aliases": [{"artifactCollectionName": artifact.name, "alias": alias} for alias in artifact.aliases],
        "tags": [{"tagName": tag} for tag in artifact.tags],
    }  # fmt: skip
    told = {
        "description": artifact.description, "metadata": artifact.metadata, "clientID": artifact.client_id,
        "sequenceClientID": artifact.sequence_client_id, "distributedID": artifact.distributed_id,
        "ttlDurationSeconds": artifact.ttl_duration_seconds,
    }  # fmt: skip
    return fields | {name: value for name, value in told.items() if value}


async def _upload(
    context: DeliveryContext, artifact_id: str, manifest_id: str, entries: Sequence[EntryRow], layout: str
) -> None:
    """Bring the bytes of some entries up; those that the server has get no address."""
    files = [
        VersionFile(name=one.path, digest=one.digest, mimetype=mimetypes.guess_type(one.path)[0]) for one in entries
    ]
    for attempt in range(1, _ADDRESSES + 1):
        slots = await context.client.version_slots(artifact_id, manifest_id, files, layout)
        turns = anyio.Semaphore(_UPLOADS_AT_ONCE)
        try:
            async with side_by_side() as group:
                for entry, slot in zip(entries, slots, strict=True):
                    group.start_soon(_put, context, turns, entry, slot)
        except UrlExpired as error:
            if attempt == _ADDRESSES:
                raise RefusedByServer(error.message) from error
        else:
            return


async def _put(context: DeliveryContext, turns: anyio.Semaphore, entry: EntryRow, slot: Any) -> None:
    async with turns:
        source = context.objects.path(entry.object or "")
        await context.client.upload(slot, source, source.stat().st_size)
