"""Changes of a run as a client sends them, whole documents, as the operations that `mirror.Run` queues."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from mirror.errors import CommError
from mirror.gateway.runs import RunNode
from mirror.gateway.seen import SeenRun, SeenRuns
from mirror.records.operations import Edit, Operation
from mirror.run.pending.edits import RunEdits
from mirror.run.pending.local import LocalMirror, Pending
from mirror.store.read.runs import Documents
from mirror.texts.nonfinite import finite
from mirror.texts.values import unwrap_config
from mirror.wandb_protocol.errors import RequestRefused

# Input fields of upsertBucket and the run's attribute that each one sets; null leaves it alone.
_FIELDS = {
    "displayName": "display_name",
    "description": "description",
    "notes": "notes",
    "tags": "tags",
    "groupName": "group",
    "jobType": "job_type",
}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants a run to be; None: it says nothing of it."""

    fields: Mapping[str, Any]  # by attribute of a run
    config: dict[str, Any] | None  # without envelopes and W&B's own keys
    summary: dict[str, Any] | None


def wish_of(given: Mapping[str, Any]) -> Wish:
    """What an input of upsertBucket asks for.

    Raises:
        RequestRefused: a document is no JSON object.
    """
    fields = {attribute: given[name] for name, attribute in _FIELDS.items() if given.get(name) is not None}
    if "tags" in fields:
        fields["tags"] = list(dict.fromkeys(tag for tag in fields["tags"] if tag is not None))
    config = _object(given.get("config"), "config")
    return Wish(
        fields=fields,
        config=None if config is None else unwrap_config(config),
        summary=_object(given.get("summaryMetrics"), "summaryMetrics"),
    )


def queue_wish(mirror: LocalMirror, seen: SeenRuns, node: RunNode, wish: Wish) -> None:
    """Queue what a client changed.

    Args:
        mirror: the home.
        seen: what clients were told.
        node: the run as it is now.
        wish: what it shall be.

    Raises:
        CommError: the server has deleted the run, or a document of it cannot be read.
    """
    versions = seen.of(node.path) or (_as_it_is(node),)
    edits = [_edit(mirror, node, version, wish) for version in versions]
    edit, version = min(zip(edits, versions, strict=True), key=lambda found: _size(found[0]))
    if not edit.is_empty:
        queued = queue(mirror, node, edit)
        seen.note([msgspec.structs.replace(version, pending=(*version.pending, queued))])


def queue(mirror: LocalMirror, node: RunNode, operation: Operation) -> Pending:
    """Put an operation on a run into the outbox.

    Raises:
        CommError: the server has deleted the run; nothing was queued.
        HomeUnusable: nothing was queued.
    """
    if node.held.gone:
        raise CommError(
            f"{node.path} was deleted upstream", hint="the mirror keeps it, but it cannot be changed any more"
        )
    entry = mirror.enqueue(node.path, node.held.storage_id or None, operation)
    return Pending(state="new", entry=entry)


def editable(mirror: LocalMirror, node: RunNode) -> RunEdits:
    """The run as `mirror.Api` lets people change it."""
    return RunEdits(mirror, node.path, node.held, node.batch, node.pending)


def _as_it_is(node: RunNode) -> SeenRun:
    """A run that nobody was told of."""
    return SeenRun(light=node.held, texts=node.batch.texts(node.held.run_id), pending=tuple(node.pending))


class _Texts:
    """The documents of a version; those that it does not tell are as they are now."""

    def __init__(self, version: SeenRun, node: RunNode) -> None:
        self._version, self._node = version, node

    def documents(self, run_id: str) -> Documents:
        """All of them."""
        texts = {str(name): text for name, text in self._version.texts.items()}
        return msgspec.structs.replace(self._node.batch.documents(run_id), **texts)


def _edit(mirror: LocalMirror, node: RunNode, version: SeenRun, wish: Wish) -> Edit:
    """What a wish changes of a version."""
    run = RunEdits(mirror, node.path, version.light, _Texts(version, node), version.pending)
    for attribute, value in wish.fields.items():
        setattr(run, attribute, value)
    run.load_full_data()
    return run._edit(
        fields=bool(wish.fields),
        config=wish.config is not None and _is_taken(run, "config", wish.config),
        summary=wish.summary is not None and _is_taken(run, "summaryMetrics", wish.summary),
    )


def _is_taken(run: RunEdits, field: str, sent: dict[str, Any]) -> bool:
    """Let a run have what was sent of a document; whether that says anything.

    Raises:
        CommError: what the server sent is no JSON, so that nobody knows what changes.
    """
    if not sent and field not in run._attrs:  # what a client sends that could not read it either
        return False
    run._attrs[field] = _restored(run._document(field), sent)
    return True


def _restored(seen: Any, sent: Any) -> Any:
    """What was sent, with the numbers for which a client's JSON has no words as they were: it did not change them."""
    if isinstance(seen, float) and not math.isfinite(seen):
        return seen if sent is None or sent == finite(seen) else sent
    if isinstance(seen, dict) and isinstance(sent, dict):
        return {key: _restored(seen[key], value) if key in seen else value for key, value in sent.items()}
    if isinstance(seen, list) and isinstance(sent, list) and len(seen) == len(sent):
        return [_restored(*pair) for pair in zip(seen, sent, strict=True)]
    return sent


def _size(edit: Edit) -> int:
    return len(edit.fields) + len(edit.config) + len(edit.summary)


def _object(text: str | None, name: str) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RequestRefused(f"{name} is not a JSON object", status=400)
    return value
