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
from mirror.errors import MirrorError
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
from mirror.replay.artifact_deliveries import edit_artifact, links_of, log_artifact, use_artifact
from mirror.replay.context import DeliveryContext
from mirror.replay.decide import (
    Decision,
    Seen,
    decide,
    flaws_in,
    is_done,
    is_refusal,
    needs_of,
    of_error,
    unconfirmed,
    words_of,
)
from mirror.replay.file_deliveries import delete_file, gone_row, upload_file, uploaded_row
from mirror.replay.look import look
from mirror.replay.marking import marks_of
from mirror.replay.merge import Merged
from mirror.replay.sending import Delivered, Sending, SendRefused, Unconfirmed
from mirror.replay.sync.delivery import RunDelivery
from mirror.replay.sync.outcomes import Behind, Clash, GoesOn, NotShown
from mirror.replay.sync.versions import with_upstream_id

GOES_ON_S = 15.0  # between two deliveries of a run that goes on

# Field of an edit → field of W&B's input.
_INPUTS = {
    "display_name": "displayName",
    "notes": "notes",
    "description": "description",
    "group": "groupName",
    "job_type": "jobType",
    "tags": "tags",
}


async def deliver(context: DeliveryContext, entry: Entry) -> Delivered:
    """Deliver one entry.

    Raises:
        MirrorError: of the network or the server; to be tried again, and no fault of the entry.
    """
    try:
        if isinstance(entry.operation, LogArtifact | UseArtifact):
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
        return Delivered(outcome="put_back", answer=str(news), again_in_s=GOES_ON_S, remains=news.remains)
    except Behind as other:
        return Delivered(outcome="put_back", answer=str(other), again_in_s=0.0, behind=other.parent)
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
            return msgspec.structs.replace(ended, files=(uploaded_row(seen.file, entry.operation),))
        case DeleteFile():
            return msgspec.structs.replace(ended, files=(gone_row(entry.operation),))
        case LogArtifact() | UseArtifact():
            return msgspec.structs.replace(ended, links=links_of(entry.operation), marked=marks_of(entry.operation))
    return ended


async def _edit(sending: Sending, operation: Edit) -> Delivered:
    """Write what differs, in documents built from a fresh read, so that nobody else's keys are lost."""
    context, entry, merged = sending.context, sending.entry, sending.decision.merged or Merged()
    (needs, _), policy = needs_of(operation), context.policy(entry)
    sent = edit_input(merged)
    told = await context.client.edit_run(*sending.path, sending.run.storage_id, sent)
    after = await sending.look()  # a server may answer with what was asked of it, and keep something else
    if not is_done(operation, after, policy):
        raise Unconfirmed("the server took the edit but shows other values")
    if isinstance(told, RunRecord) and not flaws_in(told, needs) and is_done(operation, told, policy):
        after = told
    keys = {"config": merged.config_keys, "summaryMetrics": merged.summary_keys}  # of whole documents what changed
    changed = {name: keys.get(name, value) for name, value in sent.items()}
    return Delivered(outcome="applied", run=after, sent=changed, answer=sending.decision.words)


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


async def _sync_run(sending: Sending, operation: SyncRun) -> Delivered:
    """Bring a run upstream that was trained without a server."""
    done = await RunDelivery(sending.context, sending.entry).done(operation, sending.seen)
    return Delivered(
        outcome="applied",
        run=done.run,
        files=done.files,
        logs=(done.row,),
        versions=done.versions,
        sent=done.sent,
        answer=done.unsent,
    )


async def _theirs(context: DeliveryContext, entry: Entry) -> RunRecord | None:
    """The run as the server has it, which a person chose."""
    seen = (await context.upstream.run(entry.run_path, (), ())).run
    return seen if isinstance(seen, RunRecord) else None


_SEND: dict[type[Any], Callable[[Sending, Any], Awaitable[Delivered]]] = {
    Edit: _edit,
    UpdateState: _update_state,
    UploadFile: upload_file,
    DeleteFile: delete_file,
    Create: _create,
    Stop: _stop,
    Delete: _delete,
    LogArtifact: log_artifact,
    UseArtifact: use_artifact,
    SyncRun: _sync_run,
    EditArtifact: edit_artifact,
}
