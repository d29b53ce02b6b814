"""Once a second: is everybody alive, did the clock jump, and what are the service manager and `status.json` to be told.

The watchdog hears from us only while the event loop turns and no worker is stuck, so that a daemon that hangs is
ended and started anew by its service manager.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Literal

import anyio
import anyio.to_thread

from mirror.api.limits.spent import Spent
from mirror.config import HealthSettings
from mirror.daemon.events import Event
from mirror.daemon.logs import Log
from mirror.daemon.notify import Notifier
from mirror.daemon.schedule.clock import Clock
from mirror.daemon.session import DaemonSession
from mirror.daemon.status.counters import Counters
from mirror.daemon.status.health import Finding, FindingName, daemon_vitals, judge
from mirror.daemon.status.report import (
    HomeFigures,
    Looker,
    cleaned,
    is_news,
    sentence,
    status_now,
    together,
    without_zone,
)
from mirror.daemon.status.status_file import DaemonStatus, State, write_status
from mirror.daemon.watch_folder.worker import WatchWorker
from mirror.errors import StoreError
from mirror.layout import Home

HEARTBEAT_S = 1.0
TELL_S = 5.0  # the longest time between two looks at the backlog
JUMP_S = 30.0  # the wall clock left the monotonic one by more than this


class Heartbeat:
    """Looks at the session that is on.

    Args:
        home: where `status.json` is.
        log: for what is seen.
        notifier: the service manager.
        clock: the time.
        gateway_trouble: why nobody is served though it is wanted; None: all is well.
    """

    def __init__(
        self,
        home: Home,
        log: Log,
        notifier: Notifier,
        clock: Clock,
        gateway_trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.session: DaemonSession | None = None
        self.config_error: str | None = None
        self.is_stopping = False
        self.watching: WatchWorker | None = None  # while another process has the lease of a shared lake
        self._lease: tuple[str, State] | None = None  # who has that of a shared lake, and how it is without it
        self._home = home
        self._log = log
        self._notifier = notifier
        self._clock = clock
        self._gateway_trouble = gateway_trouble
        self._looker = Looker(home)
        self._seen = HomeFigures()
        self._since = clock.utc()
        self.counters = Counters()
        self._past = Spent(graphql_requests=0, transfer_requests=0, retries=0, bytes_down=0, bytes_up=0)
        self._told: DaemonStatus | None = None  # as it stands, for comparing
        self._told_at = 0.0
        self._health = HealthSettings()
        self._found: set[FindingName] = set()
        self.said: DaemonStatus | None = None  # the same for others: without secrets
        self._stuck: set[str] = set()

    def leased(self, whose: str, without: State) -> None:
        """Who has the lease of a shared lake: "this process", or why it is another; and the state between two terms."""
        self._lease = whose, without

    def ended(self, session: DaemonSession) -> None:
        """A session is over; what it spent still counts."""
        self._past = together(self._past, session.spent)
        self.session = None

    async def run(self) -> None:
        """Until cancelled."""
        wall, mono = self._clock.utc(), self._clock.now()
        pinged = -math.inf
        while True:
            if self.session is not None:
                self._look_for_stuck(self.session)
                self.session.context.scheduler.wakeup()  # the wall clock may have stepped
            watchdog_s = self._notifier.watchdog_s
            if watchdog_s is not None and not self._stuck and self._clock.now() - pinged >= watchdog_s / 4:
                self._notifier.tell(WATCHDOG=1)
                pinged = self._clock.now()
            await self.tell()
            await self._rest(HEARTBEAT_S if watchdog_s is None else min(HEARTBEAT_S, watchdog_s / 4))
            before, wall, mono_before, mono = wall, self._clock.utc(), mono, self._clock.now()
            jump_s = (wall - before).total_seconds() - (mono - mono_before)
            if abs(jump_s) > JUMP_S:
                self._log.info(Event.CLOCK_JUMPED, seconds=round(jump_s))
                if self.session is not None:
                    self.session.woke_up()

    async def _rest(self, seconds: float) -> None:
        """Wait; when it was much longer, the whole process stood still, and no worker is to blame for it."""
        since = self._clock.now()
        await anyio.sleep(seconds)
        stood_s = self._clock.now() - since - seconds
        if stood_s > JUMP_S and self.session is not None:
            for activity in self.session.activities:
                activity.forgive(stood_s)

    async def tell(self, *, stopped: bool = False) -> None:
        """Write `status.json` and tell the service manager, if there is news or it is time."""
        if self.session is None and not stopped and self._lease is None:
            return  # between two configurations: what was said still holds
        status = self._status("stopped" if stopped else None)
        if not is_news(status, self._told) and self._clock.now() - self._told_at < TELL_S:
            return
        with contextlib.suppress(StoreError, OSError):  # for the workers to say; what is shown is only old then
            self._seen = await anyio.to_thread.run_sync(self._looker.look, self._clock.now())
        status = self._status("stopped" if stopped else None)
        self.said = cleaned(status, self._log.redactor.clean)
        with contextlib.suppress(StoreError, OSError):  # a full disk
            await anyio.to_thread.run_sync(write_status, self._home, self.said)
        findings = self.findings()
        self._tell_findings(findings)
        self._notifier.tell(STATUS=sentence(self.said, len(findings)))
        self._told, self._told_at = status, self._clock.now()

    def findings(self) -> list[Finding]:
        """What of what was said last waits for a person now."""
        if self.session is not None:
            self._health = self.session.context.config.health
        return (
            [] if self.said is None else judge(daemon_vitals(self.said, without_zone(self._clock.utc())), self._health)
        )

    def _tell_findings(self, findings: list[Finding]) -> None:
        if self.is_stopping:
            return
        for one in findings:
            if one.name not in self._found:
                self._log.warning(Event.FINDING, finding=one.name, reason=one.sentence, hint=one.hint)
        found = {one.name for one in findings}
        for name in sorted(self._found - found):
            self._log.info(Event.FINDING_OVER, finding=name)
        self._found = found

    def _look_for_stuck(self, session: DaemonSession) -> None:
        limit_s = session.context.config.daemon.stuck_after_minutes * 60
        for activity in session.activities:
            if (stuck_s := activity.stuck_s()) <= limit_s:
                self._stuck.discard(activity.name)
            elif activity.name not in self._stuck:
                self._stuck.add(activity.name)
                self._log.alarm(Event.WORKER_STUCK, worker=activity.name, seconds=round(stuck_s))

    def _status(self, state: Literal["stopped"] | None) -> DaemonStatus:
        return status_now(
            session=self.session,
            counters=self.counters,
            seen=self._seen,
            past=self._past,
            stuck=self._stuck,
            since=self._since,
            now=self._clock.utc(),
            config_error=self.config_error,
            gateway_error=self._gateway_trouble(),
            ending=state or ("stopping" if self.is_stopping else None),
            lease=self._lease,
            watching=self.watching,
        )
