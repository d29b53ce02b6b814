"""The truth that the sandbox serves, and the methods by which tests and mutations change it.

One re-entrant lock guards everything. Methods take it themselves; a caller that reads records over several steps holds
`state.lock`. Runs are addressed by entity, project and run id, as in their paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mirror.sandbox.histories.export_style import ColumnStyle, ExportStyle, StepType
from mirror.sandbox.histories.rows import merge_rows
from mirror.sandbox.state.artifacts import ArtifactShelf
from mirror.sandbox.state.core import DEFAULT_FEATURES
from mirror.sandbox.state.histories import HistoryShelf, in_turn
from mirror.sandbox.state.people import PeopleShelf
from mirror.sandbox.state.records import (
    ENDED_STATES,
    ConsoleLine,
    ProjectRecord,
    RunRecord,
    SweepRecord,
    UserRecord,
)
from mirror.sandbox.state.trash import Trash
from mirror.wandb_protocol.wire import Moment, NonFinite, config_envelope, spell, typed_id

__all__ = ["DEFAULT_FEATURES", "SandboxState"]


class SandboxState(ArtifactShelf, HistoryShelf, PeopleShelf, Trash):
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
        step_type: StepType | Sequence[StepType] = "int64",
        column_style: ColumnStyle | Sequence[ColumnStyle] = "struct",
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
            step_type, column_style: How its exports are written; several are taken part by part in turn.
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
            record.export_style = ExportStyle(
                parts=parts, column_styles=in_turn(column_style), step_types=in_turn(step_type)
            )
            if record.history and exported is None and state in ENDED_STATES:
                self.request_export(record, ended_at=record.heartbeat_at)
            elif record.history and exported:
                self.export_history(record, parts=parts, rows=None if exported is True else exported)
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
        """End the run; `export` also exports its whole history, now or when `export_delay_s` says."""
        with self.lock:
            record = self.run(entity, project, run)
            record.state = state
            record.exit_code = 0 if state == "finished" else 1
            if export and record.history:
                self.request_export(record)
            self.changed(record, heartbeat=True)
            return record

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
