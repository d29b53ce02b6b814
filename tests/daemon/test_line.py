"""Offline as a state: entered once, left with the replay in front."""

from __future__ import annotations

import datetime as dt

import anyio
import pytest

from mirror.daemon.line import Line, may_be_outage
from mirror.errors import AuthError, NotFound, StoreError, Unreachable

pytestmark = pytest.mark.anyio
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
AWAY = Unreachable("no route to host")


def test_only_what_every_request_may_meet_is_worth_a_probe() -> None:
    assert may_be_outage(AWAY)
    assert may_be_outage(AuthError("no"))
    assert not may_be_outage(NotFound("no such project"))
    assert not may_be_outage(StoreError("disk"))
    assert not may_be_outage(None)


def test_an_outage_is_news_once_and_keeps_its_beginning() -> None:
    line = Line()
    assert line.lost(AWAY, AT)
    assert not line.lost(Unreachable("timed out"), AT + dt.timedelta(hours=1))
    assert (line.is_up, line.since, line.reason) == (False, AT, "timed out")
    line.found()
    assert (line.is_up, line.since, line.reason) == (True, None, None)
    assert line.lost(AWAY, AT)


async def test_pulls_wait_for_the_replay_after_an_outage() -> None:
    line = Line()
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


def test_a_refused_key_is_another_state_than_a_server_that_is_away() -> None:
    line = Line()
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
