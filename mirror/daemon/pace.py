"""When each source is pulled: pure decisions over a monotonic clock that the caller reads.

A source with active runs is pulled often, one where nothing moves less and less, both within what the configuration
allows. A source with `poll_minutes` keeps that pace, one with `poll_cron` is pulled when APScheduler says so.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from mirror.config import DaemonSettings, SourceSettings

SLOWER = 1.5  # a pull that found nothing makes the next wait so much longer
JITTER = 0.1  # of a wait, so that sources and mirrors do not all come at one moment


def next_wait_s(
    settings: DaemonSettings, source: SourceSettings, *, active: bool, moved: bool, before_s: float
) -> float:
    """How long to wait before a source is pulled again.

    Args:
        settings: the bounds.
        source: may fix the wait.
        active: it has runs that have not ended.
        moved: the last pull found something new.
        before_s: the wait before the last pull, seconds.
    """
    if source.poll_minutes:
        return source.poll_minutes * 60
    if active:
        return settings.poll_active_minutes * 60
    usual = settings.poll_minutes * 60
    if moved:
        return usual
    return max(usual, min(settings.poll_quiet_minutes * 60, before_s * SLOWER))


class Timetable:
    """When each source is due.

    Args:
        settings: the bounds.
        sources: all of them; those with `poll_cron` are due only when somebody says so.
        now: monotonic seconds. All sources are due at once in the beginning, for nobody knows what was missed.
        random: gives numbers from 0 to 1.
    """

    def __init__(
        self, settings: DaemonSettings, sources: Sequence[SourceSettings], now: float, random: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._random = random
        self._sources = {source.path: source for source in sources}
        self._due_at = {source.path: now for source in sources if not source.poll_cron}
        self._waited_s: dict[str, float] = {}

    def due(self, now: float) -> list[str]:
        """Paths of the sources to pull now."""
        return [path for path, at in self._due_at.items() if at <= now]

    def wait_s(self, now: float, among: Container[str] | None = None) -> float | None:
        """Seconds until some source (of these) is due; None when none ever is by itself."""
        times = [at for path, at in self._due_at.items() if among is None or path in among]
        return max(0.0, min(times) - now) if times else None

    def next_at(self, path: str) -> float | None:
        """When a source is due, monotonic seconds; None when cron says."""
        return self._due_at.get(path)

    def pulled(self, path: str, now: float, *, active: bool, moved: bool) -> None:
        """A source was pulled, well or not."""
        if path not in self._due_at:
            return
        before_s = self._waited_s.get(path, self._settings.poll_minutes * 60 / SLOWER)
        wait_s = next_wait_s(self._settings, self._sources[path], active=active, moved=moved, before_s=before_s)
        self._waited_s[path] = wait_s
        self._due_at[path] = now + wait_s * (1 + JITTER * self._random())

    def hurry(self, now: float, paths: Iterable[str] | None = None) -> None:
        """Make sources due now: the machine slept, or the configuration changed."""
        for path in self._due_at if paths is None else paths:
            if path in self._due_at:
                self._due_at[path] = min(self._due_at[path], now)
