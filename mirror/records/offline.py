"""A log of the SDK's that was added: whose it is, and how far it is in the lake."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.records.addresses import RunPath


class OfflineLog(msgspec.Struct, frozen=True, kw_only=True):
    """One `.wandb` file, by what is in it: a copy of it is the same log."""

    log: str  # SHA-256, hex, of its beginning up to the first record of a run
    entity: str
    project: str
    run_id: str
    source: str  # where it was found
    bytes: int = 0  # of the file that are in the lake
    rows: int = 0  # of its history that are in the lake
    console_lines: int = 0  # before the lines of this log
    event_rows: int = 0  # of system metrics, before those of this log
    first_step: int = 0  # what is added to its steps, where it goes on from an earlier log of its run
    damaged: int = 0  # stretches of it that could not be read
    damage: str | None = None  # the first of them, in words
    ended: bool = False  # nothing more comes: it says so, or nobody has written it for long
    exit_code: int | None = None  # None: the log does not say
    started_at: dt.datetime | None = None  # UTC
    added_at: dt.datetime  # UTC
    grown_at: dt.datetime | None = None  # UTC; when it was last seen to grow
    delivered_at: dt.datetime | None = None  # UTC; all of it is upstream

    @property
    def run_path(self) -> RunPath:
        """Entity, project, run id."""
        return RunPath(self.entity, self.project, self.run_id)
