"""Where in a log the server is: decided from what it counts and from the last line that it has, by values alone.

A row is told by its step and the time at which it was logged, which no two rows share. So it makes no difference who
sent a row: an earlier attempt of ours, another machine, or `wandb sync`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from mirror.offline.same_rows import TIME, is_same, is_same_at_its_step, number
from mirror.records.contents import TailRow
from mirror.texts.steps import STEP
from mirror.texts.values import parse_lenient


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
        known = number(last.get(STEP)) if isinstance(last, dict) else last_step
        there = sum(1 for row in rows if row.step is not None and row.step <= known) if known is not None else 0
        return Place(base=before, begin=there)
    if not isinstance(last, dict) or number(last.get(STEP)) is None:  # counts alone: what came before, and of its own
        return Place(base=before, begin=count - before) if count >= before else Place(clash=_fewer(count, before))
    return _behind(rows, last, count, before)


def _behind(rows: Iterable[TailRow], last: dict[str, Any], count: int, before: int) -> Place:
    """Behind which row of a log the server is, whose last row is this one.

    Steps of a log may go back, and servers differ in whether their last row is the one that was sent last or the one of
    the highest step. So rows that follow the one that is found, at steps not above it, may be there as well: how many
    of them says the count.
    """
    step = float(last[STEP])
    found, above, number, row = -1, -1, -1, None
    highest, back, back_found = -1, 0, 0  # rows whose steps go back, which servers may count as one with another
    is_other = False  # the log has another row at that step
    for number, row in enumerate(rows):
        if row.step is not None:
            back += row.step <= highest
            highest = max(highest, row.step)
        if row.step is None or row.step < step:
            continue
        if row.step > step:
            if found >= 0:
                break
            above = number if above < 0 else above
            if number == 0 and _is_later(row, last):
                break
        elif is_same_at_its_step(last, parse_lenient(row.row)):
            found, back_found = number, back
        else:
            is_other = True
    else:
        number += 1
    if found >= 0:
        return _begun(count, min(max(found + 1, count - before), number), back_found)
    if above == 0:
        return Place(base=count) if count >= before else Place(clash=_fewer(count, before))
    if row is None:
        return Place(base=count)
    if above > 0 or is_other:
        return Place(clash=f"the server's last row is of step {step:g}, and the log has another one there")
    return Place(clash=f"the server has rows up to step {step:g}, more than the log", beyond=row)


def _is_later(row: TailRow, last: dict[str, Any]) -> bool:
    """Whether a row was logged after another one."""
    told = parse_lenient(row.row)
    at, before = number(told.get(TIME)) if isinstance(told, dict) else None, number(last.get(TIME))
    return at is not None and before is not None and at > before


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


def _begun(count: int, begin: int, back: int) -> Place:
    if count < begin - back:
        return Place(clash=f"the server counts {count} rows, and has the row that is number {begin} of the log")
    return Place(base=max(0, count - begin), begin=begin)


def _fewer(count: int, before: int) -> str:
    return f"the server counts {count} rows, fewer than the {before} that were there before the log"
