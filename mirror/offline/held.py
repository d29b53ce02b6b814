"""What the lake had of a run before a log was taken, on which the log's rows and documents are laid."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.records.contents import Direction, HeldFile
from mirror.records.offline import OfflineLog
from mirror.records.runs import RunRecord
from mirror.store.engine.lake import Lake
from mirror.store.read.artifacts import held_links
from mirror.store.read.files import held_files
from mirror.store.read.held_runs import held_runs, with_held
from mirror.store.read.histories import held_histories
from mirror.store.read.offline import events_held, history_keys_held, last_step, rows_held
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


def merged(before: str | None, text: str) -> str:
    """A document over the one that was there: keys of the older one that the newer one lacks stay."""
    held, new = parse_lenient(before), parse_lenient(text)
    if not isinstance(held, dict) or not isinstance(new, dict):
        return text
    return dump_strict(held | new) if held.keys() - new.keys() else text


def filled(lake: Lake, run: RunRecord) -> RunRecord:
    """A run with what the lake has of it in place of what a log does not tell."""
    return with_held(lake, ProjectKey(run.entity, run.project), [run]).get(run.run_id, run)
