"""`status.json`: what the daemon last said about itself. Written whole or not at all, read by `wandb-mirror status`."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from mirror.durable import write_replace
from mirror.layout import Home
from mirror.locks import holder_of


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker."""

    name: str
    state: str  # "idle", "busy", "restarting" or "stuck"
    crashes: int  # since the configuration was loaded
    last_error: str | None


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One configured source."""

    path: str
    active: bool  # it has runs that have not ended
    last_good_at: dt.datetime | None  # UTC without a zone, as all times here
    next_at: dt.datetime | None  # None: due now, or when cron says
    last_error: str | None
    last_error_at: dt.datetime | None


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    pid: int
    since: dt.datetime
    updated_at: dt.datetime
    state: Literal["online", "offline", "stopping", "stopped"]
    offline_since: dt.datetime | None
    offline_reason: str | None
    config_error: str | None  # why an edited configuration was refused; the one before is in use
    workers: list[WorkerStatus]
    sources: list[SourceStatus]
    waiting: int  # operations in the outbox that are to be delivered
    needs_person: int  # operations in conflict or refused
    requests: int  # GraphQL requests since the start
    bytes_down: int
    bytes_up: int

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


def read_status(home: Home) -> DaemonStatus | None:
    """What the daemon of this home says; None when no daemon runs, for then the file is history."""
    if holder_of(home.daemon_lock, home.daemon_holder) is None:
        return None
    try:
        return msgspec.json.decode(home.status.read_bytes(), type=DaemonStatus)
    except (OSError, msgspec.DecodeError):
        return None
