"""Cron expressions by APScheduler: a job only rings a bell; the work runs in the daemon's task group.

APScheduler reads the wall clock and sleeps by the monotonic one, which stands still while the machine does: `look`
makes it read the wall clock again. What was missed meanwhile comes once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from mirror.config import SourceSettings
from mirror.errors import ConfigError

JITTER_S = 15  # added at most, so that mirrors do not all ask on the minute
# Its own lines would not be of the closed list; a job of ours cannot fail.
logging.getLogger("apscheduler").addHandler(logging.NullHandler())


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
    """A context manager that rings for sources with `poll_cron`.

    Args:
        sources: all of them.
        ring: called in the event loop with the path of a source whose time has come.
    """

    def __init__(self, sources: Sequence[SourceSettings], ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._triggers = {source.path: cron_trigger(source) for source in sources if source.poll_cron}
        self._scheduler: Any = None

    def __enter__(self) -> Self:
        """Start, if there is anything to do; call it in the event loop."""
        if self._triggers:
            defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
            self._scheduler = AsyncIOScheduler(job_defaults=defaults)
            for path, trigger in self._triggers.items():
                self._scheduler.add_job(self._drop, trigger, args=[path], id=path)
            self._scheduler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)

    def look(self) -> None:
        """Read the wall clock again: it may have jumped."""
        if self._scheduler is not None:
            self._scheduler.wakeup()

    async def _drop(self, path: str) -> None:  # a coroutine, for other functions are called in a thread
        self._ring(path)
