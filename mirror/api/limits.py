"""Politeness towards one host, shared by every request of the process.

Three rules: so many requests at once; when the server says that its budget runs low, spread the rest over the window;
when it says "later", everyone waits until then. W&B API notes, section 2.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

import anyio

from mirror.errors import RateLimited

LOW_FRACTION = 0.25  # of the window's budget; above it requests go out freely
SLOWEST_INTERVAL_S = 10.0  # the SDK, too, keeps at least 0.1 requests a second


class Limits:
    """The shared gate. One for each host and process; it belongs to one event loop.

    Args:
        concurrent: requests under way at once.
        host: named in messages.
        max_hold_s: a longer wait asked for by the server is an error instead, seconds.
        now: monotonic clock, seconds.
        sleep: waits that many seconds of `now`.
    """

    def __init__(
        self,
        *,
        concurrent: int,
        host: str,
        max_hold_s: float = 120.0,
        now: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._slots = anyio.Semaphore(concurrent)
        self._host = host
        self._max_hold_s = max_hold_s
        self._now = now
        self._sleep = sleep
        self._held_until = -math.inf
        self._next_at = -math.inf
        self._interval_s = 0.0
        self._remaining: float | None = None  # of the last answer, to see what one request costs
        self._cost = 1.0  # units of the budget that one request takes; opaque, so it is observed

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for this request's turn, and hold a slot while it is under way.

        Raises:
            RateLimited: the server asked for a longer wait than `max_hold_s`.
        """
        async with self._slots:
            await self._wait()
            yield

    def hold(self, seconds: float) -> None:
        """Let nobody start for so many seconds from now; a longer hold that is on stays."""
        self._held_until = max(self._held_until, self._now() + seconds)

    @property
    def held_for_s(self) -> float:
        """Seconds until anybody may start; 0.0 when nothing is held."""
        return max(0.0, self._held_until - self._now())

    def check(self) -> None:
        """Refuse a hold that is longer than a caller may be kept waiting.

        Raises:
            RateLimited: the server asked for a longer wait than `max_hold_s`.
        """
        if self.held_for_s > self._max_hold_s:
            raise RateLimited(f"{self._host} asks to wait {duration(self.held_for_s)} before the next request")

    def learn(self, headers: Mapping[str, str]) -> float | None:
        """Take in an answer's headers; returns the seconds that its Retry-After asks for, if any."""
        self._learn_budget(headers)
        wait = retry_after_s(headers)
        if wait is not None:
            self.hold(wait)
        return wait

    async def _wait(self) -> None:
        # Once more after each sleep: another answer may have lengthened the hold meanwhile.
        while held_s := self.held_for_s:
            self.check()
            await self._sleep(held_s)
        if self._interval_s <= 0:
            return
        start = max(self._now(), self._next_at)
        self._next_at = start + self._interval_s
        if start > self._now():
            await self._sleep(start - self._now())

    def _learn_budget(self, headers: Mapping[str, str]) -> None:
        """RateLimit-* headers; numbers, possibly fractional, in units that only the server knows."""
        remaining = number(headers.get("ratelimit-remaining"))
        reset_s = number(headers.get("ratelimit-reset"))
        if remaining is None or reset_s is None:
            return
        if self._remaining is not None and remaining < self._remaining:
            self._cost = (self._cost + (self._remaining - remaining)) / 2
        self._remaining = remaining
        limit = number(headers.get("ratelimit-limit"))
        low = max(self._cost, LOW_FRACTION * limit if limit else 10 * self._cost)
        if remaining < self._cost:
            self._interval_s = 0.0
            self.hold(reset_s)
        elif remaining <= low:
            self._interval_s = min(SLOWEST_INTERVAL_S, reset_s * self._cost / remaining)
        else:
            self._interval_s = 0.0


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for: a number, possibly fractional, or an RFC 1123 date; None without sense.

    A date is read against the answer's own Date, so that a wrong local clock does not matter.
    """
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = number(text)
    if seconds is not None:
        return seconds
    until = http_date(text)
    if until is None:
        return None
    at = http_date(headers.get("date"))
    return max(0.0, until.timestamp() - (time.time() if at is None else at.timestamp()))


def http_date(text: str | None) -> dt.datetime | None:
    """An HTTP date, aware and in UTC; None when there is none or it makes no sense."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def number(text: str | None) -> float | None:
    """A finite number that is not negative; None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def duration(seconds: float) -> str:
    """Seconds for people: "45 s", "12 min", "3.0 h"."""
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
