"""Pending operations shown over the mirror: pure functions of what the lake holds and what is queued."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from mirror.records.operations import Change, Create, Edit, Entry, Operation, UpdateState, merged_tags
from mirror.store.read.runs import LightRun


def overlaid(run: LightRun, operations: Iterable[Operation]) -> LightRun:
    """A run's light fields as they will be."""
    for operation in operations:
        if isinstance(operation, UpdateState):
            run = msgspec.structs.replace(run, state=operation.state)
        elif isinstance(operation, Edit):
            run = msgspec.structs.replace(run, **_overlaid_fields(operation, run.tags))
    return run


def overlaid_config(wire: dict[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """A run's wire config, `{key: {"value": …}}`, as it will be; a description that a key has is kept."""
    return _changed(wire, _edits(operations, "config"), _wrapped)


def overlaid_summary(summary: dict[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """A run's summary as it will be."""
    return _changed(summary, _edits(operations, "summary"), _bare)


def overlaid_row(row: Mapping[str, Any], operations: Sequence[Operation]) -> dict[str, Any]:
    """A row of the view `runs` as it will be; its config has no envelopes."""
    shown = dict(row)
    for operation in operations:
        if isinstance(operation, UpdateState):
            shown["state"] = operation.state
        elif isinstance(operation, Edit):
            shown |= _overlaid_fields(operation, shown["tags"])
    for which in ("config", "summary"):
        changes = list(_edits(operations, which))
        if any(changes):
            shown[which] = _changed(shown[which] or {}, changes, _bare)
    return shown


def created_run(entry: Entry) -> LightRun:
    """A run that the server does not know yet. Without a name to be given it has none: the server makes one up."""
    operation = entry.operation
    if not isinstance(operation, Create):
        raise TypeError(f"{entry.kind} creates no run")
    return LightRun(
        entity=entry.entity, project=entry.project, run_id=entry.run_id, storage_id=entry.storage_id or "",
        display_name=operation.display_name, state=operation.state, tags=[], group=None,
        job_type=None, sweep=None, notes=None, description=None, commit=None, user=None, user_name=None,
        read_only=False, created_at=f"{entry.created_at:%Y-%m-%dT%H:%M:%S}Z", heartbeat_at=None,
        history_line_count=0, project_internal_id=None, gone=False,
    )  # fmt: skip


def _edits(operations: Iterable[Operation], which: Literal["config", "summary"]) -> Iterator[Mapping[str, Change]]:
    """What edits change of a document, one after the other."""
    return (getattr(operation, which) for operation in operations if isinstance(operation, Edit))


def _changed(
    document: dict[str, Any], edits: Iterable[Mapping[str, Change]], shape: Callable[[Any, Change], Any]
) -> dict[str, Any]:
    changed = document
    for changes in edits:
        for key, change in changes.items():
            changed = dict(changed) if changed is document else changed
            if change.value is UNSET:
                changed.pop(key, None)
            else:
                changed[key] = shape(changed.get(key), change)
    return changed


def _wrapped(before: Any, change: Change) -> dict[str, Any]:
    """A value in W&B's envelope."""
    described = before if isinstance(before, dict) and "value" in before else {"desc": None}
    return {**described, "value": _own(change.wish)}


def _bare(_: Any, change: Change) -> Any:
    return _own(change.wish)


def _overlaid_fields(edit: Edit, tags: Sequence[str]) -> dict[str, Any]:
    values = _values(edit.fields)
    if (wish := edit.fields.get("tags")) is not None:  # sets: what others queued stands, too
        values["tags"] = merged_tags(_listed(wish.base), _listed(wish.value), tags)
    return values


def _values(fields: Mapping[Any, Change]) -> dict[str, Any]:
    return {name: _own(change.value) for name, change in fields.items() if change.value is not UNSET}


def _listed(value: Any) -> list[str]:
    return [str(tag) for tag in value] if isinstance(value, list) else []


def _own(value: Any) -> Any:
    """A copy that its reader may change."""
    return copy.deepcopy(value)
