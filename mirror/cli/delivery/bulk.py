"""An edit of all runs that a filter keeps: rehearsed first, so that a person agrees to what is known, then queued.

Each run's edit is an entry of its own, durable when it is queued. So a command that is cut short and typed again goes
on: what is queued already is so already.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from mirror.cli.delivery.wishes import Wishes, queue_wishes, wanted_text
from mirror.clock import utc_now
from mirror.errors import CommError
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.operations import Entry, Operation, touched
from mirror.run.pending.local import LocalMirror
from mirror.run.run import Run
from mirror.run.runs import Runs
from mirror.texts.amounts import plural

PAGE = 200  # runs read at a time
NAMED = 3  # runs that are named of those that do not take a change


class Rehearsal(LocalMirror):
    """A home in which nothing is queued: what would be is noted.

    Args:
        home: the mirror's directory.
    """

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.noted: list[Operation] = []

    def enqueue(self, run: RunPath, storage_id: str | None, operation: Operation) -> Entry:
        """Note an operation."""
        self.noted.append(operation)
        entity, project, run_id = run
        return Entry(
            id="", entity=entity, project=project, run_id=run_id, storage_id=storage_id, operation=operation,
            created_at=utc_now(),
        )  # fmt: skip


class BulkChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit would do to the runs that fit."""

    fitting: int  # runs
    changing: dict[RunPath, None]  # in order
    touched: Counter[str]  # runs, by what of them would change
    refusing: dict[RunPath, str]  # runs that do not take it, with the reason

    def lines(self, wishes: Wishes) -> list[str]:
        """The same for a person."""
        if not self.fitting:
            return ["no run fits"]
        lines = [f"{len(self.changing):,} of {plural(self.fitting, 'run')} that fit would change"]
        wide = max(map(len, self.touched), default=0)
        lines += [
            f"  {name:{wide}}  {plural(count, 'run')}  {wanted_text(wishes, name)}"
            for name, count in sorted(self.touched.items())
        ]
        if so_already := self.fitting - len(self.changing) - len(self.refusing):
            lines.append(f"  {plural(so_already, 'run is', 'runs are')} so already")
        lines += [f"  left out: {path}: {why}" for path, why in list(self.refusing.items())[:NAMED]]
        if (more := len(self.refusing) - NAMED) > 0:
            lines.append(f"  left out: {more:,} more")
        return lines


def fitting_runs(local: LocalMirror, filters: Mapping[str, Any], project: str | None) -> Iterator[Run]:
    """The runs that a filter keeps and that the server still has, project by project, the oldest first.

    Args:
        local: the mirror.
        filters: W&B's Mongo-style object.
        project: `ENTITY/PROJECT`, globs allowed; None: all.

    Raises:
        CommError: the filter is wrong.
        NotMirrored: nothing was pulled into this home yet.
    """
    for entity, name in local.projects():
        if project is None or fnmatch.fnmatchcase(f"{entity}/{name}", project):
            yield from Runs(local, entity, name, filters, per_page=PAGE)


def rehearse(home: Home, filters: Mapping[str, Any], project: str | None, wishes: Wishes) -> BulkChange:
    """What an edit would do; nothing is queued.

    Raises:
        CommError, NotMirrored: as `fitting_runs`.
    """
    local = Rehearsal(home)
    fitting, changing, refusing = 0, dict[RunPath, None](), dict[RunPath, str]()
    counted: Counter[str] = Counter()
    for run in fitting_runs(local, filters, project):
        fitting += 1
        local.noted.clear()
        path = RunPath(run.entity, run.project, run.id)
        try:
            queue_wishes(run, wishes, _unheard)
        except CommError as error:
            refusing[path] = error.message
            continue
        if local.noted:
            changing[path] = None
            counted.update(frozenset[str]().union(*map(touched, local.noted)))
    local.reader.close()
    return BulkChange(fitting=fitting, changing=changing, touched=counted, refusing=refusing)


def queue_all(
    local: LocalMirror, filters: Mapping[str, Any], project: str | None, wishes: Wishes, agreed: Collection[RunPath]
) -> dict[RunPath, str]:
    """Queue the edit of each run that a person agreed to; one that fits no more is left alone.

    Returns:
        Runs that do not take it any more, with the reason.

    Raises:
        HomeUnusable: what was queued before stays.
    """
    refusing: dict[RunPath, str] = {}
    for run in fitting_runs(local, filters, project):
        path = RunPath(run.entity, run.project, run.id)
        if path in agreed:
            try:
                queue_wishes(run, wishes, _unheard)
            except CommError as error:
                refusing[path] = error.message
    return refusing


def _unheard(_remark: str) -> None:
    """Of many runs it is not said which lacks what was to be removed."""
