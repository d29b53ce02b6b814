"""A delivery: look, decide, send if need be, look again. One function a kind of operation sends.

The first look is what makes a delivery safe to repeat: an answer that was lost, or a process that was killed after the
server acted, is found out by it, and nothing is sent twice.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
import msgspec
from msgspec import UNSET

from mirror.api.rows.pages import BadRun
from mirror.errors import MirrorError, UrlExpired
from mirror.records.addresses import RunPath
from mirror.records.contents import Direction, FileRow
from mirror.records.offline import OfflineLog
from mirror.records.operations import (
    Create,
    Delete,
    DeleteFile,
    Edit,
    EditArtifact,
    Entry,
    LogArtifact,
    Stop,
    SyncRun,
    UpdateState,
    UploadFile,
    UseArtifact,
)
from mirror.records.runs import RunRecord
from mirror.replay.context import DeliveryContext, Result
from mirror.replay.decide import (
    Decision,
    Seen,
    aliases_of,
    decide,
    flaws_in,
    is_done,
    is_linked,
    is_refusal,
    needs_of,
    of_error,
    unconfirmed,
    undecidable,
    unmet,
    words_of,
)
from mirror.replay.look import direction_of, look
from mirror.replay.marking import marks_of, send_marks
from mirror.replay.merge import Merged
from mirror.replay.sync.delivery import Clash, GoesOn, NotShown, RunDelivery
from mirror.replay.sync.versions import with_upstream_id
from mirror.texts.values import storable

GOES_ON_S = 15.0  # between two deliveries of a run that goes on
ADDRESSES = 3  # upload addresses that are asked for before the storage's refusal is believed
_MARK_FEATURE = "MARK_RUN_FILES_UPLOADED"
_USE_FEATURE = "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION"

# Field of an edit → field of W&B's input.
_INPUTS = {
    "display_name": "displayName",
    "notes": "notes",
    "description": "description",
    "group": "groupName",
    "job_type": "jobType",
    "tags": "tags",
}


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery came to, and what the server shows afterwards."""

    outcome: Result
    run: RunRecord | None = None  # as it is upstream now; None: as it was looked at before
    gone: bool = False  # the run is no longer there, as was asked
    files: tuple[FileRow, ...] = ()  # of the run, as they are upstream now
    links: tuple[tuple[str, Direction], ...] = ()  # artifact ids that the run logged or used, on top of others
    marked: tuple[EditArtifact, ...] = ()  # what versions are called otherwise than before
    sent: Any = None  # what was sent, as plain values
    answer: str | None = None  # what the server said, or why nothing was sent
    unconfirmed: bool = False  # "put_back": the server does not show (yet) what it took
    again_in_s: float | None = None  # "put_back": nothing is wrong, and there will be more by then
    logs: tuple[OfflineLog, ...] = ()  # of which all is upstream now
    versions: tuple[tuple[str, str], ...] = ()  # of each that only the mirror had, the id there, and the server's


class SendRefused(Exception):
    """The server will not do what was sent, whenever it is asked.

    Args:
        words: the server's.
        run: as it was looked at; the mirror takes it, and so shows why.
    """

    def __init__(self, words: str, *, run: RunRecord | None = None) -> None:
        super().__init__(words)
        self.run = run


class Unconfirmed(Exception):
    """The server does not show (yet) what it took."""


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation is sent with."""

    context: DeliveryContext
    entry: Entry
    seen: Seen
    decision: Decision

    @property
    def path(self) -> RunPath:
        """Entity, project, run id."""
        return self.entry.run_path

    @property
    def run(self) -> RunRecord:
        """The run, which was seen whole enough."""
        if not isinstance(self.seen.run, RunRecord):
            raise TypeError(f"{self.entry.kind} is sent for a run that was seen")
        return self.seen.run

    async def look(self) -> RunRecord:
        """The run as it is after a change that the server took.

        Raises:
            Unconfirmed: it cannot be read.
        """
        after = await self.context.upstream.run(self.path, needs_of(self.entry.operation)[0], ())
        undecided = undecidable(self.entry, after)
        if undecided is not None or not isinstance(after.run, RunRecord):
            raise Unconfirmed(f"the server took the change, and then: {undecided and undecided.words}")
        return after.run


async def deliver(context: DeliveryContext, entry: Entry) -> Delivered:
    """Deliver one entry.

    Raises:
        MirrorError: of the network or the server; to be tried again, and no fault of the entry.
    """
    try:
        entry = await anyio.to_thread.run_sync(with_upstream_id, context.lake, entry, limiter=context.storing)
        seen = await look(context.upstream, context.objects, entry)
        decision = decide(entry, seen, context.policy(entry))
        if decision.verdict != "send":
            return _unsent(entry, seen, decision)
        sending = Sending(context=context, entry=entry, seen=seen, decision=decision)
        return await _SEND[type(entry.operation)](sending, entry.operation)
    except SendRefused as refusal:
        return Delivered(outcome="buried", answer=str(refusal), run=refusal.run)
    except GoesOn as news:
        return Delivered(outcome="put_back", answer=str(news), again_in_s=GOES_ON_S)
    except Clash as clash:
        if context.policy(entry) == "theirs":
            return Delivered(outcome="theirs", answer=str(clash), run=await _theirs(context, entry))
        return Delivered(outcome="held", answer=str(clash))
    except (Unconfirmed, NotShown) as doubt:
        return _ended(unconfirmed(entry, str(doubt)))
    except MirrorError as error:
        decision = of_error(entry, error)
        if decision.verdict == "put_back" and not decision.unconfirmed:
            raise
        return _ended(decision)


def _ended(decision: Decision) -> Delivered:
    """A delivery that a decision ends."""
    if decision.verdict == "send" or decision.verdict == "waiting":
        raise ValueError(f"nothing ends with {decision.verdict!r}")
    return Delivered(
        outcome=decision.verdict, answer=decision.words, gone=decision.gone, unconfirmed=decision.unconfirmed
    )


def _unsent(entry: Entry, seen: Seen, decision: Decision) -> Delivered:
    """What is written down of an entry that needs nothing to be sent, with what was seen on the way."""
    ended = _ended(decision)
    if decision.verdict == "already_so" and isinstance(entry.operation, EditArtifact):
        return msgspec.structs.replace(ended, marked=(entry.operation,))
    if decision.verdict not in ("already_so", "theirs") or not isinstance(seen.run, RunRecord):
        return ended
    ended = msgspec.structs.replace(ended, run=seen.run)
    if decision.verdict == "theirs":
        return ended
    match entry.operation:
        case UploadFile() if seen.source == "whole":  # else there is nothing to hold; a pull fetches what is upstream
            return msgspec.structs.replace(ended, files=(_row(seen.file, entry.operation),))
        case DeleteFile():
            return msgspec.structs.replace(ended, files=(_gone(entry.operation),))
        case LogArtifact() | UseArtifact():
            return msgspec.structs.replace(ended, links=_links(entry.operation), marked=marks_of(entry.operation))
    return ended


async def _edit(sending: Sending, operation: Edit) -> Delivered:
    """Write what differs, in documents built from a fresh read, so that nobody else's keys are lost."""
    context, entry, merged = sending.context, sending.entry, sending.decision.merged or Merged()
    (needs, _), policy = needs_of(operation), context.policy(entry)
    sent = edit_input(merged)
    after = await context.client.edit_run(*sending.path, sending.run.storage_id, sent)
    # What a mutation answers may show less than a look does, or what was so before.
    if isinstance(after, BadRun) or flaws_in(after, needs) or not is_done(operation, after, policy):
        after = await sending.look()
        if not is_done(operation, after, policy):
            raise Unconfirmed("the server took the edit but shows other values")
    keys = {"config": merged.config_keys, "summaryMetrics": merged.summary_keys}  # of whole documents what changed
    told = {name: keys.get(name, value) for name, value in sent.items()}
    return Delivered(outcome="applied", run=after, sent=told, answer=sending.decision.words)


def edit_input(merged: Merged) -> dict[str, Any]:
    """What is sent: a text that is to be empty as such, since W&B leaves a field alone that is null."""
    sent = {_INPUTS[name]: "" if value is None or value is UNSET else value for name, value in merged.fields.items()}
    if merged.config is not None:
        sent["config"] = json.dumps(merged.config)
    if merged.summary is not None:
        sent["summaryMetrics"] = json.dumps(merged.summary)
    return sent


async def _update_state(sending: Sending, operation: UpdateState) -> Delivered:
    """Set a state. What W&B does not allow is refused in its own words, which the user gets to see."""
    try:
        await sending.context.client.update_state(sending.run.storage_id, operation.state)
    except MirrorError as error:
        if not is_refusal(error):
            raise
        raise SendRefused(words_of(error), run=sending.run) from error  # the mirror learns why: the state is another
    after = await sending.look()
    if after.state in {sending.run.state, None}:
        raise Unconfirmed(f"the server took the state {operation.state} but shows {after.state}")
    return Delivered(outcome="applied", run=after, sent={"state": operation.state})


async def _create(sending: Sending, operation: Create) -> Delivered:
    """Make a run under the id that its entry names."""
    context = sending.context
    await anyio.to_thread.run_sync(context.outbox.mark_sent, sending.entry)
    made = await context.client.create_run(*sending.path, state=operation.state, display_name=operation.display_name)
    if isinstance(made, BadRun):
        again = (await context.upstream.run(sending.path, (), ())).run
        if not isinstance(again, RunRecord):
            raise Unconfirmed(f"the run cannot be read after its creation: {made.reason}")
        made = again
    return Delivered(outcome="applied", run=made, sent={"state": operation.state})


async def _stop(sending: Sending, _: Stop) -> Delivered:
    """Ask a run to end. Where the server tells no state, it is asked all the same; asking twice does nothing more."""
    await sending.context.client.stop_run(sending.run.storage_id)
    return Delivered(
        outcome="applied", run=sending.run, sent={"stop": True}, answer="the run ends when its process hears of it"
    )


async def _delete(sending: Sending, operation: Delete) -> Delivered:
    """Delete a run; the mirror keeps it, marked as gone."""
    context, run = sending.context, sending.seen.run
    storage_id = (run and run.storage_id) or sending.entry.storage_id  # it may be missing of one that cannot be read
    await context.client.delete_run(storage_id or "", delete_artifacts=operation.delete_artifacts)
    after = await context.upstream.run(sending.path, (), ())
    if after.run is not None or after.not_offered is not None:
        raise Unconfirmed("the server still shows the run")
    return Delivered(outcome="applied", gone=True, sent={"deleteArtifacts": operation.delete_artifacts})


async def _upload_file(sending: Sending, upload: UploadFile) -> Delivered:
    """Put a file into a run, and see that the server lists these bytes."""
    context, path = sending.context, sending.path
    source = context.objects.path(upload.object)
    for attempt in range(1, ADDRESSES + 1):
        slot = (await context.client.upload_slots(*path, [upload.name]))[upload.name]
        try:
            await context.client.upload(slot, source, upload.size)
            break
        except UrlExpired as error:
            if attempt == ADDRESSES:
                raise SendRefused(error.message) from error
    if _MARK_FEATURE in context.features:
        await context.client.mark_uploaded(*path, [upload.name])
    after = await context.upstream.file(path, upload.name)
    listed = after is not None and after.md5 in (None, upload.md5) and after.size == upload.size
    if not listed and _MARK_FEATURE in context.features:
        raise Unconfirmed(f"the server took {upload.name} but does not list these bytes")
    return Delivered(
        outcome="applied",
        run=sending.run,
        files=(_row(after if listed else None, upload),),
        sent={"file": upload.name, "bytes": upload.size},
        answer=None if listed else "the storage took the bytes; this server registers them by itself",
    )


async def _delete_file(sending: Sending, operation: DeleteFile) -> Delivered:
    """Remove a file from a run; the mirror keeps its bytes."""
    context, file = sending.context, sending.seen.file
    file_id = (file and file.file_id) or ""
    project = sending.run.project_internal_id or operation.project_internal_id
    await context.client.delete_files([file_id], int(project) if project and project.isdecimal() else None)
    if await context.upstream.file(sending.path, operation.name) is not None:
        raise Unconfirmed(f"the server still lists {operation.name}")
    return Delivered(outcome="applied", run=sending.run, files=(_gone(operation),), sent={"file": operation.name})


def _row(file: FileRow | None, upload: UploadFile) -> FileRow:
    """An uploaded file as the lake holds it: its bytes are an object already. None: the server does not list it yet."""
    listed = file or FileRow(
        name=upload.name, file_id=None, size=None, md5=None, mimetype=None, updated_at=None, updated_at_text=None,
        object=None, status="held",
    )  # fmt: skip
    return msgspec.structs.replace(
        listed, name=storable(listed.name), size=upload.size, md5=listed.md5 or upload.md5,
        mimetype=listed.mimetype or upload.mimetype, object=upload.object, status="held",
    )  # fmt: skip


def _gone(operation: DeleteFile) -> FileRow:
    return FileRow(
        name=storable(operation.name), file_id=operation.file_id, size=None, md5=operation.base_md5, mimetype=None,
        updated_at=None, updated_at_text=None, object=None, status="gone",
    )  # fmt: skip


async def _log_artifact(sending: Sending, operation: LogArtifact) -> Delivered:
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


async def _use_artifact(sending: Sending, operation: UseArtifact) -> Delivered:
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


async def _edit_artifact(sending: Sending, operation: EditArtifact) -> Delivered:
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
        outcome="applied", run=sending.run, links=_links(operation), marked=marks_of(operation), sent=fields
    )


def _links(operation: LogArtifact | UseArtifact) -> tuple[tuple[str, Direction], ...]:
    return ((operation.artifact_id, direction_of(operation)),)


async def _sync_run(sending: Sending, operation: SyncRun) -> Delivered:
    """Bring a run upstream that was trained without a server."""
    done = await RunDelivery(sending.context, sending.entry).done(operation, sending.seen)
    return Delivered(
        outcome="applied", run=done.run, files=done.files, logs=(done.row,), versions=done.versions, sent=done.sent
    )


async def _theirs(context: DeliveryContext, entry: Entry) -> RunRecord | None:
    """The run as the server has it, which a person chose."""
    seen = (await context.upstream.run(entry.run_path, (), ())).run
    return seen if isinstance(seen, RunRecord) else None


_SEND: dict[type[Any], Callable[[Sending, Any], Awaitable[Delivered]]] = {
    Edit: _edit,
    UpdateState: _update_state,
    UploadFile: _upload_file,
    DeleteFile: _delete_file,
    Create: _create,
    Stop: _stop,
    Delete: _delete,
    LogArtifact: _log_artifact,
    UseArtifact: _use_artifact,
    SyncRun: _sync_run,
    EditArtifact: _edit_artifact,
}
