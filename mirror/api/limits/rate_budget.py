"""One budget of the server's, as its RateLimit headers tell it, spread over the window. Pure: the time is given.

`RateLimit-Limit` and `-Remaining` are in a unit that only the server knows (W&B scales them to 0…1000), `-Reset` is the
seconds left in the window. What a request costs is the drop of the remainder with its answer, learnt for each kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mirror.api.limits.charge import CostClass

AMPLE = 0.25  # of the limit; with more left, requests that were not made earlier may be made at once
BURST = 0.25  # of the window: for how much of it requests may be ahead of an even spread, while the budget is ample
FIRST_COST = 1.0  # of a request that nothing is known about
LEAST_COST = 0.1  # a drop of less than one unit is not seen
LONGEST_WINDOW_S = 300.0  # a window that ends later is not waited for: the server refuses when it means it
SLOWEST_INTERVAL_S = 10.0  # in such a window; the SDK, too, keeps at least 0.1 requests a second
MOMENT_S = 1e-6  # less than this is no wait: a sum of times is not exact
RECHECK_S = 1.0  # while the budget is taken by requests whose answers are still to come


class RateBudget:
    """What is left of one scope's budget.

    Args:
        costs: what kinds of requests were seen to cost in any scope of the server; added to.
    """

    def __init__(self, costs: dict[CostClass, float]) -> None:
        self._anywhere = costs
        self._costs: dict[CostClass, float] = {}
        self._limit: float | None = None
        self._reported: float | None = None  # of the last answer
        self._left: float | None = None  # the same without what was begun since; None: nothing is known
        self._reset_at = -math.inf
        self._window_s = 0.0  # the longest time to a reset that was seen
        self._under_way = 0.0  # what requests without an answer are thought to cost
        self._paid_to = -math.inf  # requests so far are paid for by the even spread up to this time

    def cost(self, kind: CostClass) -> float:
        """Units that such a request is thought to take."""
        known = self._costs.get(kind, self._anywhere.get(kind))
        cost = max(LEAST_COST, self._alike(kind) if known is None else known)
        return cost if self._limit is None else min(cost, self._limit)

    def wait_s(self, kind: CostClass, now: float) -> float:
        """How long such a request should wait, seconds; asked again afterwards, for more may be known by then."""
        self._roll(now)
        if self._left is None:
            return 0.0
        rest_s, cost = self._reset_at - now, self.cost(kind)
        if self._left < cost and rest_s <= LONGEST_WINDOW_S:
            return rest_s if self._left + self._under_way < cost else min(RECHECK_S, rest_s)
        wait_s = self._due(kind, self._left, now) - now
        return wait_s if wait_s > MOMENT_S else 0.0

    def begin(self, kind: CostClass, now: float) -> float:
        """Take such a request into account; returns what it is thought to cost, for `end`."""
        cost = self.cost(kind)
        if self._left is not None:
            self._paid_to = min(now, self._due(kind, self._left, now))
            self._left = max(0.0, self._left - cost)
        self._under_way += cost
        return cost

    def end(self, cost: float) -> None:
        """Its answer came, or none will."""
        self._under_way = max(0.0, self._under_way - cost)

    def learn(self, headers: Mapping[str, str], kind: CostClass, now: float, *, own: float = 0.0) -> None:
        """Take in the headers of an answer; absent and absurd ones say nothing.

        Args:
            headers: names in lower case.
            kind: of the request.
            now: monotonic seconds.
            own: what `begin` said that this request costs, if it has not ended.
        """
        remaining = header_number(headers.get("ratelimit-remaining"))
        reset_s = header_number(headers.get("ratelimit-reset"))
        if remaining is None or reset_s is None:
            return
        if self._reported is not None and now < self._reset_at and remaining <= self._reported:
            self._observe(kind, self._reported - remaining)
        self._limit = header_number(headers.get("ratelimit-limit")) or None
        self._reported = remaining
        self._left = max(0.0, remaining - max(0.0, self._under_way - own))
        self._reset_at = now + reset_s
        self._window_s = max(self._window_s, min(reset_s, LONGEST_WINDOW_S))

    def _due(self, kind: CostClass, left: float, now: float) -> float:
        """When such a request may start, so that what is left lasts until the reset."""
        rest_s, cost = max(0.0, self._reset_at - now), self.cost(kind)
        interval_s = rest_s * cost / (left + cost)
        if rest_s > LONGEST_WINDOW_S:
            interval_s = min(interval_s, SLOWEST_INTERVAL_S)
        is_ample = left > (10 * cost if self._limit is None else AMPLE * self._limit)
        ahead_s = max(interval_s, BURST * rest_s if is_ample else 0.0)
        return max(self._paid_to, now - ahead_s) + interval_s

    def _roll(self, now: float) -> None:
        """Begin the next window when this one is over."""
        if self._left is None or now < self._reset_at - MOMENT_S:
            return
        self._reported = None
        self._left = None if self._limit is None else max(0.0, self._limit - self._under_way)
        self._reset_at = now + self._window_s

    def _observe(self, kind: CostClass, drop: float) -> None:
        """Learn from a drop; other users' requests are in it, so it counts for half, and is soon outweighed."""
        for costs in (self._costs, self._anywhere):
            costs[kind] = (costs[kind] + drop) / 2 if kind in costs else drop

    def _alike(self, kind: CostClass) -> float:
        """What the same operation costs at other sizes."""
        alike = (cost for other, cost in self._anywhere.items() if other.operation == kind.operation)
        return max(alike, default=FIRST_COST)


def header_number(text: str | None) -> float | None:
    """A finite number that is not negative; None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
