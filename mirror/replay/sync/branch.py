"""Runs that begin at a step of another one, or of themselves: forks (`fork_from`) and rewinds (`resume_from`).

A fork is a run of its own whose config names where it came from; the server gives it the rows before. A rewind has the
server forget the rows behind a step first, which nothing brings back. So it is sent only while the server has rows
behind that step that are older than the log: a server that has rows of the log was rewound, and rows that are newer are
somebody's.
"""

from __future__ import annotations

import datetime as dt

from mirror.api.rows.syncing import StreamStatus
from mirror.errors import RefusedByServer
from mirror.offline.log.run_log import BranchPoint
from mirror.offline.same_rows import TIME
from mirror.replay.sync.place import Place
from mirror.texts.steps import STEP
from mirror.texts.values import parse_lenient

WITHIN = dt.timedelta(seconds=1)  # clocks of servers and nodes differ


def check_branch(branch: BranchPoint) -> None:
    """Refuse what W&B does not do.

    Raises:
        RefusedByServer: it branches by something else than a step.
    """
    if branch.metric != STEP:
        raise RefusedByServer(f"it branches from {branch.run} by {branch.metric}, and W&B branches by {STEP} alone")


def has_to_rewind(step: int, status: StreamStatus, place: Place) -> bool:
    """Whether the server has rows behind the step, none of which is of the log.

    Args:
        step: the last one that is to stay.
        status: what the server has.
        place: where the log goes on there.

    Raises:
        RefusedByServer: it does not tell.
    """
    if place.is_past or place.begin or status.history_lines == 0:
        return False
    if (last := _last(status)) is None:
        raise RefusedByServer("it rewinds the run, and this server does not tell which row is its last one")
    return last[0] > step


def logged_since(status: StreamStatus, began: dt.datetime | None) -> bool:
    """Whether the last row of the server may have been logged after a log was begun."""
    last = _last(status)
    if last is None or last[1] is None or began is None:
        return True
    return last[1] > (began + WITHIN).timestamp()


def _last(status: StreamStatus) -> tuple[float, float | None] | None:
    """Step and time of the last row; None: the server does not tell."""
    row = parse_lenient(status.last_row)
    if not isinstance(row, dict) or not isinstance(row.get(STEP), int | float) or status.history_lines is None:
        return None
    at = row.get(TIME)
    return float(row[STEP]), float(at) if isinstance(at, int | float) else None
