"""Pending operations shown over the mirror: pure functions of what the lake holds and what is queued."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from mirror.records.operations import Change, Create, Edit, Entry, Operation, UpdateState, merged_tags
from mirror.store.run_rows import LightRun


def overlaid(run: LightRun, operations: Iterable[Operation]) -> LightRun:
    """A run's light fields as they will be."""
    for operation in operations:
        if isinstance(operation, UpdateState):
            run = msgspec.structs.replace(run, state=operation.state)
        elif isinstance(operation, Edit):
            values = _values(operation.fields)
            if (tags := operation.fields.get("tags")) is not None:  # sets: what others queued stands, too
                values["tags"] = merged_tags(_listed(tags.base), _listed(tags.value), run.tags)
            run = msgspec.structs.replace(run, **values)
    return run


def overlaid_config(wire: dict[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """A run's wire config, `{key: {"value": …}}`, as it will be; a description that a key has is kept."""
    return _changed(wire, operations, "config")


def overlaid_summary(summary: dict[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """A run's summary as it will be."""
    return _changed(summary, operations, "summary")


def created_run(entry: Entry) -> LightRun:
    """A run that the server does not know yet."""
    operation = entry.operation
    if not isinstance(operation, Create):
        raise TypeError(f"{entry.kind} creates no run")
    return LightRun(
        entity=entry.entity, project=entry.project, run_id=entry.run_id, storage_id=entry.storage_id or "",
        display_name=operation.display_name or entry.run_id, state=operation.state, tags=[], group=None,
        job_type=None, sweep=None, notes=None, description=None, commit=None, user=None, user_name=None,
        read_only=False, created_at=f"{entry.created_at:%Y-%m-%dT%H:%M:%S}Z", heartbeat_at=None,
        history_line_count=0, project_internal_id=None, gone=False,
    )  # fmt: skip


def _changed(document: dict[str, Any], operations: Iterable[Operation], which: str) -> dict[str, Any]:
    changed = document
    for operation in operations:
        if isinstance(operation, Edit):
            for key, change in getattr(operation, which).items():
                changed = dict(changed) if changed is document else changed
                if change.value is UNSET:
                    changed.pop(key, None)
                else:
                    changed[key] = _wrapped(changed.get(key), change) if which == "config" else _own(change.value)
    return changed


def _wrapped(before: Any, change: Change) -> dict[str, Any]:
    """A value in W&B's envelope."""
    described = before if isinstance(before, dict) and "value" in before else {"desc": None}
    return {**described, "value": _own(change.value)}


def _values(fields: Mapping[Any, Change]) -> dict[str, Any]:
    return {name: _own(change.value) for name, change in fields.items() if change.value is not UNSET}


def _listed(value: Any) -> list[str]:
    return [str(tag) for tag in value] if isinstance(value, list) else []


def _own(value: Any) -> Any:
    """A copy that its reader may change."""
    return copy.deepcopy(value)
