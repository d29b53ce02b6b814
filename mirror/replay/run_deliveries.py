"""Deliveries that change a run itself: edits, states, creation, end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import anyio.to_thread
from msgspec import UNSET

from mirror.api.questions.looks import Look
from mirror.api.rows.pages import BadRun
from mirror.errors import MirrorError
from mirror.records.operations import Create, Delete, Edit, Entry, Stop, UpdateState, may_become
from mirror.records.runs import ENDED_STATES, RunRecord
from mirror.records.texts import is_malformed
from mirror.replay.context import DeliveryContext
from mirror.replay.merge import Merged, Policy, Remote, merge_edit
from mirror.replay.outcomes import (
    Delivered,
    HeldDelivery,
    RefusedDelivery,
    UnconfirmedDelivery,
    is_refusal,
    words_of,
)
from mirror.replay.readable import flaws_in, needs_of

NO_STORAGE_ID = "the server names no id for the run"

# Field of an edit → field of W&B's input.
_INPUTS = {
    "display_name": "displayName",
    "notes": "notes",
    "description": "description",
    "group": "groupName",
    "job_type": "jobType",
    "tags": "tags",
}


async def edit(context: DeliveryContext, entry: Entry, operation: Edit) -> Delivered:
    """Write what differs, in documents built from a fresh read, so that nobody else's keys are lost."""
    needs = needs_of(operation)
    run = await context.run(entry, needs)
    policy = context.policy(entry)
    merged = merge_edit(operation, remote_of(run, operation), policy)
    if merged.clashes:
        raise HeldDelivery("; ".join(str(clash) for clash in merged.clashes))
    yielded = "; ".join(str(clash) for clash in merged.yielded) or None
    if merged.is_empty:
        return Delivered(outcome="theirs" if yielded else "already_so", run=run, answer=yielded)
    sent = edit_input(merged)
    after = await context.client.edit_run(*entry.run_path, run.storage_id, sent)
    # What a mutation answers may show less than a look does, or what was so before.
    if isinstance(after, BadRun) or flaws_in(after, needs) or not _is_done(operation, after, policy):
        after = await _run_after(context, entry, needs)
        if not _is_done(operation, after, policy):
            raise UnconfirmedDelivery("the server took the edit but shows other values")
    return Delivered(outcome="applied", run=after, sent=_changed(sent, merged), answer=yielded)


async def _run_after(context: DeliveryContext, entry: Entry, needs: Sequence[str]) -> RunRecord:
    """The run as it is upstream after a change that the server took.

    Raises:
        UnconfirmedDelivery: it cannot be read.
    """
    try:
        return await context.run(entry, needs)
    except RefusedDelivery as refusal:
        raise UnconfirmedDelivery(f"the server took the change, and then: {refusal}") from refusal


def _is_done(operation: Edit, run: RunRecord, policy: Policy) -> bool:
    """Whether a run shows what an edit asked for."""
    try:
        remote = remote_of(run, operation)
    except RefusedDelivery:
        return False
    rest = merge_edit(operation, remote, policy, loosely=True)
    return rest.is_empty and not rest.clashes


def remote_of(run: RunRecord, operation: Edit) -> Remote:
    """A run's values as a merge compares them; a document that the edit does not touch stays unread.

    Raises:
        RefusedDelivery: a document that would be written back whole cannot be read whole.
    """
    return Remote(
        fields={
            "display_name": run.display_name,
            "notes": run.notes,
            "description": run.description,
            "group": run.group,
            "job_type": run.job_type,
            "tags": list(run.tags),
        },
        config=_object(run.config_text, "config") if operation.config else {},
        summary=_object(run.summary_text, "summary") if operation.summary else {},
    )


def edit_input(merged: Merged) -> dict[str, Any]:
    """What is sent: a text that is to be empty as such, since W&B leaves a field alone that is null."""
    sent = {_INPUTS[name]: "" if value is None or value is UNSET else value for name, value in merged.fields.items()}
    if merged.config is not None:
        sent["config"] = json.dumps(merged.config)
    if merged.summary is not None:
        sent["summaryMetrics"] = json.dumps(merged.summary)
    return sent


def _changed(sent: dict[str, Any], merged: Merged) -> dict[str, Any]:
    """What was sent, for the receipt: of a document that was sent whole only the keys that changed."""
    keys = {"config": merged.config_keys, "summaryMetrics": merged.summary_keys}
    return {field: keys.get(field, value) for field, value in sent.items()}


async def update_state(context: DeliveryContext, entry: Entry, operation: UpdateState) -> Delivered:
    """Set a state. What W&B does not allow is refused in its own words, which the user gets to see."""
    run = await context.run(entry, ["state"], wants=["id"])
    if run.state is None:
        raise UnconfirmedDelivery("the server shows no state of the run: nothing was sent")
    if run.state == operation.state:
        return Delivered(outcome="already_so", run=run)
    policy = context.policy(entry)
    if run.state != operation.base and may_become(run.state, operation.state):
        moved = f"the state was {operation.base}, is {run.state} upstream, should become {operation.state}"
        if policy == "theirs":
            return Delivered(outcome="theirs", run=run, answer=moved)
        if policy == "hold":
            raise HeldDelivery(moved)
    # A transition that W&B does not know is sent all the same: its refusal, in its own words, is what the user gets.
    try:
        await context.client.update_state(storage_id_of(run), operation.state)
    except MirrorError as error:
        if not is_refusal(error):
            raise
        raise RefusedDelivery(words_of(error), run=run) from error  # the mirror learns why: the state is another
    after = await _run_after(context, entry, ["state"])
    if after.state in {run.state, None}:
        raise UnconfirmedDelivery(f"the server took the state {operation.state} but shows {after.state}")
    return Delivered(outcome="applied", run=after, sent={"state": operation.state})


async def create(context: DeliveryContext, entry: Entry, operation: Create) -> Delivered:
    """Make a run under the id that its entry names."""
    found = await context.look(entry)
    if found is not None:
        there = found.run if isinstance(found, Look) else None  # one that cannot be read is there all the same
        if not entry.sent or entry.resolved is not None:  # else it may be our own, its answer lost
            others = "the server has a run of this id already, which somebody else made"
            match context.policy(entry):
                case "hold":
                    raise HeldDelivery(others)
                case "theirs":  # and what was queued for the run that was meant is not for this one
                    return Delivered(outcome="theirs", run=there, answer=others)
        return Delivered(outcome="already_so", run=there)
    await anyio.to_thread.run_sync(context.outbox.mark_sent, entry)
    made = await context.client.create_run(*entry.run_path, state=operation.state, display_name=operation.display_name)
    if isinstance(made, BadRun):
        again = await context.look(entry)
        if not isinstance(again, Look):
            raise UnconfirmedDelivery(f"the run cannot be read after its creation: {made.reason}")
        made = again.run
    return Delivered(outcome="applied", run=made, sent={"state": operation.state})


async def stop(context: DeliveryContext, entry: Entry, _: Stop) -> Delivered:
    """Ask a run to end; one that has ended is left alone. Asking twice does nothing more.

    Where the server does not tell a state, or one of which nothing is known, it is asked all the same.
    """
    run = await context.run(entry, wants=["state", "id"])
    if run.state in ENDED_STATES:
        return Delivered(outcome="already_so", run=run, answer=f"the run is {run.state}")
    await context.client.stop_run(storage_id_of(run))
    return Delivered(
        outcome="applied", run=run, sent={"stop": True}, answer="the run ends when its process hears of it"
    )


async def delete(context: DeliveryContext, entry: Entry, operation: Delete) -> Delivered:
    """Delete a run; the mirror keeps it, marked as gone."""
    found = await context.look(entry, wants=["id"])
    if found is None:
        # W&B shows neither the run nor the project to a key that may not read them: that is no sign of a deletion.
        if await context.client.project(entry.entity, entry.project) is None:
            raise RefusedDelivery(
                f"the server has no project {entry.entity}/{entry.project}, or hides it from this key"
            )
        return Delivered(outcome="already_so", gone=True)
    run = found.run if isinstance(found, Look) else found
    storage_id = run.storage_id or entry.storage_id  # of a run that cannot be read it may be missing
    if not storage_id:
        raise RefusedDelivery(NO_STORAGE_ID)
    await context.client.delete_run(storage_id, delete_artifacts=operation.delete_artifacts)
    if await context.look(entry) is not None:
        raise UnconfirmedDelivery("the server still shows the run")
    return Delivered(outcome="applied", gone=True, sent={"deleteArtifacts": operation.delete_artifacts})


def storage_id_of(run: RunRecord) -> str:
    """What a mutation names a run by.

    Raises:
        RefusedDelivery: the server does not tell it.
    """
    if not run.storage_id:
        raise RefusedDelivery(NO_STORAGE_ID)
    return run.storage_id


def _object(text: str | None, what: str) -> dict[str, Any]:
    """A document that will be written back whole: only what can be read whole, and written as it was."""
    if text is None:
        return {}
    value = None
    if not is_malformed(text):
        with contextlib.suppress(ValueError, RecursionError):  # integers beyond what Python converts
            value = json.loads(text, strict=False)
            if value is None:
                return {}
    if not isinstance(value, dict):
        raise RefusedDelivery(f"the {what} upstream is no JSON object; writing a key would lose all of it")
    return value
