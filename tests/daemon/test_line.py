"""Offline as a state: entered once, probed with growing waits, left with the replay in front."""

from __future__ import annotations

import datetime as dt

import anyio
import pytest

from mirror.config import DaemonSettings
from mirror.daemon.line import Line, may_be_outage, probe_wait_s
from mirror.errors import AuthError, NotFound, StoreError, Unreachable

pytestmark = pytest.mark.anyio
SETTINGS = DaemonSettings(probe_first_s=5, probe_longest_s=300)
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
AWAY = Unreachable("no route to host")


def test_probes_grow_to_a_bound_and_jitter_only_lengthens_them() -> None:
    assert [probe_wait_s(SETTINGS, probes, 0.0) for probes in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert probe_wait_s(SETTINGS, 10**6, 1.0) == 375


def test_only_what_every_request_may_meet_is_worth_a_probe() -> None:
    assert may_be_outage(AWAY)
    assert may_be_outage(AuthError("no"))
    assert not may_be_outage(NotFound("no such project"))
    assert not may_be_outage(StoreError("disk"))
    assert not may_be_outage(None)


def test_an_outage_is_news_once_and_keeps_its_beginning() -> None:
    line = Line(SETTINGS, lambda: 0.0)
    assert line.lost(AWAY, AT)
    assert not line.lost(Unreachable("timed out"), AT + dt.timedelta(hours=1))
    assert (line.is_up, line.since, line.reason) == (False, AT, "timed out")
    line.found()
    assert (line.is_up, line.since, line.reason) == (True, None, None)
    assert line.lost(AWAY, AT)


async def test_pulls_wait_for_the_replay_after_an_outage() -> None:
    line = Line(SETTINGS, lambda: 0.0)
    line.replayed()
    await line.wait_for_pull()
    line.lost(AWAY, AT)
    order = []

    async def pull() -> None:
        await line.wait_for_pull()
        order.append("pull")

    async def replay() -> None:
        await line.wait_up()
        order.append("replay")
        line.replayed()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(pull)
            group.start_soon(replay)
            await anyio.wait_all_tasks_blocked()
            assert order == []
            line.replayed()  # a round that ended after the outage was found is no turn
            line.found()
    assert order == ["replay", "pull"]


async def test_a_nudge_probes_now_and_begins_the_waits_anew() -> None:
    line = Line(DaemonSettings(probe_first_s=1e6, probe_longest_s=1e6), lambda: 0.0)
    line.lost(AWAY, AT)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(line.wait_to_probe)
            await anyio.wait_all_tasks_blocked()
            line.nudge()


async def test_nobody_probes_a_server_that_is_there() -> None:
    line = Line(DaemonSettings(probe_first_s=0.001), lambda: 0.0)
    with anyio.move_on_after(0.1) as scope:
        await line.wait_to_probe()
    assert scope.cancelled_caught


def test_a_refused_key_is_another_state_than_a_server_that_is_away() -> None:
    line = Line(SETTINGS, lambda: 0.0)
    later = AT + dt.timedelta(hours=1)
    assert line.lost(AWAY, AT)
    assert not line.is_refused
    assert line.lost(AuthError("refused the API key"), later)
    assert (line.is_up, line.is_refused, line.since) == (False, True, later)
    assert not line.lost(AuthError("refused the API key"), later + dt.timedelta(hours=1))
    assert line.lost(AWAY, later)
    assert not line.is_refused
    line.found()
    assert (line.is_up, line.is_refused) == (True, False)
