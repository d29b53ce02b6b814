"""What the daemon says about itself: from the session that is on, what was counted, and a look at outbox and disk.

The look is taken now and then and remembered; who asks in between, such as a scrape of `/metrics`, costs no look.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import shutil
import time
from collections.abc import Callable
from typing import Any

import msgspec

from mirror.api.limits.spent import Spent
from mirror.daemon.schedule.scheduler import pull_of
from mirror.daemon.session import DaemonSession
from mirror.daemon.status.counters import Counters
from mirror.daemon.status.status_file import Backlog, DaemonStatus, OfflineStatus, SourceStatus, State, WorkerStatus
from mirror.daemon.watch_folder.worker import WatchWorker
from mirror.layout import Home
from mirror.outbox import OutboxReader
from mirror.store.engine.connection import store_errors
from mirror.store.objects.disk import DiskUse, disk_use
from mirror.typed import convert

DISK_EVERY_S = 10.0  # the shortest time between two counts of the disk's use …
DISK_SHARE = 200  # … and so many times as long as one takes, which for a large home is a second


class HomeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A look at the home."""

    outbox: Backlog = Backlog()
    disk: DiskUse | None = None
    disk_free: int | None = None  # bytes


class Looker:
    """Looks at a home; call it in a thread.

    Args:
        home: whose.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._outbox = OutboxReader(home)
        self._disk: DiskUse | None = None
        self._count_at = -math.inf  # monotonic seconds

    def look(self, now: float) -> HomeFigures:
        """The outbox now; the disk as it was some time ago.

        Args:
            now: monotonic seconds.

        Raises:
            StoreError: a folder cannot be read.
        """
        with store_errors(self._home):
            free = shutil.disk_usage(self._home.root).free
            if now >= self._count_at:
                began = time.perf_counter()
                self._disk = disk_use(self._home)
                self._count_at = now + max(DISK_EVERY_S, DISK_SHARE * (time.perf_counter() - began))
            counts = self._outbox.counts()
            oldest = self._outbox.oldest() if counts["new"] or counts["claimed"] else None
            outbox = Backlog(
                **{str(state): count for state, count in counts.items()},
                aside=len(self._outbox.asides()),
                oldest_at=None if oldest is None else without_zone(oldest.entry.created_at),
            )
        return HomeFigures(outbox=outbox, disk=self._disk, disk_free=free)


def status_now(
    *,
    session: DaemonSession | None,
    counters: Counters,
    seen: HomeFigures,
    past: Spent,
    stuck: set[str],
    since: dt.datetime,
    now: dt.datetime,
    config_error: str | None,
    gateway_error: str | None,
    ending: State | None,
    lease: tuple[str, State] | None = None,
    watching: WatchWorker | None = None,
) -> DaemonStatus:
    """Everything in one value.

    Args:
        session: the one that is on; None between two of them.
        counters: of the process.
        seen: the last look.
        past: what the terms before this one spent.
        stuck: names of workers that do not move.
        since: when the daemon began, UTC.
        now: UTC.
        config_error: why an edited configuration was refused.
        gateway_error: why nobody is served though it is wanted.
        ending: `stopping` or `stopped`; None while it goes on.
        lease: who has that of a shared lake, and the state without it; None: the lake is the home's own.
        watching: what watches folders without a session.
    """
    connection = None if session is None else session.context.connection
    watch = watching if session is None else session.watch
    spent = past if session is None else together(past, session.spent)
    return DaemonStatus(
        pid=os.getpid(),
        since=without_zone(since),
        updated_at=without_zone(now),
        state=ending or (lease[1] if session is None and lease is not None else _state(session)),
        lease=None if lease is None else lease[0],
        offline_since=None if connection is None or connection.since is None else without_zone(connection.since),
        offline_reason=None if connection is None else connection.reason,
        config_error=config_error,
        gateway_error=gateway_error,
        workers=[] if session is None else _workers(session, stuck, now),
        sources=[] if session is None else _sources(session),
        watches=[] if watch is None else watch.statuses,
        offline=OfflineStatus() if session is None else session.offline.status,
        waiting=seen.outbox.new + seen.outbox.claimed,
        needs_person=seen.outbox.conflict + seen.outbox.dead,
        requests=spent.graphql_requests,
        bytes_down=spent.bytes_down,
        bytes_up=spent.bytes_up,
        retries=spent.retries,
        transfers=spent.transfer_requests,
        pulls_good=counters.pulls_good,
        pulls_failed=counters.pulls_failed,
        operations=dict(sorted(counters.operations.items())),
        outbox=seen.outbox,
        quarantined=counters.quarantined,
        disk=seen.disk,
        disk_free=seen.disk_free,
        maintained_at=None if counters.maintained_at is None else without_zone(counters.maintained_at),
        maintenance_error=counters.maintenance_error,
        jobs=[] if session is None else session.context.scheduler.statuses,
    )


def together(one: Spent, other: Spent) -> Spent:
    """The sum."""
    return Spent(**{name: getattr(one, name) + getattr(other, name) for name in Spent.__struct_fields__})


def cleaned(status: DaemonStatus, clean: Callable[[Any], Any]) -> DaemonStatus:
    """The same without secrets in its texts, which may be a server's words."""
    return convert(clean(msgspec.to_builtins(status)), DaemonStatus)


def sentence(status: DaemonStatus, findings: int = 0) -> str:
    """The state in one line, for `systemctl status`."""
    parts: list[str] = [status.state]
    if status.offline_since is not None:
        what = "the key is refused" if status.state == "key_refused" else status.state
        parts = [f"{what} since {status.offline_since:%Y-%m-%d %H:%M} UTC: {status.offline_reason}"]
    good = status.last_good_at
    parts.append(f"last good pull {good:%Y-%m-%d %H:%M} UTC" if good else "no good pull yet")
    parts.append(f"{status.waiting} waiting to be delivered")
    if status.needs_person:
        parts.append(f"{status.needs_person} waiting for a person")
    if status.config_error:
        parts.append("the edited configuration is wrong, the one before is in use")
    if findings:
        parts.append("`wandb-mirror status` says what to do")
    return "; ".join(parts)


def is_news(status: DaemonStatus, told: DaemonStatus | None) -> bool:
    """Whether something is worth telling at once."""
    return told is None or _headlines(status) != _headlines(told)


def without_zone(moment: dt.datetime) -> dt.datetime:
    """UTC without a zone, as all times of a status."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None)


def _headlines(status: DaemonStatus) -> object:
    sources = [(one.path, one.last_good_at, one.last_error) for one in status.sources]
    workers = [(one.name, one.state, one.crashes, one.last_error, one.doing) for one in status.workers]
    return status.state, status.lease, status.config_error, workers, sources, status.maintenance_error


def _state(session: DaemonSession | None) -> State:
    if session is None or session.context.connection.is_up:
        return "online"
    return "key_refused" if session.context.connection.is_refused else "offline"


def _workers(session: DaemonSession, stuck: set[str], now: dt.datetime) -> list[WorkerStatus]:
    return [
        WorkerStatus(
            name=activity.name,
            state="stuck" if activity.name in stuck else activity.state,
            crashes=activity.crashes,
            last_error=activity.last_error,
            doing=activity.doing,
            since=without_zone(now - dt.timedelta(seconds=activity.busy_s)) if activity.doing is not None else None,
            still_s=round(activity.stuck_s(), 1),
        )
        for activity in session.activities
    ]


def _sources(session: DaemonSession) -> list[SourceStatus]:
    found = []
    for path, state in session.source_states.sources.items():
        job = session.context.scheduler.status(pull_of(path))
        found.append(
            SourceStatus(
                path=path,
                active=state.active,
                last_good_at=None if state.last_good_at is None else without_zone(state.last_good_at),
                next_at=job.next_at,
                last_error=state.last_error,
                last_error_at=None if state.last_error_at is None else without_zone(state.last_error_at),
                due_at=None if state.due_at is None else without_zone(state.due_at),
                errors=session.context.counters.source_errors[path],
                pulling=job.state == "running",
            )
        )
    return found
