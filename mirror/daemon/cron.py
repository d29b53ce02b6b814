"""Cron expressions, read by APScheduler's triggers against the wall clock; their time only rings a bell.

Its scheduler is not used: it reads a wall clock of its own and sleeps by the monotonic one, which stands still while
the machine does. The daemon's beat looks every second instead. What was missed meanwhile comes once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from apscheduler.triggers.cron import CronTrigger

from mirror.config import SourceSettings
from mirror.errors import ConfigError

JITTER_S = 15  # added at most, so that mirrors do not all ask on the minute


def cron_trigger(source: SourceSettings) -> Any:
    """When a source with `poll_cron` is pulled.

    Raises:
        ConfigError: the expression is not one.
    """
    try:
        trigger = CronTrigger.from_crontab(source.poll_cron)
    except ValueError as error:
        raise ConfigError(
            f"poll_cron of {source.path} is no cron expression: {source.poll_cron!r} ({error})",
            hint='five fields: minute, hour, day of the month, month, day of the week, such as "*/30 * * * *"',
        ) from error
    trigger.jitter = JITTER_S
    return trigger


class CronClock:
    """Rings for sources with `poll_cron`.

    Args:
        sources: all of them.
        ring: called with the path of a source whose time has come.
        utc: the wall clock.
    """

    def __init__(
        self, sources: Sequence[SourceSettings], ring: Callable[[str], None], utc: Callable[[], dt.datetime]
    ) -> None:
        self._ring = ring
        self._utc = utc
        self._triggers = {source.path: cron_trigger(source) for source in sources if source.poll_cron}
        self._due_at = {path: self._next(path) for path in self._triggers}

    def look(self) -> None:
        """Ring for what is due."""
        now = self._utc()
        for path, at in self._due_at.items():
            if at is not None and at <= now:
                self._due_at[path] = self._next(path)
                self._ring(path)

    def look_again(self) -> None:
        """The same after a jump: a clock that was set back must not silence a source until the old time has come."""
        self.look()
        for path, at in self._due_at.items():
            fresh = self._next(path)
            if at is not None and fresh is not None:
                self._due_at[path] = min(at, fresh)

    def _next(self, path: str) -> dt.datetime | None:
        """From now on; None: never again."""
        found: dt.datetime | None = self._triggers[path].get_next_fire_time(None, self._utc())
        return found
