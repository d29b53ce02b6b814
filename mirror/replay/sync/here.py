"""What the mirror has of runs that are to be brought upstream, read for those together that are delivered together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from mirror.errors import RefusedByServer
from mirror.offline.copies import copy_of, identify
from mirror.offline.log.run_log import BranchPoint
from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.contents import FileRow
from mirror.records.offline import OfflineLog
from mirror.store.engine.lake import Lake
from mirror.store.read.files import files_from_here
from mirror.store.read.offline import logs_of_runs, rows_held_of
from mirror.store.read.runs import Documents, LightRun, read_runs

AT_ONCE = 16  # runs, whose documents are in memory

LogOfRun = tuple[RunPath, str]  # and the digest of the log


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What the mirror has of a run, as one of its logs is delivered."""

    row: OfflineLog
    before: int  # rows of the run that were there before the log
    branch: BranchPoint | None  # where it begins, if that is a step of another run, or of the same
    is_last: bool  # whether no other log of the run waits
    light: LightRun
    documents: Documents
    files: tuple[FileRow, ...]

    @property
    def is_fork(self) -> bool:
        """Whether it begins at a step of another run."""
        return self.branch is not None and self.branch.run != self.row.run_id


def read_here(lake: Lake, wanted: Sequence[LogOfRun]) -> Mapping[LogOfRun, Here | None]:
    """What is here of some runs; None: the run, or the copy of the log, is not.

    Raises:
        StoreError: the lake cannot be read.
    """
    by_project: dict[ProjectKey, list[LogOfRun]] = {}
    for path, log in wanted:
        by_project.setdefault(path.key, []).append((path, log))
    found: dict[LogOfRun, Here | None] = {}
    for key, some in by_project.items():
        ids = list({path.run_id for path, _ in some})
        logs, runs = logs_of_runs(lake, key, ids), read_runs(lake, key, ids)
        rows, files = rows_held_of(lake, key, ids), files_from_here(lake, key, ids)
        for path, log in some:
            run_id = path.run_id
            found[path, log] = _one(
                lake, log, logs.get(run_id, []), runs.get(run_id), rows.get(run_id, 0), files.get(run_id, [])
            )
    return found


def _one(
    lake: Lake,
    log: str,
    logs: Sequence[OfflineLog],
    held: tuple[LightRun, Documents] | None,
    rows: int,
    files: Sequence[FileRow],
) -> Here | None:
    place = next((number for number, one in enumerate(logs) if one.log == log), None)
    copy = copy_of(lake.home, log)
    if place is None or held is None or not copy.exists():
        return None
    row, names = logs[place], identify(copy)
    return Here(
        row=row,
        before=max(0, rows - row.rows - sum(one.rows for one in logs[place + 1 :])),
        branch=names[1].branch if names is not None else None,
        is_last=all(one.log == log or one.delivered_at is not None for one in logs),
        light=held[0],
        documents=held[1],
        files=tuple(files),
    )


def whole(here: Here | None) -> Here:
    """What is here, where it is.

    Raises:
        RefusedByServer: the log is no longer here.
    """
    if here is None:
        raise RefusedByServer("the log of the run is not in this home; `wandb-mirror add` takes it in once more")
    return here
