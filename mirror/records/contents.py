"""What a run contains, as one commit changes it and as the lake holds it: files, history, streams, artifacts.

A **part** is one history export; the **tail** is rows that no export holds yet. The exports and the tail together are a
run's history. Whether a history is **complete** is judged here, from counts, and recorded; it is never assumed.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from mirror.records.artifacts import ArtifactRecord, ManifestEntry
from mirror.records.console import ConsoleLine

STILL_ACTIVE = "the run is still active"  # why the history of a run that goes on is not complete

FileStatus = Literal["held", "left_out", "failed", "gone"]
Direction = Literal["logged", "used"]


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a run: as the server listed it, and what became of it here."""

    name: str  # slash path, untrusted
    file_id: str | None
    size: int | None  # bytes, as listed; of the object where it is held
    md5: str | None  # base64, as listed; of the bytes where they are held
    mimetype: str | None
    updated_at: dt.datetime | None  # UTC
    updated_at_text: str | None  # as sent
    object: str | None  # digest of the bytes; kept when the file is gone upstream
    status: FileStatus
    reason: str | None = None  # why it was left out or failed


class ExportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a run's history, kept byte for byte."""

    object: str  # digest of the bytes
    size: int  # bytes
    rows: int  # with those that have no step
    min_step: int | None
    max_step: int | None


class TailRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row that no export holds yet."""

    step: int | None  # None: the row has none, or is no JSON object
    row: str  # exact JSON text as the server sent it


class KeyColumn(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one key in rows that follow each other."""

    key: str
    numbers: bytes | None = None  # a double for each row, none of them an integer beyond 2^53; None: see `texts`
    there: bytes | None = None  # a bit for each row, the lowest first, whether it has one of `numbers`; None: all have
    texts: tuple[str | None, ...] = ()  # else: the values as JSON, as they were logged; None: the row has none


class TailColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a tail that follow each other, key by key: what their texts say."""

    first: int  # of the rows, among those of the tail
    steps: bytes  # an int64 for each row
    columns: tuple[KeyColumn, ...]  # without `_step`; each key once


class HistoryChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a pull learned about one run's history."""

    exports: tuple[ExportRow, ...] | None = None  # the whole set, in any order; None: as held
    tail: tuple[TailRow, ...] = ()
    tail_columns: tuple[TailColumns, ...] = ()  # of those rows of `tail` that are known key by key, in their order
    replaces_tail: bool = False  # `tail` is the whole tail; else it comes on top of what is held
    is_partial: bool = False  # rows are missing from `tail`: held ones at steps that are not in it stay
    tail_from: int | None = None  # `tail` is all there is from this step on: what is held from there is replaced
    live_steps: tuple[int, ...] = ()  # steps that no export holds, by the server's word: their rows win over exports
    last_step: int | None = None  # highest step, by the server's word (`historyKeys.lastStep`)
    history_line_count: int | None = None  # rows logged, by the server's count
    missing: str | None = None  # why something that exists upstream is not in here; None: nothing is missing
    keys_fingerprint: str | None = None  # digest of what the server said about the values; None: it was not looked at
    parts_fingerprint: str | None = None  # digest of the parts' names, or why they tell nothing


class ContentChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one commit changes in the contents of one run. None leaves what is held."""

    run_id: str
    files: tuple[FileRow, ...] = ()  # new, changed, or gone; those not named stay
    history: HistoryChange | None = None
    events: tuple[str | None, ...] | None = None  # all rows of system metrics, exact JSON texts; None: as held there
    events_from: int = 0  # number of the first of `events`, where that are not all: those before it stay
    console: tuple[ConsoleLine, ...] | None = None  # replace all lines from the first number on
    console_from: int | None = None  # replace from this number on; None: from the first of `console`
    console_partial: bool = False  # lines are missing from `console`: those that are held and not in it stay
    artifacts: tuple[tuple[str, Direction], ...] | None = None  # ids of all versions that the run logged or used


class ArtifactFileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a version's manifest, and what became of its bytes here."""

    entry: ManifestEntry
    object: str | None  # digest of the bytes
    status: FileStatus
    reason: str | None = None


class ArtifactChange(msgspec.Struct, frozen=True, kw_only=True):
    """One version, new or changed."""

    record: ArtifactRecord
    manifest: str | None = None  # digest of the manifest's bytes; None: as held
    files: tuple[ArtifactFileRow, ...] | None = None  # all entries; None: as held


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a run's history is held, beside what the server says there is."""

    last_step: int | None  # highest step, by the server's word
    history_line_count: int | None  # rows logged, by the server's count
    rows_held: int  # distinct steps, and rows without a step
    shared_rows: int  # rows that were merged into, or equal, another one at the same step
    last_step_held: int | None
    parts: int  # exports
    tail_rows: int
    complete: bool
    reason: str | None  # why it is not complete
    keys_fingerprint: str | None = None  # of the history that is held; see `HistoryChange`
    parts_fingerprint: str | None = None


class HeldFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake holds of one file, as far as a plan needs it."""

    size: int | None
    md5: str | None
    updated_at_text: str | None
    object: str | None
    status: FileStatus
    reason: str | None


class HeldArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake holds of one version, as far as a plan needs it."""

    state: str  # COMMITTED; DELETED of one that was no longer upstream
    digest: str
    updated_at_text: str | None
    aliases: tuple[str, ...]
    manifest: str | None  # digest of the manifest's bytes
    failed_files: int = 0  # entries whose bytes were wanted and could not be had
    left_out: str | None = None  # why the policy of that time left its bytes out; None: it did not


class HeldHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake holds of one run's history and streams, as far as a plan needs it."""

    exports: tuple[ExportRow, ...] = ()  # by last step
    tail_rows: int = 0
    first_tail_step: int | None = None
    last_tail_step: int | None = None
    last_tail_row: str | None = None  # JSON text of a row at `last_tail_step`
    completeness: Completeness | None = None  # None: the history was never read
    last_console_number: int | None = None
    event_rows: int = 0  # rows of system metrics, up to the last one that holds a metric

    @property
    def last_step(self) -> int | None:
        """The highest step that is held."""
        steps = [export.max_step for export in self.exports] + [self.last_tail_step]
        return max((step for step in steps if step is not None), default=None)


def judge_completeness(
    change: HistoryChange, *, rows_held: int, shared_rows: int, last_step_held: int | None, parts: int, tail_rows: int
) -> Completeness:
    """Compare what is held with what the server says there is.

    Args:
        change: what the server said.
        rows_held: distinct steps, and rows without a step.
        shared_rows: rows that shared a step with another one; the server counts each.
        last_step_held: highest step in any part or tail row.
        parts: exports held.
        tail_rows: rows of the tail held.
    """
    reason = None
    if change.last_step is not None and (last_step_held is None or last_step_held < change.last_step):
        held = "none is held" if last_step_held is None else f"the last one held is {last_step_held}"
        reason = f"the last step is {change.last_step}, {held}" if change.last_step >= 0 else None
    if reason is None and change.history_line_count is not None:
        counted = change.history_line_count
        reason = (
            f"the server counts {counted} rows, {rows_held} are held" if counted > rows_held + shared_rows else None
        )
    reason = reason or change.missing  # what is lacking says more than that more may come
    return Completeness(
        last_step=change.last_step, history_line_count=change.history_line_count, rows_held=rows_held,
        shared_rows=shared_rows, last_step_held=last_step_held, parts=parts, tail_rows=tail_rows,
        complete=reason is None, reason=reason, keys_fingerprint=change.keys_fingerprint,
        parts_fingerprint=change.parts_fingerprint,
    )  # fmt: skip
