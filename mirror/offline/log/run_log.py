"""What the records of a log come to: a run with its documents, and the rows that are new since they were last taken."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from mirror.left_out import let_in
from mirror.offline.log.config_document import merged_metric, new_environment, new_telemetry, spell_config
from mirror.offline.log.console import Console
from mirror.offline.log.history_keys import HistoryKeys
from mirror.offline.log.messages import parse_record
from mirror.offline.log.times import EPOCH, nanoseconds, seconds_text, time_of
from mirror.offline.log.trees import Tree, path_of, put, put_within, remove, spell, tree_of
from mirror.records.console import ConsoleLine
from mirror.records.contents import TailColumns, TailRow
from mirror.texts.values import parse_lenient

if TYPE_CHECKING:
    from mirror.offline.log.row_batch import RowBatch

STEP = "_step"
MANY = 64  # records that are taken faster together …
LONG = 10_000  # … once so many were read in this process: then numpy, with which that is done, is worth loading
SPARSE = 4  # cells for each value, beyond which rows are not kept key by key: most of them would be empty
SINGLE = 20  # times that it is not tried, once it was of little use
_STDERR = 0
_ABSENT: Any = "\0absent"  # no config has it
_EARLIER = 100  # values of a key of the config that are remembered


class BranchPoint(msgspec.Struct, frozen=True):
    """Where a run begins that goes on from a step of another one, or of itself."""

    run: str  # id, in the same project
    value: float
    metric: str  # W&B branches by `_step` alone


class LogNames(msgspec.Struct, frozen=True, kw_only=True):
    """Whose log it is, as its first records say."""

    entity: str  # empty: the default entity of whoever trained it
    project: str  # empty: W&B's "uncategorized"
    run_id: str
    started_at: dt.datetime | None  # UTC
    branch: BranchPoint | None = None  # of a fork or a rewind


class LoggedFile(msgspec.Struct, frozen=True):
    """Files that the run saves: a path, or a glob, relative to the folder of its files."""

    path: str
    policy: int  # 0: as it is now; 1: at the end; 2: whenever it changes


class LoggedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What a script told of itself to whoever watches it."""

    title: str
    text: str
    level: str  # INFO, WARN or ERROR
    wait_duration: int  # in which the server passes over one of the same title; as W&B takes it
    rows: int  # of the log that come before it


class NewRows(msgspec.Struct, frozen=True, kw_only=True):
    """What came since the last time."""

    history: tuple[TailRow, ...]
    columns: tuple[TailColumns, ...]  # of those rows of `history` that are known key by key
    console: tuple[ConsoleLine, ...]
    events: tuple[str, ...]  # rows of system metrics


class RunLog:
    """A run as far as its log was read.

    Rows and lines are held until they are drained; of everything else there is the latest.

    Args:
        place: asked once, with the step and the JSON text of the first row: what is to be added to the steps of all
            rows, since a run that goes on without a server begins to count anew.
        counts: asked with the step of each row, whether `keys` is to count it.
        job_type: in place of the one that the log names.
        new_tags: what becomes of its tags; a tag that is to go becomes nothing.
    """

    _read: ClassVar[int] = 0  # records that were taken together or might have been

    def __init__(
        self,
        place: Callable[[int, str], int] = lambda _, __: 0,
        counts: Callable[[int], bool] = lambda _: True,
        *,
        job_type: str | None = None,
        new_tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.names: LogNames | None = None
        self.texts: dict[str, str] = {}  # display_name, notes, group, job_type, sweep, host, program, commit, remote
        self.earlier_texts: dict[str, set[str]] = {}  # of those that changed since the run began, what they were before
        self.tags: tuple[str, ...] = ()
        self.has_new_tags = False  # they changed since the run began
        self.config: Tree = {}
        self.summary: Tree = {}
        self.metrics: dict[str, Any] = {}
        self.telemetry = new_telemetry()
        self.environment = new_environment()
        self.files: dict[str, LoggedFile] = {}
        self.artifacts: list[Any] = []  # `Artifact` messages, in order
        self.used_artifacts: list[Any] = []
        self.alerts: list[LoggedAlert] = []
        self.event_rows = 0  # of system metrics
        self.exit_code: int | None = None
        self.has_exit = False
        self.preempting = False
        self.last_at: dt.datetime | None = None  # the latest time that a record has, UTC
        self.rows = 0  # of the history
        self.rows_back = 0  # of them, those whose step is not above all before
        self.last_step = -1  # the highest
        self.latest_step = -1  # of the last row
        self.unreadable = 0  # records that are no messages of W&B's
        self.keys = HistoryKeys()
        self._earlier_config: dict[str, deque[Any]] = {}  # what keys that changed were before, the latest of it
        self._place, self._counts = place, counts
        self._job_type, self._new_tags = job_type, new_tags
        self._first_step: int | None = None
        self._single = 0  # times that records are to be taken one by one
        self._started_ns: int | None = None
        self._history: list[TailRow] = []
        self._columns: list[TailColumns] = []
        self._events: list[str] = []
        self._last_event: str | None = None
        self._characters = 0  # of what waits to be drained
        self._console = Console()

    def take(self, content: bytes) -> None:
        """Take the bytes of a record; one that cannot be read is counted."""
        try:
            record = parse_record(content)
        except ValueError:
            self.unreadable += 1
        else:
            self._take_record(record)

    def take_many(self, contents: Sequence[bytes]) -> None:
        """Take the bytes of records that follow each other; it comes to the same as taking each by itself."""
        RunLog._read += len(contents)
        at = 0
        while at < len(contents) and self._first_step is None:  # the first row decides about all others
            self.take(contents[at])
            at += 1
        if len(contents) - at < MANY or RunLog._read < LONG or self._first_step or self._single:
            self._single -= self._single > 0
            for content in contents[at:]:
                self.take(content)
            return
        let_in("numpy")
        from mirror.offline.log.row_batch import RowBatch
        from mirror.offline.log.together import Values, in_turn

        alone = 0
        for found in in_turn(contents[at:]):
            if isinstance(found, RowBatch):
                self._take_rows(found)
            elif isinstance(found, Values):
                for path, text in found.last:
                    put(self.summary, path, text)
            else:
                alone += 1
                if found is None:
                    self.unreadable += 1
                else:
                    self._take_record(found)
        if alone * 2 > len(contents) - at:
            self._single = SINGLE

    def _take_record(self, record: Any) -> None:
        kind = record.WhichOneof("kind")
        take = getattr(self, f"_take_{kind}", None) if kind else None
        if take is not None:
            take(getattr(record, kind))

    def drain(self) -> NewRows:
        """The rows and lines that came since the last call."""
        rows, self._history = tuple(self._history), []
        columns, self._columns = tuple(self._columns), []
        events, self._events = tuple(self._events), []
        self._characters = 0
        return NewRows(history=rows, columns=columns, console=self._console.drain(), events=events)

    def waits(self, rows: int, characters: int) -> bool:
        """Whether so many rows and lines, or characters of them, wait to be drained."""
        return self._characters >= characters or len(self._history) + len(self._events) + self._console.waiting >= rows

    @property
    def console_lines(self) -> int:
        """The number behind the last line of the console."""
        return self._console.count

    @property
    def config_text(self) -> str:
        """The config as W&B's server has it."""
        return spell_config(self.config, self.metrics, self.telemetry, self.environment)

    @property
    def summary_text(self) -> str:
        """The summary as W&B's server has it."""
        return spell(self.summary | {STEP: str(self.last_step)} if self.rows else self.summary)

    @property
    def system_metrics_text(self) -> str | None:
        """The last values of the system metrics."""
        if self._last_event is None:
            return None
        last = parse_lenient(self._last_event)
        return json.dumps({key: at for key, at in last.items() if key.startswith("system.")})

    def was_in_config(self, key: str, enveloped: Any) -> bool:
        """Whether a key of the config had this value before the script changed it; what is W&B's own counts as ours.

        Args:
            key: at the top of the config.
            enveloped: the value with W&B's envelope; None: it was not there.
        """
        value = enveloped.get("value") if isinstance(enveloped, dict) else _ABSENT
        return key == "_wandb" or any(value == before for before in self._earlier_config.get(key, ()))

    def _take_run(self, run: Any) -> None:
        self._take_config(run.config)
        self._take_summary(run.summary)
        told = {
            "display_name": run.display_name, "notes": run.notes, "group": run.run_group,
            "job_type": self._job_type or run.job_type,
            "sweep": run.sweep_id, "host": run.host, "commit": run.git.commit, "remote": run.git.remote_url,
        }  # fmt: skip
        for name, text in told.items():
            before = self.texts.get(name, "")
            if text and text != before:
                self.texts[name] = text
                if self.names is not None:
                    self.earlier_texts.setdefault(name, set()).add(before)
        tags = tuple(dict.fromkeys(new for tag in run.tags if (new := self._new_tags.get(tag, tag))))
        if tags and tags != self.tags:
            self.has_new_tags = self.names is not None
            self.tags = tags
        self.telemetry.MergeFrom(run.telemetry)
        if self.names is not None:
            return
        started = None
        if run.HasField("start_time"):
            started, self._started_ns = time_of(run.start_time), nanoseconds(run.start_time)
        point = run.branch_point if run.HasField("branch_point") else None
        self.names = LogNames(
            entity=run.entity, project=run.project, run_id=run.run_id, started_at=started,
            branch=BranchPoint(point.run, point.value, point.metric) if point is not None and point.run else None,
        )  # fmt: skip
        self._saw(started)

    def _take_config(self, changes: Any) -> None:
        for item in changes.update:
            if path := path_of(item):
                self._note_earlier(path[0])
                put_within(self.config, path, parse_lenient(item.value_json))
        for item in changes.remove:
            if path := path_of(item):
                remove(self.config, path)

    def _note_earlier(self, key: str) -> None:
        """Remember what a key of the config is before it changes."""
        held = self.config.get(key)
        before = _ABSENT if held is None else parse_lenient(held if isinstance(held, str) else spell(held))
        self._earlier_config.setdefault(key, deque(maxlen=_EARLIER)).append(before)

    def _take_summary(self, changes: Any) -> None:
        for item in changes.update:
            if item.value_json and (path := path_of(item)):
                put(self.summary, path, item.value_json)
                if path == (STEP,) and self._first_step and item.value_json.isdigit():
                    self.summary[STEP] = str(int(item.value_json) + self._first_step)
        for item in changes.remove:
            if path := path_of(item):
                remove(self.summary, path)

    def _take_history(self, history: Any) -> None:
        row = tree_of(history.item)
        told = row.get(STEP)
        step: int | None = None
        if isinstance(told, str):
            step = int(told) if told.isdecimal() else int(float(told)) if _is_number(told) else None
        if step is None:
            step = history.step.num if history.HasField("step") else self.last_step + 1 - (self._first_step or 0)
        if self._first_step is None:
            self._first_step = self._place(step, spell(row))
        step += self._first_step
        row[STEP] = str(step)
        if self._counts(step):
            self.keys.see(row)
        self.rows += 1
        self.rows_back += step <= self.last_step
        self.last_step, self.latest_step = max(self.last_step, step), step
        text = spell(row)
        self._characters += len(text)
        self._history.append(TailRow(step=step, row=text))

    def _take_rows(self, batch: RowBatch) -> None:
        steps, texts = batch.steps.tolist(), batch.texts()
        counted = [self._counts(step) for step in steps]
        if any(counted):
            columns = list((batch if all(counted) else batch.chosen_by(counted)).columns())
            for column in columns:
                column.counted(self.keys)
            if all(counted) and len(columns) * len(steps) <= SPARSE * len(batch.items.keys):
                self._columns.append(batch.as_tail(columns, first=len(self._history)))
        for step in steps:
            self.rows_back += step <= self.last_step
            self.last_step = max(self.last_step, step)
        self.rows, self.latest_step = self.rows + len(steps), steps[-1]
        self._characters += sum(map(len, texts))
        self._history += [TailRow(step=step, row=text) for step, text in zip(steps, texts, strict=True)]

    def _take_stats(self, stats: Any) -> None:
        self._saw(time_of(stats.timestamp))
        at = nanoseconds(stats.timestamp)
        row = {"_wandb": "true", "_timestamp": seconds_text(at)}
        row["_runtime"] = seconds_text(at - self._started_ns) if self._started_ns is not None else "0"
        event = spell(row | {f"system.{item.key}": item.value_json for item in stats.item if item.value_json})
        self._last_event = event
        self._events.append(event)
        self._characters += len(event)
        self.event_rows += 1

    def _take_output_raw(self, output: Any) -> None:
        at = time_of(output.timestamp)
        self._saw(at)
        self._characters += len(output.line)
        self._console.write(output.line, at, is_error=output.output_type == _STDERR)

    _take_output = _take_output_raw

    def _take_output_logger(self, output: Any) -> None:
        at = self.last_at or EPOCH
        self._characters += len(output.line)
        if output.numbered:
            with contextlib.suppress(ValueError):
                at = dt.datetime.fromisoformat(output.at).replace(tzinfo=dt.UTC)
            self._saw(at)
            self._console.put(output.number, output.line, at, output.level)
        else:
            self._console.append(output.line, at)

    def _take_files(self, files: Any) -> None:
        for file in files.files:
            self.files[file.path] = LoggedFile(file.path, file.policy)

    def _take_metric(self, metric: Any) -> None:
        if name := metric.name or metric.glob_name:
            self.metrics[name] = merged_metric(self.metrics.get(name), metric)

    def _take_telemetry(self, telemetry: Any) -> None:
        self.telemetry.MergeFrom(telemetry)

    def _take_environment(self, environment: Any) -> None:
        self.environment.MergeFrom(environment)

    def _take_artifact(self, artifact: Any) -> None:
        self.artifacts.append(artifact)

    def _take_use_artifact(self, used: Any) -> None:
        self.used_artifacts.append(used)

    def _take_alert(self, alert: Any) -> None:
        self.alerts.append(
            LoggedAlert(
                title=alert.title, text=alert.text, level=alert.level, wait_duration=alert.wait_duration, rows=self.rows
            )
        )

    def _take_preempting(self, _: Any) -> None:
        self.preempting = True

    def _take_exit(self, end: Any) -> None:
        self.has_exit = True
        self.exit_code = None if end.not_complete else end.exit_code

    def _saw(self, at: dt.datetime | None) -> None:
        if at is not None and (self.last_at is None or at > self.last_at):
            self.last_at = at


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal()
