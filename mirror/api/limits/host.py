"""Politeness towards one host, shared by every request of the process.

Four rules: so many requests at once; never faster than the configured ceiling; the budget of the user and of each
project is spread over its window (`rate_budget`); and when the server says "later", everyone whom it concerns waits.
A 429 concerns its budget, a Retry-After of any other refusal concerns the host. W&B API notes, section 2.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import anyio

from mirror.api.limits.charge import Charge, CostClass
from mirror.api.limits.rate_budget import MOMENT_S, RateBudget, header_number
from mirror.backoff import jittered_backoff_s
from mirror.errors import RateLimited

FIRST_WAIT_S = 1.0  # after a refusal that names no time; doubled for each further one
LEAST_HOLD_S = 0.01  # after a first refusal, whatever the server asks for
QUIET_S = 60.0  # without a refusal for so long after the last wait, the next one is a first one again
LOOK_AGAIN_S = 5.0  # longest sleep for the budget's sake: an answer may have brought better news

LONGEST_ASKED_S = 3600.0  # of a server that asks for more: it is asked again after an hour, for clocks may be wrong

TOO_MANY_REQUESTS = 429

USER = Charge()


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A request under way."""

    began: float  # monotonic seconds
    cost: float  # units of its budget that it is thought to take


class _Scope:
    """What is known of one budget, and who waits for it."""

    def __init__(self, costs: dict[CostClass, float]) -> None:
        self.queue = anyio.Lock(fast_acquire=True)  # in order of arrival: none is overtaken for ever by cheaper ones
        self.budget = RateBudget(costs)
        self.held_until = -math.inf
        self.held_from = -math.inf  # when the last refusal came that was counted
        self.refusals = 0  # in a row
        self.refused_from = -math.inf  # when the first of them came


class Limits:
    """The shared gate. One for each host and process; it belongs to one event loop.

    Args:
        concurrent: requests under way at once.
        host: named in messages.
        max_hold_s: a longer wait asked for by the server is an error instead, seconds, unless a caller says otherwise.
        requests_per_second: the ceiling; None: there is none.
        now: monotonic clock, seconds.
        sleep: waits that many seconds of `now`.
    """

    def __init__(
        self,
        *,
        concurrent: int,
        host: str,
        max_hold_s: float = 120.0,
        requests_per_second: float | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.now = now
        self._slots = anyio.Semaphore(concurrent, fast_acquire=True)
        self._host = host
        self._max_hold_s = max_hold_s
        self._sleep = sleep
        self._held_until = -math.inf
        self._next_at = -math.inf
        self._interval_s = 0.0
        self._costs: dict[CostClass, float] = {}
        self._scopes: dict[str | None, _Scope] = {}
        self.set_ceiling(requests_per_second)

    def set_ceiling(self, requests_per_second: float | None) -> None:
        """Start requests no faster than this from now on; None: as fast as all else allows."""
        self._interval_s = 1 / requests_per_second if requests_per_second else 0.0

    @asynccontextmanager
    async def turn(
        self,
        charge: Charge = USER,
        *,
        patience_s: float | None = None,
        on_wait: Callable[[float], None] | None = None,
    ) -> AsyncIterator[Turn]:
        """Wait for this request's turn, and hold a slot while it is under way.

        Args:
            charge: what it is counted as.
            patience_s: it is held no longer than this at the server's word; None: `max_hold_s`.
            on_wait: told the seconds of a wait for the budget that is longer than `LOOK_AGAIN_S`.

        Raises:
            RateLimited: the server asked for a longer wait.
        """
        scope = self._scope(charge)
        patience_s = self._max_hold_s if patience_s is None else patience_s
        deadline = self.now() + patience_s
        self.check(charge, patience_s=patience_s)  # the first in the queue may be more patient
        async with scope.queue:  # without a slot, so that a spent budget is in nobody else's way
            await self._wait_hold(charge, deadline)
            await self._wait_budget(charge, deadline, on_wait)
            cost = scope.budget.begin(charge.kind, self.now())
        try:
            while True:
                async with self._slots:
                    await self._wait_ceiling()
                    if not self.held_s(charge):
                        yield Turn(began=self.now(), cost=cost)
                        return
                await self._wait_hold(charge, deadline)  # an answer brought a hold meanwhile
        finally:
            scope.budget.end(cost)

    def hold(self, seconds: float, charge: Charge | None = None) -> None:
        """Let nobody start for so many seconds from now; a longer hold that is on stays.

        Args:
            seconds: how long.
            charge: only requests of this budget; None: every one.
        """
        until = self.now() + seconds
        if charge is None:
            self._held_until = max(self._held_until, until)
        else:
            scope = self._scope(charge)
            scope.held_until = max(scope.held_until, until)

    def held_s(self, charge: Charge = USER) -> float:
        """Seconds until a request of this budget may start at the server's word; 0.0 when nothing is held."""
        held_s = max(self._held_until, self._scope(charge).held_until) - self.now()
        return held_s if held_s > MOMENT_S else 0.0

    @property
    def held_for_s(self) -> float:
        """The same for requests that name no project."""
        return self.held_s()

    def check(self, charge: Charge = USER, *, patience_s: float | None = None) -> None:
        """Refuse a hold that is longer than a caller may be kept waiting.

        Raises:
            RateLimited: the server asked for a longer wait.
        """
        held_s = self.held_s(charge)
        if held_s > (self._max_hold_s if patience_s is None else patience_s):
            raise RateLimited(
                f"{self._host} asks to wait {duration(held_s)} before the next request", is_waited_out=True
            )

    def learn(
        self, headers: Mapping[str, str], charge: Charge = USER, *, status: int = 200, turn: Turn | None = None
    ) -> float | None:
        """Take in an answer's headers; returns the seconds that its Retry-After asks for, if any.

        Args:
            headers: names in lower case, or of any case where the mapping does not mind.
            charge: what the request was counted as.
            status: of the answer. After a 429 comes `refused`.
            turn: the request's, while it is under way.
        """
        scope = self._scope(charge)
        scope.budget.learn(headers, charge.kind, self.now(), own=turn.cost if turn else 0.0)
        wait_s = retry_after_s(headers)
        if status == TOO_MANY_REQUESTS:
            return wait_s
        scope.refusals = 0
        if wait_s is not None and status >= 300:  # beside what was asked for it concerns nobody
            self.hold(wait_s)
        return wait_s

    def refused(self, charge: Charge, *, began: float, asked_s: float | None, longest_s: float) -> float:
        """Hold a budget after a 429; returns for how long, seconds.

        What the server asks for is kept, up to an hour. Without that, the wait doubles with each refusal in a row, and
        gets jitter.

        Args:
            charge: what the request was counted as.
            began: when it was sent. One that was sent before the last refusal came says nothing new.
            asked_s: seconds that its Retry-After asks for, if any.
            longest_s: a wait that the server did not ask for is no longer than this, but for the jitter.
        """
        scope = self._scope(charge)
        now = self.now()
        if not scope.refusals or began > scope.held_until + QUIET_S:
            scope.refusals, scope.refused_from = 0, now
        if not scope.refusals or began > scope.held_from:
            scope.refusals += 1
            scope.held_from = now
        if asked_s is None:
            before = scope.refusals - 1
            self.hold(jittered_backoff_s(before, first_s=FIRST_WAIT_S, longest_s=longest_s), charge)
        else:  # a server that says "in 0 seconds" again and again is not asked in a circle
            self.hold(max(asked_s, LEAST_HOLD_S if scope.refusals == 1 else min(longest_s, FIRST_WAIT_S)), charge)
        return self.held_s(charge)

    def refused_for_s(self, charge: Charge = USER) -> float:
        """Seconds since the server began to refuse requests of this budget; 0.0 when it does not."""
        scope = self._scope(charge)
        return self.now() - scope.refused_from if scope.refusals else 0.0

    async def _wait_hold(self, charge: Charge, deadline: float) -> None:
        """Wait as long as the server asked for; other answers may lengthen it meanwhile."""
        while held_s := self.held_s(charge):
            self.check(charge, patience_s=max(0.0, deadline - self.now()))
            await self._sleep(held_s)

    async def _wait_budget(self, charge: Charge, deadline: float, on_wait: Callable[[float], None] | None) -> None:
        """Wait until the even spread has room for this request."""
        budget = self._scope(charge).budget
        told = on_wait is None
        while wait_s := budget.wait_s(charge.kind, self.now()):
            if on_wait is not None and not told and wait_s > LOOK_AGAIN_S:
                on_wait(wait_s)
                told = True
            await self._sleep(min(wait_s, LOOK_AGAIN_S))
            await self._wait_hold(charge, deadline)

    async def _wait_ceiling(self) -> None:
        start = max(self.now(), self._next_at)
        self._next_at = start + self._interval_s
        if start > self.now():
            await self._sleep(start - self.now())

    def _scope(self, charge: Charge) -> _Scope:
        scope = self._scopes.get(charge.project)
        if scope is None:
            scope = self._scopes[charge.project] = _Scope(self._costs)
        return scope


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for: a number, possibly fractional, or an RFC 1123 date; None without sense.

    A date is read against the answer's own Date, so that a wrong local clock does not matter. No more than
    `LONGEST_ASKED_S`.
    """
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = header_number(text)
    if seconds is None:
        until, at = http_date(text), http_date(headers.get("date"))
        if until is None:
            return None
        seconds = max(0.0, until.timestamp() - (time.time() if at is None else at.timestamp()))
    return min(seconds, LONGEST_ASKED_S)


def http_date(text: str | None) -> dt.datetime | None:
    """An HTTP date, aware and in UTC; None when there is none or it makes no sense."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def duration(seconds: float) -> str:
    """Seconds for people: "45 s", "12 min", "3.0 h"."""
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
