"""When a job comes next: triggers for APScheduler, each a value that tells the next one from what a job came to.

A source with active runs is pulled often, one where nothing moves less and less, both within what the configuration
allows. A source with `poll_minutes` keeps that pace, one with `poll_cron` is pulled when the expression says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from mirror.backoff import backoff_s
from mirror.config import DaemonSettings, SourceSettings
from mirror.errors import ConfigError

SLOWER = 1.5  # a pull that found nothing makes the next wait so much longer
PULL_JITTER = 0.1  # of a wait, so that sources and mirrors do not all come at one moment
CRON_JITTER_S = 15  # added at most, so that mirrors do not all ask on the minute

Random = Callable[[], float]  # gives numbers from 0 to 1


class Pulled(msgspec.Struct, frozen=True):
    """What a pull of a source came to."""

    active: bool  # it has runs that have not ended
    moved: bool  # something new was found


class Trigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """When a job comes next, reckoned from when it ended."""

    stays_due = True  # after a crash, the job is due until it was done

    def wait_s(self) -> float | None:
        """Seconds from now on; None: not before the job gets another trigger."""
        raise NotImplementedError

    def get_next_fire_time(self, _: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
        """UTC; None: never."""
        wait_s = self.wait_s()
        return None if wait_s is None else now + dt.timedelta(seconds=wait_s)

    def after(self, _: object) -> Trigger:
        """The trigger for the next time, by what the job came to."""
        return self

    def stepped(self, at: dt.datetime, step: dt.timedelta, _now: dt.datetime, /) -> dt.datetime:
        """When a job comes that was to come at `at`, after a step of the wall clock: it waits as long as before."""
        return at + step


@dataclass(frozen=True)
class Never(Trigger):
    """Not until the job gets another trigger."""

    def wait_s(self) -> None:
        """None."""
        return


@dataclass(frozen=True)
class Every(Trigger):
    """Again and again; a crash is answered when it is due the next time."""

    every_s: float
    first_s: float | None = None  # the first wait, if it is another

    stays_due = False

    def wait_s(self) -> float:
        """Seconds."""
        return self.every_s if self.first_s is None else self.first_s

    def after(self, _: object) -> Every:
        """The same without the first wait."""
        return replace(self, first_s=None)


@dataclass(frozen=True, kw_only=True)
class Adaptive(Trigger):
    """The pace of a source: at once in the beginning, for nobody knows what was missed; then by what pulls find."""

    settings: DaemonSettings
    source: SourceSettings
    random: Random
    pace_s: float = 0.0  # the wait before jitter; 0: in the beginning

    def wait_s(self) -> float:
        """Seconds."""
        return self.pace_s * (1 + PULL_JITTER * self.random())

    def after(self, pulled: object) -> Adaptive:
        """Sooner where something moves."""
        assert isinstance(pulled, Pulled)
        return replace(self, pace_s=self._pace_after(pulled))

    def _pace_after(self, pulled: Pulled) -> float:
        if self.source.poll_minutes:
            return self.source.poll_minutes * 60
        if pulled.active:
            return self.settings.poll_active_minutes * 60
        usual = self.settings.poll_minutes * 60
        if pulled.moved:
            return usual
        return max(usual, min(self.settings.poll_quiet_minutes * 60, self.pace_s * SLOWER))


@dataclass(frozen=True, kw_only=True)
class Probing(Trigger):
    """Asks a server that is away with growing waits until it answers."""

    settings: DaemonSettings
    random: Random
    probes: int = 0  # in vain

    def wait_s(self) -> float:
        """Seconds."""
        first_s, longest_s = self.settings.probe_first_s, self.settings.probe_longest_s
        return backoff_s(self.probes, first_s=first_s, longest_s=longest_s, draw=self.random())

    def after(self, answered: object) -> Trigger:
        """Never, when the server answered."""
        return Never() if answered else replace(self, probes=self.probes + 1)


class Cron(CronTrigger, Trigger):  # type: ignore[misc]
    """By the wall clock. What was missed comes once, and a clock that is set right silences nothing."""

    def get_next_fire_time(self, _: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
        """The first time after now, UTC; None: the expression never comes again."""
        found: dt.datetime | None = super().get_next_fire_time(None, now + dt.timedelta(microseconds=1))
        return None if found is None else found.astimezone(dt.UTC)

    def stepped(self, at: dt.datetime, _step: dt.timedelta, now: dt.datetime, /) -> dt.datetime:
        """When the expression says, by the clock as it is; not later than before, for that time may be wrong."""
        return min(at, self.get_next_fire_time(None, now) or at)


class At(DateTrigger, Trigger):  # type: ignore[misc]
    """Once, at a time of the wall clock; never, when it is over."""

    def get_next_fire_time(self, _: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
        """That time, UTC."""
        found: dt.datetime | None = super().get_next_fire_time(None, now)
        return found if found is not None and found > now else None

    def stepped(self, at: dt.datetime, _step: dt.timedelta, _now: dt.datetime, /) -> dt.datetime:
        """The same."""
        return at


def pull_trigger(settings: DaemonSettings, source: SourceSettings, random: Random) -> Trigger:
    """When a source is pulled.

    Raises:
        ConfigError: `poll_cron` is no cron expression.
    """
    return cron_trigger(source) if source.poll_cron else Adaptive(settings=settings, source=source, random=random)


def reconcile_trigger(source: SourceSettings, walked_at: dt.datetime, every: dt.timedelta) -> At:
    """When all runs of a source are compared again; of a source with `poll_cron`, when it is pulled then.

    Args:
        source: of which.
        walked_at: when they were for the last time, UTC.
        every: how often.
    """
    at = walked_at + every
    return At(cron_trigger(source).get_next_fire_time(None, at) or at if source.poll_cron else at, dt.UTC)


def cron_trigger(source: SourceSettings) -> Cron:
    """When a source with `poll_cron` is pulled.

    Raises:
        ConfigError: the expression is not one.
    """
    try:
        trigger: Cron = Cron.from_crontab(source.poll_cron)
    except ValueError as error:
        raise ConfigError(
            f"poll_cron of {source.path} is no cron expression: {source.poll_cron!r} ({error})",
            hint='five fields: minute, hour, day of the month, month, day of the week, such as "*/30 * * * *"',
        ) from error
    trigger.jitter = CRON_JITTER_S
    return trigger
