"""Politeness towards one host, on a clock that the test moves."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.api.limits.host import Limits, duration, http_date, retry_after_s
from mirror.api.limits.rate_budget import SLOWEST_INTERVAL_S
from mirror.errors import RateLimited
from tests.api.clock import Clock, limits_on

pytestmark = pytest.mark.anyio


async def starts(limits: Limits, clock: Clock, count: int) -> list[float]:
    """Seconds from the first moment at which each of `count` requests starts."""
    begun: list[float] = []
    for _ in range(count):
        async with limits.turn():
            begun.append(round(clock.now_s - 1000.0, 3))
    return begun


async def test_nothing_known_means_no_wait() -> None:
    clock = Clock()
    assert await starts(limits_on(clock), clock, 3) == [0.0, 0.0, 0.0]


async def test_a_retry_after_holds_every_request_of_the_process() -> None:
    clock = Clock()
    limits = limits_on(clock)
    assert limits.learn({"retry-after": "7.5"}, status=503) == 7.5
    limits.learn({"retry-after": "1"}, status=503)  # a shorter one does not shorten the hold
    begun: list[float] = []

    async def request() -> None:
        async with limits.turn():
            begun.append(clock.now_s - 1000.0)

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(request)
    assert len(begun) == 6
    assert min(begun) >= 7.5


async def test_a_hold_that_grows_meanwhile_is_waited_out() -> None:
    clock = Clock()
    limits = limits_on(clock)
    limits.hold(5)

    async def sleep_and_learn(seconds: float) -> None:
        if clock.now_s < 1005:
            limits.hold(20)
        await Clock.sleep(clock, seconds)

    limits._sleep = sleep_and_learn
    assert (await starts(limits, clock, 1))[0] >= 20


async def test_a_wait_that_is_too_long_is_an_error_that_names_it() -> None:
    clock = Clock()
    limits = limits_on(clock)
    limits.learn({"retry-after": "3600"}, status=503)
    with pytest.raises(RateLimited, match=r"w\.example\.com asks to wait 60 min"):
        await starts(limits, clock, 1)
    assert clock.now_s == 1000.0
    clock.now_s += 3600
    assert len(await starts(limits, clock, 1)) == 1


async def test_requests_spread_over_the_window_when_the_budget_runs_low() -> None:
    clock = Clock()
    limits = limits_on(clock)
    limits.learn({"ratelimit-limit": "100", "ratelimit-remaining": "50", "ratelimit-reset": "30"})
    assert await starts(limits, clock, 3) == [0.0, 0.0, 0.0]
    limits.learn({"ratelimit-limit": "100", "ratelimit-remaining": "49", "ratelimit-reset": "30"})
    limits.learn({"ratelimit-limit": "100", "ratelimit-remaining": "48", "ratelimit-reset": "30"})
    fresh = limits_on(clock)
    fresh.learn({"ratelimit-limit": "100", "ratelimit-remaining": "10", "ratelimit-reset": "30.0"})
    assert await starts(fresh, clock, 4) == [0.0, 3.0, 6.0, 9.0]


async def test_a_request_may_cost_more_than_one_unit_of_the_budget() -> None:
    clock = Clock()
    limits = limits_on(clock)
    for remaining in ("30", "20", "10"):
        limits.learn({"ratelimit-limit": "100", "ratelimit-remaining": remaining, "ratelimit-reset": "10"})
    first, second = await starts(limits, clock, 2)
    assert second - first > 5  # two more such requests fit into the ten seconds, not ten


async def test_an_empty_budget_waits_for_the_next_window() -> None:
    clock = Clock()
    limits = limits_on(clock)
    limits.learn({"ratelimit-limit": "100", "ratelimit-remaining": "0", "ratelimit-reset": "4.5"})
    assert await starts(limits, clock, 2) == [4.5, 4.5]


async def test_no_server_slows_requests_below_the_sdks_floor() -> None:
    clock = Clock()
    limits = limits_on(clock)
    limits.learn({"ratelimit-remaining": "2", "ratelimit-reset": "86400"})
    assert (await starts(limits, clock, 2))[1] <= SLOWEST_INTERVAL_S


async def test_no_more_requests_than_allowed_are_under_way() -> None:
    limits = Limits(concurrent=3, host="w.example.com")
    under_way, most = 0, 0

    async def request() -> None:
        nonlocal under_way, most
        async with limits.turn():
            under_way += 1
            most = max(most, under_way)
            await anyio.sleep(0.001)
            under_way -= 1

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(request)
    assert most == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Mon, 06 Nov 2023 10:00:30 GMT", "date": "Mon, 06 Nov 2023 10:00:00 GMT"}, 30.0),
        ({"retry-after": "31536000"}, 3600.0),
        ({"retry-after": "Sun, 06 Nov 2033 10:00:00 GMT", "date": "Mon, 06 Nov 2023 10:00:00 GMT"}, 3600.0),
        ({"retry-after": "Mon, 06 Nov 2023 09:00:00 GMT", "date": "Mon, 06 Nov 2023 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 06 Nov 2023 09:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@given(st.text(max_size=40))
def test_no_header_whatever_raises(text: str) -> None:
    http_date(text)
    wait = retry_after_s({"retry-after": text, "date": text})
    assert wait is None or wait >= 0


def test_waits_are_told_in_units_for_people() -> None:
    assert [duration(s) for s in (0.2, 45, 600, 10800)] == ["1 s", "45 s", "10 min", "3.0 h"]
