"""Once a second: is everybody alive, did the clock jump, and what are the service manager and `status.json` to be told.

The watchdog hears from us only while the event loop turns and no worker is stuck, so that a daemon that hangs is
ended and started anew by its service manager.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import os
from typing import Literal

import anyio
import anyio.to_thread
import msgspec

from mirror.api import Spent
from mirror.daemon.clock import Clock
from mirror.daemon.events import Event
from mirror.daemon.logs import Log
from mirror.daemon.notify import Notifier
from mirror.daemon.status_file import DaemonStatus, SourceStatus, WorkerStatus, write_status
from mirror.daemon.term import Term
from mirror.layout import Home
from mirror.outbox import OutboxReader

BEAT_S = 1.0
TELL_S = 5.0  # the longest time between two looks at the backlog
JUMP_S = 30.0  # the wall clock left the monotonic one by more than this


class Beat:
    """Looks at the term that is on.

    Args:
        home: where `status.json` is.
        log: for what is seen.
        notifier: the service manager.
        clock: the time.
    """

    def __init__(self, home: Home, log: Log, notifier: Notifier, clock: Clock) -> None:
        self.term: Term | None = None
        self.config_error: str | None = None
        self.is_stopping = False
        self._home = home
        self._log = log
        self._notifier = notifier
        self._clock = clock
        self._outbox = OutboxReader(home)
        self._since = _naive(self._clock.utc())
        self._past = Spent(graphql_requests=0, transfer_requests=0, retries=0, bytes_down=0, bytes_up=0)
        self._told: DaemonStatus | None = None
        self._told_at = 0.0
        self._stuck: set[str] = set()

    def ended(self, term: Term) -> None:
        """A term is over; what it spent still counts."""
        spent = term.spent
        fields = Spent.__struct_fields__
        self._past = Spent(**{name: getattr(self._past, name) + getattr(spent, name) for name in fields})
        self.term = None

    async def run(self) -> None:
        """Until cancelled."""
        wall, mono = self._clock.utc(), self._clock.now()
        pinged = -math.inf
        while True:
            if self.term is not None:
                self._look_for_stuck(self.term)
                self.term.look_at_clock()
            watchdog_s = self._notifier.watchdog_s
            if watchdog_s is not None and not self._stuck and self._clock.now() - pinged >= watchdog_s / 4:
                self._notifier.tell(WATCHDOG=1)
                pinged = self._clock.now()
            await self.tell()
            await anyio.sleep(BEAT_S if watchdog_s is None else min(BEAT_S, watchdog_s / 4))
            before, wall, mono_before, mono = wall, self._clock.utc(), mono, self._clock.now()
            jump_s = (wall - before).total_seconds() - (mono - mono_before)
            if abs(jump_s) > JUMP_S:
                self._log.info(Event.CLOCK_JUMPED, seconds=round(jump_s))
                if self.term is not None:
                    self.term.woke_up()

    async def tell(self, *, stopped: bool = False) -> None:
        """Write `status.json` and tell the service manager, if there is news or it is time."""
        status = self._status("stopped" if stopped else None)
        is_news = self._told is None or _news(status) != _news(self._told)
        if not is_news and self._clock.now() - self._told_at < TELL_S:
            return
        with contextlib.suppress(Exception):  # a full disk is for the workers to say; what is shown is only old then
            counts = await anyio.to_thread.run_sync(self._outbox.counts)
            status = msgspec.structs.replace(
                status,
                waiting=counts["new"] + counts["claimed"],
                needs_person=counts["conflict"] + counts["dead"],
            )
            await anyio.to_thread.run_sync(write_status, self._home, status)
        self._notifier.tell(STATUS=sentence(status))
        self._told, self._told_at = status, self._clock.now()

    def _look_for_stuck(self, term: Term) -> None:
        limit_s = term.world.config.daemon.stuck_after_minutes * 60
        for pulse in term.pulses:
            if (stuck_s := pulse.stuck_s()) <= limit_s:
                self._stuck.discard(pulse.name)
            elif pulse.name not in self._stuck:
                self._stuck.add(pulse.name)
                self._log.alarm(Event.WORKER_STUCK, worker=pulse.name, seconds=round(stuck_s))

    def _status(self, state: Literal["stopped"] | None) -> DaemonStatus:
        term, told = self.term, self._told
        line = None if term is None else term.world.line
        online: Literal["online", "offline"] = "online" if line is None or line.is_up else "offline"
        spent = None if term is None else term.spent
        return DaemonStatus(
            pid=os.getpid(),
            since=self._since,
            updated_at=_naive(self._clock.utc()),
            state=state or ("stopping" if self.is_stopping else online),
            offline_since=None if line is None or line.since is None else _naive(line.since),
            offline_reason=None if line is None else line.reason,
            config_error=self.config_error,
            workers=[] if term is None else [self._worker(term, index) for index in range(len(term.pulses))],
            sources=[] if term is None else _sources(term),
            waiting=0 if told is None else told.waiting,
            needs_person=0 if told is None else told.needs_person,
            requests=self._past.graphql_requests + (spent.graphql_requests if spent else 0),
            bytes_down=self._past.bytes_down + (spent.bytes_down if spent else 0),
            bytes_up=self._past.bytes_up + (spent.bytes_up if spent else 0),
        )

    def _worker(self, term: Term, index: int) -> WorkerStatus:
        pulse = term.pulses[index]
        state = "stuck" if pulse.name in self._stuck else pulse.state
        return WorkerStatus(name=pulse.name, state=state, crashes=pulse.crashes, last_error=pulse.last_error)


def sentence(status: DaemonStatus) -> str:
    """The state in one line, for `systemctl status`."""
    parts: list[str] = [status.state]
    if status.state == "offline":
        parts = [f"offline since {status.offline_since:%Y-%m-%d %H:%M} UTC: {status.offline_reason}"]
    good = status.last_good_at
    parts.append(f"last good pull {good:%Y-%m-%d %H:%M} UTC" if good else "no good pull yet")
    parts.append(f"{status.waiting} waiting to be delivered")
    if status.needs_person:
        parts.append(f"{status.needs_person} waiting for a person")
    if status.config_error:
        parts.append("the edited configuration is wrong, the one before is in use")
    return "; ".join(parts)


def _sources(term: Term) -> list[SourceStatus]:
    now, wall = term.world.now(), term.world.utc()
    found = []
    for path, state in term.pull.sources.items():
        at = term.pull.timetable.next_at(path)
        next_at = None if at is None or at <= now else _naive(wall + dt.timedelta(seconds=round(at - now)))
        found.append(
            SourceStatus(
                path=path,
                active=state.active,
                last_good_at=None if state.last_good_at is None else _naive(state.last_good_at),
                next_at=next_at,
                last_error=state.last_error,
                last_error_at=None if state.last_error_at is None else _naive(state.last_error_at),
            )
        )
    return found


def _news(status: DaemonStatus) -> object:
    """What is worth telling at once."""
    sources = [(one.path, one.last_good_at, one.last_error) for one in status.sources]
    return status.state, status.config_error, status.workers, sources


def _naive(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(tzinfo=None)
