"""The truth that the sandbox serves, and the methods by which tests and mutations change it.

One re-entrant lock guards everything. Methods take it themselves; a caller that reads records over several steps holds
`state.lock`. Runs are addressed by entity, project and run id, as in their paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from .artifact_state import ArtifactShelf
from .core_state import DEFAULT_FEATURES
from .exports import split, write_part
from .history import merge_rows
from .records import (
    ENDED_STATES,
    ConsoleLine,
    ExportPart,
    ProjectRecord,
    RunRecord,
    StepType,
    SweepRecord,
    UserRecord,
)
from .trash import Trash
from .wire import Moment, NonFinite, config_envelope, spell, typed_id

__all__ = ["DEFAULT_FEATURES", "SandboxState"]


class SandboxState(ArtifactShelf, Trash):
    """Users, projects and everything in them."""

    def add_run(
        self,
        entity: str,
        project: str,
        run: str,
        *,
        display_name: str | None = None,
        state: str = "finished",
        config: Mapping[str, Any] | None = None,
        config_text: str | None = None,
        summary: Mapping[str, Any] | None = None,
        summary_text: str | None = None,
        system_metrics: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        description: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        commit: str | None = None,
        host: str | None = None,
        sweep: str | None = None,
        user: str | UserRecord | None = "default",
        created_at: Moment = None,
        heartbeat_at: Moment = None,
        history: Iterable[Mapping[str, Any]] = (),
        exported: bool | int | None = None,
        parts: int = 1,
        step_type: StepType = "int64",
        live_data: bool = True,
        events: Iterable[Mapping[str, Any]] = (),
        console: Iterable[str | ConsoleLine] = (),
        files: Mapping[str, bytes] | None = None,
        nonfinite: NonFinite = "bare",
    ) -> RunRecord:
        """A run, whole. Projects are made on the way; a run id that exists is an error.

        Args:
            config: Plain values; put into W&B's envelope. `config_text` is wire text instead, taken as it is.
            summary: Plain values; the last history row when missing. `summary_text` is wire text, taken as it is.
            user: A username known to the sandbox, a record, "default", or None for a deleted account.
            exported: True or False, or how many rows were exported; None exports ended runs only.
            parts: How many Parquet parts the exported rows are spread over.
            live_data: False leaves unexported rows out of parquetHistory, so that only `history` has them.
            nonfinite: Spelling of NaN and infinities in the summary and in history lines.

        Raises:
            ValueError: the run exists.
            KeyError: there is no such user.
        """
        with self.lock:
            owner = self.add_project(entity, project)
            if run in owner.runs:
                raise ValueError(f"run {entity}/{project}/{run} exists")
            record = self.new_run(owner, run, user=self._user(user), created_at=created_at)
            record.display_name = run if display_name is None else display_name
            record.state, record.nonfinite, record.serves_live_data = state, nonfinite, live_data
            record.heartbeat_at = record.created_at if heartbeat_at is None else self.stamp(heartbeat_at)
            record.config_text = spell(config_envelope(config or {})) if config_text is None else config_text
            record.tags, record.notes, record.description = list(tags), notes, description
            record.group, record.job_type, record.commit, record.host = group, job_type, commit, host
            record.sweep_name = sweep
            record.system_metrics_text = None if system_metrics is None else spell(dict(system_metrics))
            merge_rows(record, (dict(row) for row in history))
            if summary is None and summary_text is None:
                summary = dict(record.history[-1]) if record.history else {}
            record.summary_text = spell(dict(summary or {}), nonfinite) if summary_text is None else summary_text
            record.events.extend(dict(event) for event in events)
            self.log_console(entity, project, run, console)
            for name, body in (files or {}).items():
                self.add_file(entity, project, run, name, body)
            rows = exported if exported is not None else state in ENDED_STATES
            if record.history and rows is not False:
                self.export_history(record, parts=parts, rows=None if rows is True else rows, step_type=step_type)
            if state in ENDED_STATES:
                record.exit_code = 0 if state == "finished" else 1
            record.updated_at = record.heartbeat_at or record.created_at
            return record

    def new_run(
        self, owner: ProjectRecord, name: str, *, user: UserRecord | None, created_at: Moment = None
    ) -> RunRecord:
        """An empty running run in `owner`."""
        with self.lock:
            number = self.number()
            now = self.stamp(created_at)
            record = RunRecord(
                number=number,
                id=typed_id("Run", name, owner.name, owner.entity, number),
                name=name,
                project=owner,
                display_name=name,
                user=user,
                state="running",
                created_at=now,
                heartbeat_at=now,
                updated_at=now,
                config_text="{}",
                summary_text="{}",
            )
            owner.runs[name] = record
            self.runs_by_id[record.id] = record
            owner.version += 1
            return record

    def _user(self, user: str | UserRecord | None) -> UserRecord | None:
        if user == "default":
            return self.default_user()
        if isinstance(user, str):
            return {held.username: held for held in self.users.values()}[user]
        return user

    def changed(self, run: RunRecord, *, heartbeat: bool = False) -> None:
        """Note a change: listings are sorted anew, `updatedAt` moves, and with `heartbeat` also `heartbeatAt`."""
        run.project.version += 1
        now = self.now_text()
        if heartbeat or self.updated_at_moves:
            run.updated_at = now
        if heartbeat:
            run.heartbeat_at = now

    def edit_run(
        self,
        entity: str,
        project: str,
        run: str,
        *,
        touch_heartbeat: bool = False,
        config: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> RunRecord:
        """A remote edit, as somebody else would make it in the web app.

        Args:
            config, summary: Plain values that replace all of the old ones.
            fields: Any attribute of RunRecord by name: tags, notes, display_name, state, config_text, ...
        """
        with self.lock:
            record = self.run(entity, project, run)
            if config is not None:
                record.config_text = spell(config_envelope(config))
            if summary is not None:
                record.summary_text = spell(dict(summary), record.nonfinite)
            for name, value in fields.items():
                if not hasattr(record, name):
                    raise AttributeError(f"runs have no {name!r}")
                setattr(record, name, list(value) if name == "tags" else value)
            self.changed(record, heartbeat=touch_heartbeat)
            return record

    def finish_run(
        self, entity: str, project: str, run: str, *, state: str = "finished", export: bool = True
    ) -> RunRecord:
        """End the run; `export` also exports its whole history."""
        with self.lock:
            record = self.run(entity, project, run)
            record.state = state
            record.exit_code = 0 if state == "finished" else 1
            if export and record.history:
                self.export_history(record)
            self.changed(record, heartbeat=True)
            return record

    # ------------------------------------------------------------------ what runs log

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

    def export_history(
        self,
        run: RunRecord,
        *,
        parts: int = 1,
        rows: int | None = None,
        step_type: StepType = "int64",
        empty_part: bool = False,
    ) -> None:
        """Export the run's history anew: the first `rows` rows (all when None), replacing every earlier part.

        Args:
            step_type: Type of the `_step` column.
            empty_part: Add a part with zero columns and zero rows, which W&B is known to serve.
        """
        with self.lock:
            covered = [dict(row) for row in (run.history if rows is None else run.history[:rows])]
            for part in run.parts:
                self.bucket.remove(part.object_key)
            run.parts = []
            run.exported = {int(row["_step"]) for row in covered}
            pieces: list[Sequence[dict[str, Any]]] = list(split(covered, parts))
            if empty_part:
                pieces.append([])
            for piece in pieces:
                key = f"exports/{run.number}/{self.number()}.parquet"
                self.bucket.put(key, partial(write_part, piece, step_type))
                run.parts.append(ExportPart(object_key=key, rows=len(piece)))

    # ------------------------------------------------------------------ sweeps

    def add_sweep(
        self,
        entity: str,
        project: str,
        sweep: str,
        *,
        config_text: str = "method: random\nparameters: {}\n",
        method: str = "random",
        state: str = "RUNNING",
        display_name: str | None = None,
        description: str | None = None,
        run_count_expected: int | None = None,
        created_at: Moment = None,
    ) -> SweepRecord:
        """A sweep; `sweep` is its id (Sweep.name), `config_text` its YAML."""
        with self.lock:
            owner = self.add_project(entity, project)
            now = self.stamp(created_at)
            record = SweepRecord(
                id=typed_id("Sweep", sweep, project, entity, self.number()),
                name=sweep,
                project=owner,
                config_text=config_text,
                method=method,
                state=state,
                created_at=now,
                updated_at=now,
                user=self.default_user(),
                display_name=display_name,
                description=description,
                run_count_expected=run_count_expected,
            )
            owner.sweeps[sweep] = record
            self.sweeps_by_id[record.id] = record
            return record
