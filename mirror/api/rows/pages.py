"""What a listing answers: frozen pages of records, and the rows that could not become one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec

from mirror.api.rows.listed import ListedContents
from mirror.records.projects import ProjectRecord, SweepRecord
from mirror.records.runs import RunRecord


class BadRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that the server listed in a shape that W&B does not have; it never spoils its page."""

    run_id: str | None  # W&B's `name`, when that much could be read
    storage_id: str | None  # W&B's `id`, when that much could be read
    reason: str  # one line: what was wrong with it


class BadArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A version that the server answered in a shape that W&B does not have, or not at all."""

    artifact_id: str
    reason: str  # one line: what was wrong with it


class RunCursor(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a listing of runs, without the run."""

    cursor: str | None  # goes into `after` to continue behind this run
    run_id: str | None  # None when the server cannot even name the run
    storage_id: str | None  # None when the server cannot even name the run
    created_at: dt.datetime | None = None  # UTC


class SweepsPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a project's sweeps."""

    sweeps: tuple[SweepRecord, ...]  # in the server's order
    bad: tuple[str, ...]  # one line for each sweep that could not be read
    after: str | None  # cursor to continue from
    has_next: bool  # whether more sweeps follow


class RunsPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a project's runs, and what was asked along with it."""

    project: ProjectRecord  # the project itself; its run_count is `total`
    runs: tuple[RunRecord, ...]  # in the server's order; a walk may see a run twice, its storage_id tells
    bad: tuple[BadRun, ...]  # runs on this page that could not be read
    empty: int = 0  # places on this page without a run
    counted: int | None  # runs that match `count_filters`; None when not asked
    total: int | None  # runs in the project; None when not asked
    after: str | None  # cursor of the last edge: the next page continues from it
    has_next: bool  # whether more runs follow
    is_cut: bool = False  # more runs follow, and no place is given to continue from
    sweeps: SweepsPage | None  # first page of sweeps; None when not asked
    contents: Mapping[str, ListedContents | BadRun] = {}  # by run id, for every run in `runs`; empty when not asked
    server_time: dt.datetime | None  # UTC, the answer's Date: a watermark must not trust the local clock
    seconds: float = 0.0  # that the server took, without waits for its limits
