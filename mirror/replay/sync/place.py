"""Where in a log the server is: decided from what it counts and from the last line that it has, by values alone.

A row is told by its step and the time at which it was logged, which no two rows share. So it makes no difference who
sent a row: an earlier attempt of ours, another machine, or `wandb sync`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from mirror.records.contents import TailRow
from mirror.texts.steps import STEP
from mirror.texts.values import parse_lenient

TIME = "_timestamp"
_SAME_S = 1e-3  # times that differ by less are one: servers and clients spell floats as they like


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a log goes on upstream."""

    base: int = 0  # lines that the server has before the first one of the log
    begin: int = 0  # the first line of the log that it lacks
    clash: str | None = None  # why the log does not fit to what the server has
    beyond: TailRow | None = None  # a clash, unless the server has this last row of the log as well
    is_past: bool = False  # the server has all of the log, and what came after it


def place_of_rows(
    rows: Iterable[TailRow], count: int | None, last_row: str | None, before: int, last_step: int | None = None
) -> Place:
    """Where the history of a log goes on.

    Args:
        rows: of the log, by step; read no further than is needed.
        count: rows that the server counts; None: it does not tell.
        last_row: the last of them, JSON; None: it does not tell.
        before: rows of the run that were there before the log.
        last_step: of the history, by the server's list of its keys; asked where it does not count.
    """
    if count == 0:
        return Place()
    last = parse_lenient(last_row)
    if count is None:
        known = _number(last.get(STEP)) if isinstance(last, dict) else last_step
        there = sum(1 for row in rows if row.step is not None and row.step <= known) if known is not None else 0
        return Place(base=before, begin=there)
    if not isinstance(last, dict):  # counts alone: what came before the log, and how many of its own
        return Place(base=before, begin=count - before) if count >= before else Place(clash=_fewer(count, before))
    step = _number(last.get(STEP))
    number, row = -1, None
    for number, row in enumerate(rows):
        if step is None or row.step is None or row.step < step:
            continue
        if row.step == step and is_same(last, parse_lenient(row.row)):
            return _begun(count, number + 1)
        if row.step > step and number == 0:
            return Place(base=count) if count >= before else Place(clash=_fewer(count, before))
        return Place(clash=f"the server's last row is of step {step:g}, and the log has another one there")
    if number < 0:
        return Place(base=count)
    return Place(clash=f"the server has rows up to step {step:g}, more than the log", beyond=row)


def place_of_events(events: Iterable[str], count: int | None, last_event: str | None) -> Place:
    """Where the system metrics of a log go on; arguments as for rows. They have times, and no steps to clash."""
    last = parse_lenient(last_event)
    found = None
    if isinstance(last, dict):
        for number, event in enumerate(events):
            if is_same(last, parse_lenient(event)):
                found = number
    if found is None:
        return Place(base=count or 0)
    return Place(base=max(0, (count or 0) - found - 1), begin=found + 1)


def _begun(count: int, begin: int) -> Place:
    if count < begin:
        return Place(clash=f"the server counts {count} rows, and has the row that is number {begin} of the log")
    return Place(base=count - begin, begin=begin)


def _fewer(count: int, before: int) -> str:
    return f"the server counts {count} rows, fewer than the {before} that were there before the log"


def is_same(left: dict[str, Any], right: Any) -> bool:
    """Whether two rows of a step are one: they were logged at one time."""
    if not isinstance(right, dict):
        return False
    at, also = _number(left.get(TIME)), _number(right.get(TIME))
    if at is None or also is None:
        return left == right
    return abs(at - also) < _SAME_S


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
