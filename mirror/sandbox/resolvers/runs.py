"""Fields of a run, but for its history and files."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.histories.rows import lookup
from mirror.sandbox.schema.context import context
from mirror.sandbox.state.records import ENDED_STATES, RunRecord, SweepRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.paging import connection, decode_cursor, encode_cursor
from mirror.wandb_protocol.resolvers import Info, Resolvers, attribute
from mirror.wandb_protocol.wire import parse_object, spell


def _project_id(run: RunRecord, _info: Info) -> str:
    return str(run.project.number)


def _read_only(run: RunRecord, info: Info) -> bool:
    return not context(info).may_write(run.project.entity)


def _wandb_config(run: RunRecord, _info: Info, keys: list[str] | None = None) -> str:
    internal = run.config.get("_wandb")
    value = internal.get("value", internal) if isinstance(internal, dict) else {}
    return spell({key: value[key] for key in (keys or value) if key in value})


def _config(run: RunRecord, _info: Info, keys: list[str] | None = None, dotBehavior: str | None = None) -> str | None:
    """The config as it was sent, or the part of it that `keys` name; `dotBehavior` is not known well enough to act."""
    return run.config_text if keys is None else _only(run.config, keys)


def _summary(run: RunRecord, _info: Info, keys: list[str] | None = None, packVersion: int | None = None) -> str | None:
    return run.summary_text if keys is None else _only(run.summary, keys)


def _only(values: dict[str, Any], keys: list[str]) -> str:
    picked = {key: lookup(values, key) for key in keys}
    return spell({key: value for key, value in picked.items() if value is not None or key in values})


def _user_id(run: RunRecord, _info: Info) -> int | None:
    return None if run.user is None else run.user.number


def _sweep(run: RunRecord, _info: Info) -> SweepRecord | None:
    return run.project.sweeps.get(run.sweep_name or "")


def _agent(run: RunRecord, info: Info) -> Any:
    return context(info).state.agents.get(run.agent_id or "")


def _compute_seconds(run: RunRecord, _info: Info) -> float:
    runtime = run.summary.get("_runtime")
    return runtime if isinstance(runtime, int | float) else 0


def storage_bytes(run: RunRecord, _info: Info) -> int:
    """Bytes of the run's listed files."""
    return sum(file.size or 0 for file in run.files.values() if file.listed)


def _run_info(run: RunRecord, info: Info) -> dict[str, Any] | None:
    """From wandb-metadata.json, which the SDK uploads with every run; null for a run without it."""
    file = run.files.get("wandb-metadata.json")
    body = context(info).state.bucket.get(file.object_key) if file is not None else None
    if body is None:
        return None
    metadata = parse_object(body.decode(errors="replace"))
    git = metadata.get("git")
    return {
        **{key: metadata.get(key) for key in ("program", "os", "python", "executable", "colab", "gpu")},
        "args": [str(argument) for argument in metadata.get("args") or []],
        "codeSaved": bool(metadata.get("codePath")),
        "cpuCount": metadata.get("cpu_count"),
        "gpuCount": metadata.get("gpu_count"),
        "git": {"remote": git.get("remote"), "commit": git.get("commit")} if isinstance(git, dict) else None,
    }


def _log_line_count(run: RunRecord, _info: Info) -> int:
    return len(run.console)


def _log_lines(
    run: RunRecord,
    info: Info,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    useImprovedPagination: bool | None = None,
) -> dict[str, Any] | None:
    """Two ways (W&B API notes, section 6): a tail that does not page, and forward pages for newer servers."""
    if not run.console_written:
        return None
    cap = context(info).state.log_page_lines
    count = len(run.console)
    if last is not None:
        start, stop = max(0, count - min(last, cap)), count
    elif useImprovedPagination:
        start = int(decode_cursor(after)) if after else 0
        stop = min(count, start + min(cap if first is None else first, cap))
    else:
        if after is not None:
            raise RequestRefused("after needs useImprovedPagination here")
        start, stop = 0, min(count, cap)
    edges = [
        {
            "cursor": encode_cursor(number + 1),
            "node": {
                "number": number,
                "timestamp": run.console[number].timestamp,
                "level": run.console[number].level,
                "label": run.console[number].label,
                "line": run.console[number].line,
            },
        }
        for number in range(start, stop)
    ]
    return connection(edges, more=stop < count and last is None)


def _failed(run: RunRecord, _info: Info) -> bool:
    return run.state in ("failed", "crashed")


def _running(run: RunRecord, _info: Info) -> bool:
    return run.state not in ENDED_STATES and run.state != "pending"


RESOLVERS: Resolvers = {
    "Run.id": attribute("id"),
    "Run.name": attribute("name"),
    "Run.displayName": attribute("display_name"),
    "Run.projectId": _project_id,
    "Run.project": attribute("project"),
    "Run.user": attribute("user"),
    "Run.state": attribute("state"),
    "Run.tags": attribute("tags"),
    "Run.notes": attribute("notes"),
    "Run.description": attribute("description"),
    "Run.group": attribute("group"),
    "Run.jobType": attribute("job_type"),
    "Run.commit": attribute("commit"),
    "Run.sweepName": attribute("sweep_name"),
    "Run.readOnly": _read_only,
    "Run.createdAt": attribute("created_at"),
    "Run.heartbeatAt": attribute("heartbeat_at"),
    "Run.updatedAt": attribute("updated_at"),
    "Run.deletedAt": attribute("deleted_at"),
    "Run.host": attribute("host"),
    "Run.framework": attribute("framework"),
    "Run.github": attribute("github"),
    "Run.jobId": attribute("job_id"),
    "Run.userId": _user_id,
    "Run.sweep": _sweep,
    "Run.agent": _agent,
    "Run.computeSeconds": _compute_seconds,
    "Run.storageBytes": storage_bytes,
    "Run.pendingUpdates": attribute("pending_updates"),
    "Run.runInfo": _run_info,
    "Run.config": _config,
    "Run.summaryMetrics": _summary,
    "Run.systemMetrics": attribute("system_metrics_text"),
    "Run.wandbConfig": _wandb_config,
    "Run.exitcode": attribute("exit_code"),
    "Run.shouldStop": attribute("stop_requested"),
    "Run.stopped": attribute("stop_requested"),
    "Run.failed": _failed,
    "Run.running": _running,
    "Run.logLineCount": _log_line_count,
    "Run.logLines": _log_lines,
}
