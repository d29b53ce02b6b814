"""What the lake had of a run before a log was taken, on which the log's rows and documents are laid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from mirror.offline.log.run_log import BranchPoint
from mirror.offline.same_rows import CLOCKS_S, TIME, is_same_at_its_step, numbers_of
from mirror.records.addresses import ProjectKey
from mirror.records.contents import Direction, HeldFile
from mirror.records.offline import OfflineLog
from mirror.records.runs import RunRecord
from mirror.store.engine.lake import Lake
from mirror.store.read.artifacts import held_links
from mirror.store.read.files import held_files
from mirror.store.read.held_runs import held_runs, with_held
from mirror.store.read.histories import held_histories
from mirror.store.read.offline import (
    events_held,
    history_keys_held,
    last_step,
    numbers_at_step,
    offline_logs,
    rows_held,
)
from mirror.store.read.runs import read_documents
from mirror.texts.values import dump_strict, parse_lenient


class HeldBefore(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the lake has it, whoever brought it."""

    is_held: bool
    rows: int  # of its history, those of the log left out
    last_step: int  # of its history; -1: there is none
    lines: int  # of its console, before those of the log
    events: int  # of its rows of system metrics, before those of the log
    history_keys: str | None  # JSON text, as the server has it
    config: str | None  # JSON texts, as the server has them
    summary: str | None
    files: Mapping[str, HeldFile]
    links: tuple[tuple[str, Direction], ...]


NOTHING = HeldBefore(
    is_held=False, rows=0, last_step=-1, lines=0, events=0, history_keys=None, config=None, summary=None, files={},
    links=(),
)  # fmt: skip


def held_before(lake: Lake, row: OfflineLog, *, is_same: bool) -> HeldBefore:
    """What is there before a log is taken, or taken on.

    Args:
        lake: to ask.
        row: of the log.
        is_same: whether the log tells the very history that is held, which came some other way.
    """
    path, key = row.run_path, row.run_path.key
    if not held_runs(lake, key, [path.run_id]):
        return NOTHING
    documents = read_documents(lake, key, [path.run_id])[path.run_id]
    last_line = held_histories(lake, key, [path.run_id])[path.run_id].last_console_number
    lines = row.console_lines if row.bytes else 0 if is_same or last_line is None else last_line + 1
    last = last_step(lake, path)
    return HeldBefore(
        is_held=True,
        last_step=-1 if last is None else last,
        events=row.event_rows if row.bytes else 0 if is_same else events_held(lake, path),
        history_keys=history_keys_held(lake, path),
        rows=0 if is_same else rows_held(lake, path) - row.rows,
        lines=lines,
        config=documents.config,
        summary=documents.summary,
        files=held_files(lake, key, [path.run_id]).get(path.run_id, {}),
        links=tuple(held_links(lake, key, [path.run_id]).get(path.run_id, ())),
    )  # fmt: skip


Beginning = Literal["held", "rewound", "behind"]


def beginning(lake: Lake, log: OfflineLog, branch: BranchPoint | None, step: int, row: str, last: int) -> Beginning:
    """How a log begins that has a step of the history that is held.

    Args:
        lake: to ask.
        log: that is taken.
        branch: where its run begins, as the log says.
        step: of its first row.
        row: that row, JSON.
        last: step that is held.

    Returns:
        "held": its rows came upstream some other way, or they are another run's, which whoever delivers it will see;
        "rewound": it begins anew behind an earlier step; "behind": it goes on from what is held.
    """
    first, there = numbers_of(row), numbers_at_step(lake, log.run_path, step)
    if is_same_at_its_step({key: there[key] for key in first if key in there}, first):
        return "held"
    if branch is not None and branch.run == log.run_id:
        return "rewound"
    at, until = first.get(TIME), numbers_at_step(lake, log.run_path, last).get(TIME)
    if at is None or until is None or at > until - CLOCKS_S:
        return "behind"
    # It is older than what is held. Folders of one run are added in any order; what the server has comes of no other.
    return "behind" if any(other.log != log.log for other in offline_logs(lake, log.run_path)) else "held"


def merged(before: str | None, text: str) -> str:
    """A document over the one that was there: keys of the older one that the newer one lacks stay."""
    held, new = parse_lenient(before), parse_lenient(text)
    if not isinstance(held, dict) or not isinstance(new, dict):
        return text
    return dump_strict(held | new) if held.keys() - new.keys() else text


def filled(lake: Lake, run: RunRecord) -> RunRecord:
    """A run with what the lake has of it in place of what a log does not tell."""
    return with_held(lake, ProjectKey(run.entity, run.project), [run]).get(run.run_id, run)
