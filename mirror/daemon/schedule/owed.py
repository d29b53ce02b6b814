"""By when the pace of a source owes the next good pull: what lateness is measured from."""

from __future__ import annotations

import datetime as dt

from mirror.config import DaemonSettings, SourceSettings
from mirror.daemon.schedule.triggers import cron_trigger


def owed_at(settings: DaemonSettings, source: SourceSettings, after: dt.datetime) -> dt.datetime | None:
    """The latest moment at which a source's own pace pulls it again.

    Args:
        settings: the bounds of an adaptive pace.
        source: may have a pace of its own.
        after: the last good pull, or since when the source is followed; UTC.

    Returns:
        UTC; None for a cron expression that never comes.
    """
    if source.poll_cron:
        return cron_trigger(source).get_next_fire_time(None, after)
    longest = max(settings.poll_minutes, settings.poll_active_minutes, settings.poll_quiet_minutes)
    return after + dt.timedelta(minutes=source.poll_minutes or longest)
