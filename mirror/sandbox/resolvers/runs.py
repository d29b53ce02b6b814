"""Fields of a run, but for its history and files."""

from __future__ import annotations

from typing import Any

from ..context import Info, Resolvers, attribute, context
from ..paging import connection, decode_cursor, encode_cursor
from ..records import ENDED_STATES, RunRecord
from ..wire import SandboxError, spell


def _project_id(run: RunRecord, _info: Info) -> str:
    return str(run.project.number)


def _read_only(run: RunRecord, info: Info) -> bool:
    return not context(info).may_write(run.project.entity)


def _wandb_config(run: RunRecord, _info: Info, keys: list[str] | None = None) -> str:
    internal = run.config.get("_wandb")
    value = internal.get("value", internal) if isinstance(internal, dict) else {}
    return spell({key: value[key] for key in (keys or value) if key in value})


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
            raise SandboxError("after needs useImprovedPagination here")
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
    "Run.config": attribute("config_text"),
    "Run.summaryMetrics": attribute("summary_text"),
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
