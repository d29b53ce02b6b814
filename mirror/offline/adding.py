"""Adding logs: find them, tell whose they are, take what is in them, and queue what brings them upstream."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from mirror.clock import utc_now
from mirror.errors import ConfigError, MirrorError
from mirror.offline.copies import copy_of, forget, identify
from mirror.offline.found import FoundLog, find_logs
from mirror.offline.intake import Batch, FollowedLog, Turn
from mirror.offline.wanted import Wanted
from mirror.outbox import Outbox
from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.offline import OfflineLog
from mirror.records.operations import SyncRun
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.read.held_runs import held_runs
from mirror.store.read.offline import lost_files, offline_logs

UNNAMED_PROJECT = "uncategorized"  # what W&B calls the project of a run that names none
ONLINE = "it had a server while it trained; --online takes it all the same"
SYNCED = "`wandb sync` says that it is upstream; --synced takes it all the same"
NOT_BEGUN = "it does not say yet whose run it is"
MAY_GO_ON = dt.timedelta(days=30)  # how long a log without an end may be silent, and grow again
NO_ENTITY = "it names no entity: give --entity"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A log that was found."""

    found: FoundLog
    row: OfflineLog | None = None  # None: it is left out
    is_new: bool = False  # not added before
    left_out: str | None = None  # why
    named: str = ""  # the run id that it names
    lost: tuple[str, ...] = ()  # files that it names and that were not there


def candidates(wanted: Wanted, known: Iterable[OfflineLog], now: dt.datetime) -> list[Candidate]:
    """The logs under the wanted paths, those of a run in the order in which they were begun.

    Args:
        wanted: which.
        known: those that were added before.
        now: UTC.

    Raises:
        ConfigError: a path is not there, or is no log; one id is wanted for several runs.
    """
    by_log = {row.log: row for row in known}
    home = None if wanted.home is None else Path(wanted.home)
    named = {Path(os.path.abspath(Path(path).expanduser())) for path in wanted.paths}
    result = [_candidate(found, wanted, by_log, named, now) for found in find_logs(wanted.paths, home)]
    if wanted.run_id is not None and len(runs := {one.named for one in result if one.is_new}) > 1:
        raise ConfigError(
            f"one run has the id {wanted.run_id}, and there are {len(runs)} to be added", hint="name the folder of one"
        )
    return sorted(result, key=lambda one: (one.row.started_at or one.row.added_at) if one.row else now)


def _candidate(
    found: FoundLog, wanted: Wanted, known: dict[str, OfflineLog], named: set[Path], now: dt.datetime
) -> Candidate:
    try:
        identity = identify(found.path)
    except MirrorError as error:
        return Candidate(found=found, left_out=error.message)
    except OSError as error:
        return Candidate(found=found, left_out=f"it cannot be read: {error.strerror}")
    if identity is None:
        return Candidate(found=found, left_out=NOT_BEGUN)
    log, names = identity
    if (row := known.get(log)) is not None:
        return Candidate(found=found, row=msgspec.structs.replace(row, source=str(found.path)))
    if found.path not in named:
        if found.is_synced and not wanted.synced:
            return Candidate(found=found, left_out=SYNCED)
        if found.is_online and not wanted.online:
            return Candidate(found=found, left_out=ONLINE)
    entity = wanted.entity or names.entity or wanted.default_entity
    if not entity:
        return Candidate(found=found, left_out=NO_ENTITY)
    row = OfflineLog(
        log=log, entity=entity, project=wanted.project or names.project or UNNAMED_PROJECT,
        run_id=wanted.run_id or names.run_id, source=str(found.path), started_at=names.started_at, added_at=now,
        job_type=wanted.job_type, replaced_tags=wanted.replaced_tags,
    )  # fmt: skip
    return Candidate(found=found, row=row, is_new=True, named=names.run_id)


class OfflineRuns:
    """The logs that a process takes into its lake, and follows.

    Args:
        lake: opened for writing.
        outbox: of the home.
        now: the clock.
        turn: entered for each commit, where others write the lake as well.
    """

    def __init__(
        self,
        lake: Lake,
        outbox: Outbox,
        *,
        now: Callable[[], dt.datetime] = utc_now,
        turn: Turn = contextlib.nullcontext,
    ) -> None:
        self._lake, self._outbox, self._now, self._turn = lake, outbox, now, turn
        self._objects = Objects(lake.home)
        self._followed: dict[str, FollowedLog] = {}
        self._queued: set[str] = set()  # logs whose delivery is known to wait

    def candidates(self, wanted: Wanted) -> list[Candidate]:
        """As the function of this name, with what the lake knows.

        Raises:
            ConfigError: a path is not there, or is no log.
            StoreError: the lake cannot be read.
        """
        return candidates(wanted, offline_logs(self._lake), self._now())

    def take_all(
        self,
        found: Iterable[Candidate],
        failed: Callable[[Candidate, OSError], None],
        passed: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Candidate]:
        """Take what is new of many logs, those of several runs in a commit.

        Args:
            found: in the order in which those of a run were begun; those that are left out are handed on.
            failed: told of a log that cannot be read.
            passed: told how many bytes were copied or read, again and again.

        Returns:
            Those that could be read, with what the lake has of them.

        Raises:
            StoreError: the home; the lake stays at its last commit.
        """
        found = list(found)
        held = self._held([one.row for one in found if one.row is not None and one.is_new])
        batch, taken = self._batch(), list[tuple[Candidate, OfflineLog]]()
        for candidate in found:
            if candidate.row is None:
                continue
            path = candidate.row.run_path
            if path in batch:  # where a log goes on depends on those before it
                batch.commit()
            try:
                is_new = candidate.is_new and path not in held
                before = self._look(candidate.found, candidate.row, batch, passed, is_new=is_new)
            except OSError as error:
                failed(candidate, error)
            else:
                held.add(path)
                taken.append((candidate, before))
        batch.commit()
        rows = [self._taken(before) for _, before in taken]
        lost = lost_files(self._lake, [row.run_path for row in rows]) if rows else {}
        for (candidate, _), row in zip(taken, rows, strict=True):
            yield msgspec.structs.replace(candidate, row=row, lost=lost.get(row.run_path, ()))

    def _batch(self) -> Batch:
        return Batch(self._lake, self._objects, now=self._now, turn=self._turn)

    def _held(self, rows: Sequence[OfflineLog]) -> set[RunPath]:
        """The runs of some logs that the lake has."""
        by_project: dict[ProjectKey, list[str]] = {}
        for row in rows:
            by_project.setdefault(row.run_path.key, []).append(row.run_id)
        return {RunPath(*key, run_id) for key, ids in by_project.items() for run_id in held_runs(self._lake, key, ids)}

    def _look(
        self,
        found: FoundLog,
        row: OfflineLog,
        batch: Batch,
        passed: Callable[[int], None] = lambda _: None,
        *,
        is_new: bool,
    ) -> OfflineLog:
        """Have what is new of a log become a part of a batch; what the lake had of it before."""
        followed = self._followed.get(row.log)
        if followed is None:
            followed = self._followed[row.log] = FollowedLog(
                self._lake, found, row, self._objects, is_new=is_new, now=self._now
            )
        followed.found, before = found, followed.row
        try:
            followed.look(batch, passed)
        except BaseException:
            self.leave(row.log)  # what fails half-way is read anew
            raise
        return before

    def _taken(self, before: OfflineLog) -> OfflineLog:
        """See that a log that was taken will be delivered; what the lake has of it now."""
        row = self._followed[before.log].row
        if row != before:
            self._queued.discard(row.log)
        self.queue(row)
        return row

    def take(self, candidate: Candidate, passed: Callable[[int], None] = lambda _: None) -> OfflineLog:
        """Take what is new of a log, and see that it will be delivered.

        Args:
            candidate: one that is not left out.
            passed: told how many bytes were copied or read, again and again.

        Returns:
            What the lake has of it now.

        Raises:
            OSError: the log cannot be read.
            StoreError: the home; the lake stays at its last commit.
        """
        if candidate.row is None:
            raise ValueError("it was left out")
        batch = self._batch()
        before = self._look(candidate.found, candidate.row, batch, passed, is_new=False)
        batch.commit()
        return self._taken(before)

    def forget_delivered(self) -> None:
        """Remove the copies of the logs that are upstream as a whole, and that will not grow.

        Raises:
            StoreError: the home.
        """
        home = self._lake.home
        for row in offline_logs(self._lake):
            if row.delivered_at is None or not copy_of(home, row.log).exists():
                continue
            is_over = row.exit_code is not None or (row.grown_at or row.added_at) < self._now() - MAY_GO_ON
            if is_over and not self.waits(row):
                self.leave(row.log)
                forget(home, row)

    def leave(self, *logs: str) -> None:
        """Follow logs no longer; without any, all."""
        for log in logs or tuple(self._followed):
            self._followed.pop(log, None)

    def use(self, lake: Lake) -> None:
        """Go on with the lake of the same home, opened once more."""
        self._lake = lake
        for followed in self._followed.values():
            followed.lake = lake

    def row_of(self, candidate: Candidate) -> OfflineLog | None:
        """What the lake has of a log that was taken; else the candidate's own row."""
        row = candidate.row
        return self._followed[row.log].row if row is not None and row.log in self._followed else row

    def queue(self, row: OfflineLog) -> None:
        """Queue the delivery of a log, unless it waits already, or is done.

        Raises:
            StoreError: the disk; it is not queued.
        """
        if row.delivered_at is not None or not row.bytes or row.log in self._queued:
            return
        if not self.waits(row):
            self._outbox.put(row.run_path, None, SyncRun(log=row.log))
        self._queued.add(row.log)

    def waits(self, row: OfflineLog) -> bool:
        """Whether the outbox has an entry that delivers a log."""
        waiting = (placed.entry.operation for placed in self._outbox.of_run(row.run_path))
        return any(isinstance(operation, SyncRun) and operation.log == row.log for operation in waiting)
