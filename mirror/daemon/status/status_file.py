"""`status.json`: what the daemon last said about itself. Written whole or not at all, read by `wandb-mirror status`."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from mirror.durable import write_replace
from mirror.layout import Home
from mirror.locks import holder_of
from mirror.store.objects.disk import DiskUse
from mirror.typed import decode

# standby: another process has the lease of the shared lake; lake_away: its database does not answer.
State = Literal["online", "offline", "key_refused", "standby", "lake_away", "stopping", "stopped"]


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker."""

    name: str
    state: str  # "idle", "busy", "restarting" or "stuck"
    crashes: int  # since the configuration was loaded
    last_error: str | None
    doing: str | None = None  # while it is busy or stuck
    since: dt.datetime | None = None  # of that; UTC without a zone
    still_s: float = 0.0  # for how long nothing has come of it: no answer, no bytes, no commit


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One recurring job of the scheduler."""

    name: str  # such as "pull entity/project" and "maintain"
    state: str  # "waiting", "due" (it is done as soon as it can be) or "running"
    next_at: dt.datetime | None  # UTC without a zone; None while it is due or runs


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One configured source."""

    path: str
    active: bool  # it has runs that have not ended
    last_good_at: dt.datetime | None  # UTC without a zone, as all times here
    next_at: dt.datetime | None  # None: due now, or its cron expression never comes
    last_error: str | None
    last_error_at: dt.datetime | None
    due_at: dt.datetime | None = None  # when its pace owes the next good pull; None: nobody promised one
    errors: int = 0  # pulls in which a project of it failed, since the daemon began
    pulling: bool = False  # now

    def lag_s(self, now: dt.datetime) -> float | None:
        """How long ago the last good pull was, seconds; None when there was none."""
        return None if self.last_good_at is None else max(0.0, (now - self.last_good_at).total_seconds())


class WatchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One watch folder; counts are since the configuration was loaded."""

    folder: str  # as configured
    path: str  # entity/project/run, the run as configured
    queued: int  # files that were put into the outbox
    changing: int  # files that differ from what was queued and wait, to stay as they are or for a delivery
    left_out: int  # files that are not uploaded though no glob ignores them
    left_out_reason: str | None  # the first of them, and why
    last_queued: str | None  # its name in the run
    last_queued_at: dt.datetime | None
    last_error: str | None  # why nothing of the folder can be queued; None: the last look went well
    last_error_at: dt.datetime | None


class OfflineFolderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of offline runs; counts are of the last look."""

    folder: str  # as configured
    runs: int  # logs in it that are taken in
    left_out: int  # logs in it that are not
    left_out_reason: str | None  # the first of them, and why
    last_error: str | None  # why it cannot be looked through; None: the last look went well
    last_error_at: dt.datetime | None


class OfflineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that train without a server."""

    following: int = 0  # that have not ended
    added: int = 0  # that were taken in since the configuration was loaded
    last: str | None = None  # the path of the one that grew last
    last_at: dt.datetime | None = None
    last_error: str | None = None  # why one of them cannot be taken in; None: the last look went well
    folders: list[OfflineFolderStatus] = []


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """Operations in the outbox, by state."""

    new: int = 0
    claimed: int = 0
    conflict: int = 0
    dead: int = 0
    aside: int = 0  # files that are no readable entries
    oldest_at: dt.datetime | None = None  # of those that are to be delivered


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    pid: int
    since: dt.datetime
    updated_at: dt.datetime
    state: State
    offline_since: dt.datetime | None  # or since when the key is refused
    offline_reason: str | None
    config_error: str | None  # why an edited configuration was refused; the one before is in use
    workers: list[WorkerStatus]
    sources: list[SourceStatus]
    waiting: int  # operations in the outbox that are to be delivered
    needs_person: int  # operations in conflict or refused
    requests: int  # GraphQL requests since the start
    bytes_down: int
    bytes_up: int
    retries: int = 0  # of GraphQL requests
    transfers: int = 0  # requests for bytes
    pulls_good: int = 0
    pulls_failed: int = 0
    operations: dict[str, int] = {}  # by how each try of a delivery ended
    outbox: Backlog = Backlog()
    quarantined: int = 0  # items given up until a person asks for them
    disk: DiskUse | None = None  # as it was counted some time ago; None before the first time
    disk_free: int | None = None  # bytes left where the home is
    maintained_at: dt.datetime | None = None
    maintenance_error: str | None = None
    watches: list[WatchStatus] = []
    offline: OfflineStatus = OfflineStatus()
    gateway_error: str | None = None  # why it serves nobody though `[serve] listen` asks for it
    lease: str | None = None  # of a shared lake: "this process", or who has it instead
    jobs: list[JobStatus] = []  # those that are due or at work, then the others by their times

    @property
    def last_good_at(self) -> dt.datetime | None:
        """The last good pull of any source."""
        return max((source.last_good_at for source in self.sources if source.last_good_at), default=None)


def write_status(home: Home, status: DaemonStatus) -> None:
    """Replace the file.

    Raises:
        OSError: it is as it was.
    """
    write_replace(home.status, msgspec.json.encode(status))


def read_daemon_status(home: Home) -> DaemonStatus | None:
    """What the daemon of this home says; None when none runs, or it said nothing yet: the file is history then."""
    holder = holder_of(home.daemon_lock, home.daemon_holder)
    if holder is None or (status := _read(home)) is None or status.pid != holder.pid:
        return None
    return status


def read_ended(home: Home) -> DaemonStatus | None:
    """What a daemon said last that ended though nobody stopped it; None when one runs, or none was left like that."""
    status = _read(home)
    if status is None or status.state in ("stopping", "stopped"):
        return None
    return status if holder_of(home.daemon_lock, home.daemon_holder) is None else None


def _read(home: Home) -> DaemonStatus | None:
    try:
        return decode(home.status.read_bytes(), DaemonStatus)
    except (OSError, msgspec.DecodeError):
        return None
