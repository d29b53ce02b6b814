"""What one pass over a project knows and changes: values that the pull decides and the store commits."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.backoff import backoff_s
from mirror.records.addresses import ProjectKey
from mirror.records.offline import OfflineLog
from mirror.records.projects import ProjectRecord, SweepRecord
from mirror.records.runs import RunRecord

# Items that may fail, by which what failed of a run is known; beside them a file, a console, …
HISTORY = "history"
FILES = "files"  # the list of them
CONTENTS = "contents"  # all that a run contains
SWEEPS = "sweeps"  # of the project, under `SWEEPS_OF`
SWEEPS_OF = "(sweeps)"  # stands for a run where failures name one


def in_part(item: str) -> str:
    """The name under which it is noted that something of an item could not be had."""
    return f"{item} (in part)"


COSTS_HISTORY = ("", CONTENTS, HISTORY, in_part(HISTORY))  # items without which a history is not whole; "": the run


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a project was pulled. All times are the server's, UTC."""

    watermark: dt.datetime | None = None  # everything that moved before this instant is held
    walk_started_at: dt.datetime | None = None  # a walk over all runs is under way since then
    walk_through: str | None = None  # that walk holds every run created before this (text as the server sent it)
    last_walk_at: dt.datetime | None = None  # start of the last walk that reached its end
    last_pass_at: dt.datetime | None = None  # start of the last good pass of any kind
    last_error: str | None = None  # why the last pass failed; None after a good one
    last_error_at: dt.datetime | None = None
    runs_upstream: int | None = None  # runs in the project by the server's count, at the last good pass
    surplus: int = 0  # runs upstream minus runs held when the last walk ended; not 0 where counts hide something
    distrusts_updates: bool | None = None  # `updatedAt` was seen not to tell what moved; the next walk asks again
    wanted: str | None = None  # digest of what of each run was wanted when the last walk began


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be taken, in the server's words."""

    run_id: str
    reason: str
    item: str = ""  # what of the run: "file NAME", "history", "console", …; empty for the run itself


class OpenFailure(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier failure that no success has ended yet."""

    attempts: int
    next_at: dt.datetime  # UTC; not tried again before
    quarantined: bool  # not tried again until a person asks for it

    def is_due(self, now: dt.datetime, *, retry_quarantined: bool) -> bool:
        """Whether to try again now.

        A wait that is longer than any was begun by a wall clock that was ahead, and has been set right since.
        """
        waits = now < self.next_at <= now + LONGEST_WAIT
        return retry_quarantined or not (self.quarantined or waits)


FIRST_WAIT_S = 300.0
LONGEST_WAIT = dt.timedelta(days=1)  # before an item that failed is tried again
SOON_ATTEMPTS = 3  # so many times an item is tried again with the very next pass
MOST_ATTEMPTS = 10  # then it is quarantined


def next_attempt(attempts: int, now: dt.datetime) -> dt.datetime:
    """When to try again what failed so many times: the next passes, then after five minutes, doubling, up to a day."""
    if attempts <= SOON_ATTEMPTS:
        return now
    before, longest_s = attempts - SOON_ATTEMPTS - 1, LONGEST_WAIT.total_seconds()
    return now + dt.timedelta(seconds=backoff_s(before, first_s=FIRST_WAIT_S, longest_s=longest_s))


class HeldRun(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake holds of one run, as far as a plan needs it."""

    fingerprint: str
    gone: bool
    state: str | None = None
    heartbeat: str | None = None  # as the server wrote it
    updated: str | None = None  # `updatedAt` as the server wrote it
    storage_id: str | None = None
    created_at: dt.datetime | None = None  # UTC


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one commit writes for one project."""

    key: ProjectKey
    at: dt.datetime  # UTC; becomes `synced_at` of what is written
    runs: tuple[RunRecord, ...] = ()  # new or changed
    new: frozenset[str] = frozenset()  # run ids of which the lake holds nothing, so that nothing is looked for
    gone: tuple[str, ...] = ()  # run ids that the server confirmed it no longer has
    failed: tuple[Failure, ...] = ()
    recovered: tuple[str, ...] = ()  # run ids that failed as a whole before, and did not now
    settled: tuple[tuple[str, str], ...] = ()  # run id and item of failures that are over
    project: ProjectRecord | None = None
    sweeps: tuple[SweepRecord, ...] = ()
    gone_sweeps: tuple[str, ...] = ()  # sweep ids that a whole listing no longer holds
    source: SourceState | None = None
    logs: tuple[OfflineLog, ...] = ()  # of the SDK's, as far as they are committed with this

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return self.source is None and self.is_progress

    @property
    def is_progress(self) -> bool:
        """Whether there is nothing to commit but how far the project was pulled."""
        return not (self.runs or self.gone or self.failed or self.recovered or self.settled or self.project
                    or self.sweeps or self.gone_sweeps or self.logs)  # fmt: skip
