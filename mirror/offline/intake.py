"""From a log into the lake: a run like any other, and how far of it the lake has, in the same commit.

The order of writes, and what a crash leaves at each point:

    1. new bytes of the log are appended to its copy      the next look compares, and goes on
    2. files and artifacts become objects                 nobody names them; the next look takes them again
    3. rows, run and progress are committed together      all of them, or none
    4. the outbox gets the entry that delivers the run    the next look finds that it lacks, and queues it
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from mirror.clock import utc_now
from mirror.offline.copies import bring_up, copy_of
from mirror.offline.found import FoundLog
from mirror.offline.held import NOTHING, HeldBefore, beginning, filled, held_before, merged
from mirror.offline.log.framing import BYTES_TOGETHER, RECORDS_TOGETHER, Damage, Frame, read_frames
from mirror.offline.log.run_log import RunLog
from mirror.offline.logged_artifacts import take_artifact
from mirror.offline.rewinding import rewind
from mirror.offline.saved_files import SavedFiles
from mirror.records.addresses import RunPath
from mirror.records.contents import STILL_ACTIVE, ArtifactChange, ContentChanges, Direction, HistoryChange
from mirror.records.offline import OfflineLog
from mirror.records.passes import Changes
from mirror.records.runs import OFFLINE, RunRecord
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.read.offline import last_step, versions_of
from mirror.store.write.writer import commit

Turn = Callable[[], AbstractContextManager[None]]

ROWS_AT_ONCE = 50_000  # of histories, and lines, in one commit; one takes as long as reading some 10,000 rows …
CHARACTERS_AT_ONCE = 16_000_000  # … and of their texts, which bound its memory
RUNS_AT_ONCE = 100  # in one commit
SILENT = dt.timedelta(minutes=10)  # a log without an end that nobody wrote for so long: W&B's SDK writes each 15 s

# Fields of a run that a log never tells, or not always: what is held of them stays.
_UNTOLD = ("storage_id", "description", "user", "user_name", "read_only", "project_internal_id", "created_at")
_MAY_TELL = ("display_name", "notes", "group", "job_type", "sweep", "host", "commit")


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What a log has that the lake has not, ready to be committed."""

    log: FollowedLog
    run: RunRecord
    row: OfflineLog
    contents: ContentChanges
    artifacts: tuple[ArtifactChange, ...]
    is_new: bool  # the lake has nothing of the run


class Batch:
    """Pieces of several runs of one project that are one commit.

    Args:
        lake: opened for writing.
        objects: of its home, those of all the pieces.
        now: the clock.
        turn: entered for each commit, where others write the lake as well.
    """

    def __init__(
        self,
        lake: Lake,
        objects: Objects,
        *,
        now: Callable[[], dt.datetime] = utc_now,
        turn: Turn = contextlib.nullcontext,
    ) -> None:
        self._lake, self._objects, self._now, self.turn = lake, objects, now, turn
        self._pieces: dict[RunPath, Piece] = {}
        self._rows = self._characters = 0

    def __contains__(self, path: RunPath) -> bool:
        """Whether something of a run waits."""
        return path in self._pieces

    def add(self, piece: Piece) -> None:
        """Take one more; commits those before where it does not go with them, and when there are enough.

        Raises:
            StoreError: the lake stays at its last commit.
        """
        path = piece.row.run_path
        if path in self._pieces or any(other.key != path.key for other in self._pieces):
            self.commit()
        self._pieces[path] = piece
        rows = piece.contents.history.tail if piece.contents.history else ()
        self._rows += len(rows)
        self._characters += sum(len(row.row) for row in rows)
        is_enough = self._rows >= ROWS_AT_ONCE or self._characters >= CHARACTERS_AT_ONCE
        if is_enough or len(self._pieces) >= RUNS_AT_ONCE:
            self.commit()

    def commit(self) -> None:
        """Commit what is there.

        Raises:
            StoreError: the lake stays at its last commit.
        """
        pieces, self._pieces, self._rows, self._characters = list(self._pieces.values()), {}, 0, 0
        if not pieces:
            return
        changes = Changes(
            key=pieces[0].row.run_path.key, at=self._now(), runs=tuple(piece.run for piece in pieces),
            logs=tuple(piece.row for piece in pieces),
            new=frozenset(piece.row.run_id for piece in pieces if piece.is_new),
        )  # fmt: skip
        artifacts = [change for piece in pieces for change in piece.artifacts]
        with self.turn():
            commit(self._lake, changes, [piece.contents for piece in pieces], artifacts, objects=self._objects)
        for piece in pieces:
            piece.log.committed(piece)


class FollowedLog:
    """One log, read as far as it goes, again and again.

    Args:
        lake: opened for writing.
        found: where the log is.
        row: whose it is, and what the lake has of it.
        objects: of the home.
        now: the clock.
        is_new: whether it is known that the lake has nothing of the run.
    """

    def __init__(
        self,
        lake: Lake,
        found: FoundLog,
        row: OfflineLog,
        objects: Objects,
        *,
        is_new: bool = False,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self.row = row
        self.found = found
        self.lake, self._now = lake, now
        self._seen: tuple[int, dt.datetime, bool] | None = None  # as it was seen last: bytes, when, silent
        self._objects = objects
        self._is_known_new = is_new
        self._path = row.run_path
        self._log = RunLog(self._place, self._is_new_row, job_type=row.job_type, new_tags=row.new_tags)
        self._offset = 0  # of the copy, behind what was read
        self._held = row.bytes  # that the lake has and that are read once more; 0 behind them
        self._told_through = -1  # the last step that the lake has from elsewhere, of the history that this log tells
        self._damages: list[Damage] = []
        self._cut: Damage | None = None  # what the log ends with, if that is no whole record and nobody writes it
        self._before: HeldBefore | None = None
        self._files: SavedFiles | None = None
        self._links: list[tuple[str, Direction]] = []
        self._artifacts = 0  # of the log, that are in the lake
        self._turn: Turn = contextlib.nullcontext
        self._is_new = False  # whether the run is not in the lake yet

    def look(self, batch: Batch, passed: Callable[[int], None] = lambda _: None) -> None:
        """Take what is new.

        Args:
            batch: of which the last piece becomes a part; those before it are committed.
            passed: told how many bytes were copied or read, again and again.

        Raises:
            OSError: the log cannot be read.
            StoreError: the home; the lake stays at its last commit.
        """
        before, self._turn = self.row, batch.turn
        size, changed_at = self._stat()
        is_silent = self._now() - changed_at > SILENT
        if self._seen == (size, changed_at, is_silent):
            return
        bring_up(self.lake.home, self.row.log, self.found.path, passed, held=self.row.bytes)
        for _ in self._read(is_whole=is_silent, passed=passed):
            self._add(batch, ended=False, changed_at=changed_at)
            batch.commit()
        ended = self._log.has_exit or is_silent
        if self._log.names is not None and (self._offset != before.bytes or ended != before.ended):
            self._add(batch, ended=ended, changed_at=changed_at)
        self._seen = size, changed_at, is_silent

    def committed(self, piece: Piece) -> None:
        """A piece is in the lake."""
        self.row, self._is_new, self._is_known_new = piece.row, False, False

    def _stat(self) -> tuple[int, dt.datetime]:
        """How long the log is, and when it was written last."""
        try:
            seen = self.found.path.stat()
        except OSError:  # its folder was cleaned away
            seen = copy_of(self.lake.home, self.row.log).stat()
        return seen.st_size, dt.datetime.fromtimestamp(seen.st_mtime, dt.UTC)

    def _read(self, *, is_whole: bool, passed: Callable[[int], None]) -> Iterator[None]:
        """Read on; yields whenever so many rows wait that they are to be committed."""
        self._cut = None
        with copy_of(self.lake.home, self.row.log).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            told = end = self._offset
            waiting: list[bytes] = []
            for frame in read_frames(file, self._offset, is_whole=is_whole):
                if self._held and frame.end > self._held:
                    waiting = self._take(waiting)
                    self._offset = end
                    self._log.drain()
                    self._held = 0
                if isinstance(frame, Frame):
                    waiting.append(frame.content)
                elif frame.end == size:
                    self._cut = frame  # if its writer only slept, the rest is still to come
                    break
                else:
                    self._note(frame)
                end = frame.end
                is_little = end - self._offset < BYTES_TOGETHER and len(waiting) < min(RECORDS_TOGETHER, ROWS_AT_ONCE)
                if is_little and self._log.rows:  # the first row asks the lake, which may fail: it comes alone
                    continue
                waiting = self._take(waiting)
                self._offset = end
                if end - told >= BYTES_TOGETHER:
                    passed(end - told)
                    told = end
                if self._log.waits(ROWS_AT_ONCE, CHARACTERS_AT_ONCE):
                    if self._held:
                        self._log.drain()
                    else:
                        yield
            self._take(waiting)
            self._offset = end
            passed(end - told)
            if self._held:
                self._log.drain()

    def _take(self, waiting: list[bytes]) -> list[bytes]:
        """Take what waits; nothing does then."""
        self._log.take_many(waiting)
        return []

    def _note(self, damage: Damage) -> None:
        """One more stretch that is damaged, or more of the last one."""
        if self._damages and self._damages[-1].end == damage.start:
            first = self._damages.pop()
            damage = Damage(damage.end, first.start, first.reason)
        self._damages.append(damage)

    def _place(self, step: int, row: str) -> int:
        """What is added to the steps of this log: nothing, unless the run's history has that step of something else."""
        if self.row.rows or self._is_known_new:
            return self.row.first_step
        last = last_step(self.lake, self._path)
        if last is None or step > last:
            return 0
        branch = self._log.names.branch if self._log.names is not None else None
        begins = beginning(self.lake, self.row, branch, step, row, last)
        if begins == "held":
            self._told_through = last
            return 0
        if branch is not None and begins == "rewound":
            with self._turn():
                rewind(self.lake, self._objects, self._path, int(branch.value), self._now())
            self._before = None
            return 0
        self.row = msgspec.structs.replace(self.row, first_step=last + 1 - step)
        return self.row.first_step

    def _is_new_row(self, step: int) -> bool:
        return not self._held and step > self._told_through

    def _add(self, batch: Batch, *, ended: bool, changed_at: dt.datetime) -> None:
        """Have what was read and is not in the lake committed."""
        if len(self._log.artifacts) > self._artifacts:
            batch.commit()  # which version one becomes depends on those before
        log, before, files = self._log, *self._prepared()
        drained = log.drain()
        rows = [row for row in drained.history if row.step is None or row.step > self._told_through]
        columns = drained.columns if len(rows) == len(drained.history) else ()
        lines = tuple(msgspec.structs.replace(line, number=line.number + before.lines) for line in drained.console)
        taken = [*files.due(log, ended=ended), *(files.made(log, log.last_at or changed_at) if ended else ())]
        artifacts = self._logged(changed_at)
        damages = [*self._damages, *([self._cut] if self._cut is not None else [])]
        first = damages[0] if damages else None
        row = msgspec.structs.replace(
            self.row, bytes=self._offset, rows=log.rows, console_lines=before.lines, event_rows=before.events,
            damaged=len(damages) + log.unreadable, ended=ended, exit_code=log.exit_code, grown_at=changed_at,
            damage=f"{first.end - first.start} bytes from {first.start} on: {first.reason}" if first else None,
            delivered_at=None,
        )  # fmt: skip
        last = max(before.last_step, log.last_step) if log.rows else None
        contents = ContentChanges(
            run_id=self._path.run_id, files=tuple(taken), console=lines or None, console_partial=True,
            events=drained.events or None, events_from=before.events + log.event_rows - len(drained.events),
            artifacts=tuple(self._links) or None,
            history=HistoryChange(
                tail=tuple(rows), tail_columns=columns, last_step=last, missing=None if ended else STILL_ACTIVE
            ),
        )  # fmt: skip
        run = self._run(before, ended=ended, changed_at=changed_at)
        batch.add(Piece(log=self, run=run, row=row, contents=contents, artifacts=tuple(artifacts), is_new=self._is_new))

    def _prepared(self) -> tuple[HeldBefore, SavedFiles]:
        """What was there before, looked up once."""
        if self._before is None or self._files is None:
            is_same = self._told_through >= 0
            self._before = NOTHING if self._is_known_new else held_before(self.lake, self.row, is_same=is_same)
            self._files = SavedFiles(self._objects, self.found.files, self._before.files)
            self._links = list(self._before.links)
            self._is_new = not self._before.is_held
        return self._before, self._files

    def _logged(self, at: dt.datetime) -> list[ArtifactChange]:
        """The versions that are not in the lake; what the run logged and used is noted in `_links`."""
        changes: list[ArtifactChange] = []
        for artifact in self._log.artifacts[self._artifacts :]:
            entity, project = artifact.entity or self._path.entity, artifact.project or self._path.project
            held = versions_of(self.lake, entity, project, artifact.name)
            same = next((found for found, _, digest in held if digest == artifact.digest), None)
            changes = [_without_aliases(change, artifact) for change in changes]
            if same is None:
                indexes = [index for _, index, _ in held if index is not None]
                indexes += [
                    change.record.version_index or 0 for change in changes if change.record.sequence == artifact.name
                ]
                version = max(indexes, default=-1) + 1
                changes.append(
                    take_artifact(
                        self._objects,
                        artifact,
                        entity=entity,
                        project=project,
                        version=version,
                        at=self._log.last_at or at,
                        moved=self.found.moved,
                    )
                )
                same = changes[-1].record.artifact_id
            self._links.append((same, "logged"))
        self._artifacts = len(self._log.artifacts)
        self._links = list(dict.fromkeys(self._links))
        return changes

    def _run(self, before: HeldBefore, *, ended: bool, changed_at: dt.datetime) -> RunRecord:
        """The run as the lake gets it."""
        log, texts = self._log, self._log.texts
        keys = log.keys.over(before.history_keys, max(before.last_step, log.last_step))
        untold = {*_UNTOLD, *(name for name in _MAY_TELL if name not in texts)}
        alive_at = max(filter(None, (log.last_at, None if ended else changed_at)), default=changed_at)
        run = RunRecord(
            entity=self._path.entity, project=self._path.project, run_id=self._path.run_id, storage_id="",
            display_name=texts.get("display_name"), state=self._state(ended=ended), tags=log.tags,
            group=texts.get("group"), job_type=texts.get("job_type"), sweep=texts.get("sweep"),
            notes=texts.get("notes"), description=None, commit=texts.get("commit"), user=None, user_name=None,
            read_only=None, project_internal_id=None, created_at=None, created_at_text=None, heartbeat_at=alive_at,
            heartbeat_at_text=_wire(alive_at), updated_at=None, updated_at_text=None, host=texts.get("host"),
            history_line_count=before.rows + log.rows, history_keys_text=keys,
            config_text=merged(before.config, log.config_text), summary_text=merged(before.summary, log.summary_text),
            system_metrics_text=log.system_metrics_text, origin=OFFLINE, fingerprint=OFFLINE,
            untold=frozenset({*untold, "created_at_text", *(() if log.tags else ("tags",))}),
        )  # fmt: skip
        run = run if self._is_new else filled(self.lake, run)
        started = self.row.started_at or self.row.added_at
        if run.created_at is None:
            run = msgspec.structs.replace(run, created_at=started, created_at_text=_wire(started))
        return run

    def _state(self, *, ended: bool) -> str:
        """W&B's word; one that broke off counts as failed, as it does for `wandb sync`."""
        log = self._log
        if not ended or (log.has_exit and log.exit_code is None):
            return "running"
        if log.exit_code == 0:
            return "finished"
        return "preempted" if log.preempting else "failed"


def _without_aliases(change: ArtifactChange, later: Any) -> ArtifactChange:
    """A version when a later one of its collection has taken aliases over."""
    record = change.record
    if record.sequence != later.name:
        return change
    kept = tuple(alias for alias in record.aliases if alias not in later.aliases)
    return msgspec.structs.replace(change, record=msgspec.structs.replace(record, aliases=kept))


def _wire(at: dt.datetime) -> str:
    """A time as W&B spells it."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
