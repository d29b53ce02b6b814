"""What runs log in the state: rows as they come, their exports, and rows that change afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mirror.sandbox.histories.export_style import ColumnStyle, StepType
from mirror.sandbox.histories.exports import split, write_part
from mirror.sandbox.histories.rows import merge_rows, step_of
from mirror.sandbox.state.core import CoreState
from mirror.sandbox.state.records import ENDED_STATES, ConsoleLine, ExportPart, RunRecord
from mirror.wandb_protocol.wire import seconds_since_epoch, spell


class HistoryShelf(CoreState):
    """The history part of SandboxState."""

    def log_rows(
        self,
        entity: str,
        project: str,
        run: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        summarize: bool = True,
    ) -> RunRecord:
        """Append history rows, as a live run does: merged by `_step`, the heartbeat and the summary move."""
        with self.lock:
            record = self.run(entity, project, run)
            given = [dict(row) for row in rows]
            merge_rows(record, given)
            if summarize and given:
                merged = dict(record.summary)
                for row in given:
                    merged.update(row)
                record.summary_text = spell(merged, record.nonfinite)
            self.changed(record, heartbeat=True)
            return record

    def log_console(self, entity: str, project: str, run: str, lines: Iterable[str | ConsoleLine]) -> None:
        """Append console lines; plain texts get the clock's time."""
        with self.lock:
            record = self.run(entity, project, run)
            for line in lines:
                when = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f")
                record.console.append(ConsoleLine(line=line, timestamp=when) if isinstance(line, str) else line)
                record.console_written = True

    # ------------------------------------------------------------------ rows that change afterwards

    def overwrite_rows(
        self, entity: str, project: str, run: str, rows: Iterable[Mapping[str, Any]], *, heartbeat: bool = True
    ) -> RunRecord:
        """Put other rows at steps that the history has, as a server does in shared mode. Exports are written anew.

        Raises:
            ValueError: the history has no row at a step.
        """
        with self.lock:
            record = self.run(entity, project, run)
            given = [dict(row) for row in rows]
            held = {row["_step"] for row in record.history}
            missing = [row for row in given if step_of(row) not in held]
            if missing:
                raise ValueError(f"run {run} has no rows at {[step_of(row) for row in missing]}")
            merge_rows(record, given)
            self._rewrite_exports(record)
            self.changed(record, heartbeat=heartbeat)
            return record

    def rewind_run(self, run: RunRecord, step: int) -> None:
        """Forget every row after `step`, as rewindRun does: the summary tells the rows left, exports hold no more."""
        with self.lock:
            run.history = [row for row in run.history if int(row["_step"]) <= step]
            run.history_version += 1
            # The client goes on with the line after the last one that is left.
            run.history_lines = dict(enumerate(dict(row) for row in run.history))
            run.summary_text = spell({key: value for row in run.history for key, value in row.items()}, run.nonfinite)
            self._rewrite_exports(run)
            run.state, run.exit_code = "running", None
            self.changed(run, heartbeat=True)

    def _rewrite_exports(self, run: RunRecord) -> None:
        """The exported rows once more, as they are now, in as many parts."""
        if run.parts:
            covered = [row for row in run.history if row["_step"] in run.exported]
            self._write_parts(run, covered)

    # ------------------------------------------------------------------ exports

    def request_export(self, run: RunRecord, *, ended_at: str | None = None) -> None:
        """Export the whole history of a run that ended: at once, or `export_delay_s` after it ended (default: now)."""
        if not self.export_delay_s:
            self.export_history(run, parts=run.export_style.parts)
            return
        ended_s = None if ended_at is None else seconds_since_epoch(ended_at)
        run.export_due_s = (self.clock.time() if ended_s is None else ended_s) + self.export_delay_s
        self.settle_export(run)

    def settle_export(self, run: RunRecord) -> None:
        """Write an export that has come due. One of a run that was revived meanwhile is dropped."""
        if run.export_due_s is not None and self.clock.time() >= run.export_due_s:
            run.export_due_s = None
            if run.state in ENDED_STATES:
                self.export_history(run, parts=run.export_style.parts)

    def export_history(
        self,
        run: RunRecord,
        *,
        parts: int = 1,
        rows: int | None = None,
        step_type: StepType | Sequence[StepType] | None = None,
        column_style: ColumnStyle | Sequence[ColumnStyle] | None = None,
        empty_part: bool = False,
    ) -> None:
        """Export the run's history anew: the first `rows` rows (all when None), replacing every earlier part.

        Args:
            step_type: Type of the `_step` column; None keeps the run's own. Several are taken part by part in turn.
            column_style: How nested values become columns; None keeps the run's own. Several go in turn, too.
            empty_part: Add a part with zero columns and zero rows, which W&B is known to serve.
        """
        with self.lock:
            style = replace(run.export_style, parts=parts)
            if step_type is not None:
                style = replace(style, step_types=in_turn(step_type))
            if column_style is not None:
                style = replace(style, column_styles=in_turn(column_style))
            run.export_style = style
            self._write_parts(run, run.history if rows is None else run.history[:rows], empty_part=empty_part)

    def compact(self, run: RunRecord, *, column_style: ColumnStyle = "dotted") -> None:
        """Rewrite the parts as one, as W&B does later on: whole numbers and `_step` become doubles."""
        with self.lock:
            run.export_style = replace(
                run.export_style,
                parts=1,
                column_styles=(column_style,),
                step_types=("double",),
                whole_numbers_as_doubles=True,
            )
            self._rewrite_exports(run)

    def _write_parts(self, run: RunRecord, rows: Sequence[dict[str, Any]], *, empty_part: bool = False) -> None:
        covered = [dict(row) for row in rows]
        for part in run.parts:
            self.bucket.remove(part.object_key)
        run.parts = []
        run.exported = {int(row["_step"]) for row in covered}
        pieces = split(covered, run.export_style.parts)
        if empty_part:
            pieces.append([])
        for i, piece in enumerate(pieces):
            key = f"exports/{run.number}/{self.number()}.parquet"
            self.bucket.put(key, partial(write_part, piece, run.export_style.of_part(i)))
            run.parts.append(ExportPart(object_key=key, rows=len(piece)))


def in_turn(style: Any) -> tuple[Any, ...]:
    """One style, or several, as a tuple."""
    return (style,) if isinstance(style, str) else tuple(style)
