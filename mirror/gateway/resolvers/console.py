"""What a run printed."""

from __future__ import annotations

from typing import Any

from mirror.gateway.runs import RunNode
from mirror.run.console import console_not_mirrored
from mirror.store.read.console import console_span, read_console
from mirror.store.read.run_counts import count_console_lines
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.paging import connection, edges_by_place, place_after
from mirror.wandb_protocol.resolvers import Info, Resolvers

MOST_LINES = 10_000  # of one page


def _log_lines(
    run: RunNode,
    _info: Info,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    useImprovedPagination: bool | None = None,
) -> dict[str, Any] | None:
    """Two ways (W&B API notes, section 6): a tail that does not page, and forward pages for newer clients."""
    ctx = run.batch.context
    span = ctx.recall(("console", run.path), lambda lake: console_span(lake, run.path))
    if not span.count:
        if (error := console_not_mirrored(run.facts)) is not None:
            raise error
        return None
    start, stop = 0, min(span.count, MOST_LINES)
    if last is not None:
        start, stop = max(0, span.count - min(last, MOST_LINES)), span.count
    elif useImprovedPagination:
        start = place_after(after)
        stop = min(span.count, start + min(MOST_LINES if first is None else first, MOST_LINES))
    elif after is not None:
        raise RequestRefused("after needs useImprovedPagination here")
    lines = read_console(ctx.lake, run.path, span, start, stop) if start < stop else []
    nodes = [
        {
            "number": line.number,
            "timestamp": line.at_text or "",
            "level": line.level,
            "label": line.label,
            "line": line.line,
        }
        for line in lines
    ]
    return connection(edges_by_place(nodes, start), more=stop < span.count and last is None)


def _log_line_count(run: RunNode, _info: Info) -> int:
    count = run.batch.recall("console lines", count_console_lines).get(run.held.run_id, 0)
    if not count and run.held.run_id in run.batch.incomplete and (error := console_not_mirrored(run.facts)) is not None:
        raise error
    return count


RESOLVERS: Resolvers = {"Run.logLines": _log_lines, "Run.logLineCount": _log_line_count}
