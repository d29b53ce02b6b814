"""Fields and documents of a run."""

from __future__ import annotations

from typing import Any

from mirror.errors import NotMirrored
from mirror.gateway.mutations import storage_id_of
from mirror.gateway.resolvers.projects import NO_NUMBER, ProjectNode
from mirror.gateway.resolvers.viewer import NOBODY
from mirror.gateway.runs import RunNode, parsed
from mirror.records.operations import Stop
from mirror.server_facts import read_viewer
from mirror.store.read.runs import DocumentName
from mirror.wandb_protocol.resolvers import Info, Resolver, Resolvers
from mirror.wandb_protocol.wire import spell

_ENDED = frozenset({"finished", "crashed", "failed", "killed", "preempted"})


def _light(name: str) -> Resolver:
    def read(run: RunNode, _info: Info) -> Any:
        return getattr(run.light, name)

    return read


def _id(run: RunNode, _info: Info) -> str:
    return storage_id_of(run)


def _project(run: RunNode, _info: Info) -> ProjectNode:
    return ProjectNode(run.batch.context, *run.batch.project)


def _project_id(run: RunNode, _info: Info) -> str:
    project = _project(run, _info)
    listed = project.listed
    number = run.held.project_internal_id or (listed and listed.internal_id) or project.number
    if number is None and run.held.storage_id:
        raise NotMirrored(f"the project's number of {run.path} is not known here", hint="the next pull asks the server")
    return number or NO_NUMBER


def _created_at(run: RunNode, _info: Info) -> str | None:
    """When it was made; of a run whose server does not tell that, its last sign of life."""
    return run.light.created_at or run.light.heartbeat_at


def _user(run: RunNode, _info: Info) -> dict[str, Any] | None:
    if run.light.user is not None:
        return {"name": run.light.user_name, "username": run.light.user}
    if run.held.storage_id:
        return None
    viewer = read_viewer(run.batch.context.mirror.home) or NOBODY
    return {"name": viewer.username, "username": viewer.username}  # who made it here


def _document(name: DocumentName) -> Resolver:
    def read(run: RunNode, _info: Info, keys: list[str] | None = None, **_packing: Any) -> str | None:
        text = run.document(name)
        if keys is None:
            return text
        values = parsed(text)
        picked = {key: _at(values, key) for key in keys}
        return spell({key: value for key, value in picked.items() if value is not None or key in values})

    return read


def _at(values: dict[str, Any], key: str) -> Any:
    """The value of a key; a dotted one is nested where there is no such plain key."""
    if key in values:
        return values[key]
    current: Any = values
    for part in key.split("."):
        if not isinstance(current, dict) or part not in current:
            return None
        current = current[part]
    return current


def _wandb_config(run: RunNode, _info: Info, keys: list[str] | None = None) -> str:
    internal = parsed(run.document("config")).get("_wandb")
    value = internal.get("value", internal) if isinstance(internal, dict) else {}
    return spell({key: value[key] for key in (keys or value) if key in value})


def _later(name: str) -> Resolver:
    def read(run: RunNode, _info: Info) -> Any:
        return getattr(run.later, name)

    return read


def _failed(run: RunNode, _info: Info) -> bool:
    return run.light.state in ("failed", "crashed")


def _running(run: RunNode, _info: Info) -> bool:
    return run.light.state not in _ENDED and run.light.state != "pending"


def _stopped(run: RunNode, _info: Info) -> bool | None:
    """True once a stop is queued; whether one was asked for elsewhere is not mirrored."""
    return True if any(isinstance(operation, Stop) for operation in run.operations) else None


RESOLVERS: Resolvers = {
    "Run.id": _id,
    "Run.name": _light("run_id"),
    "Run.displayName": _light("display_name"),
    "Run.projectId": _project_id,
    "Run.project": _project,
    "Run.user": _user,
    "Run.state": _light("state"),
    "Run.tags": _light("tags"),
    "Run.notes": _light("notes"),
    "Run.description": _light("description"),
    "Run.group": _light("group"),
    "Run.jobType": _light("job_type"),
    "Run.commit": _light("commit"),
    "Run.sweepName": _light("sweep"),
    "Run.readOnly": _light("read_only"),
    "Run.createdAt": _created_at,
    "Run.heartbeatAt": _light("heartbeat_at"),
    "Run.updatedAt": _later("updated_at"),
    "Run.host": _later("host"),
    "Run.historyLineCount": _light("history_line_count"),
    "Run.config": _document("config"),
    "Run.summaryMetrics": _document("summary"),
    "Run.systemMetrics": _document("system_metrics"),
    "Run.wandbConfig": _wandb_config,
    "Run.failed": _failed,
    "Run.running": _running,
    "Run.stopped": _stopped,
    "Run.shouldStop": _stopped,
}
