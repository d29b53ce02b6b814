"""Offline as a state: entered once, left with the replay in front."""

from __future__ import annotations

import datetime as dt

import anyio
import pytest

from mirror.daemon.connection import Connection, may_be_outage
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
    connection = Connection()
    assert connection.lost(AWAY, AT)
    assert not connection.lost(Unreachable("timed out"), AT + dt.timedelta(hours=1))
    assert (connection.is_up, connection.since, connection.reason) == (False, AT, "timed out")
    connection.found()
    assert (connection.is_up, connection.since, connection.reason) == (True, None, None)
    assert connection.lost(AWAY, AT)


async def test_pulls_wait_for_the_replay_after_an_outage() -> None:
    connection = Connection()
    connection.replayed()
    await connection.wait_for_pull()
    connection.lost(AWAY, AT)
    order = []

    async def pull() -> None:
        await connection.wait_for_pull()
        order.append("pull")

    async def replay() -> None:
        await connection.wait_up()
        order.append("replay")
        connection.replayed()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(pull)
            group.start_soon(replay)
            await anyio.wait_all_tasks_blocked()
            assert order == []
            connection.replayed()  # a round that ended after the outage was found is no turn
            connection.found()
    assert order == ["replay", "pull"]


def test_a_refused_key_is_another_state_than_a_server_that_is_away() -> None:
    connection = Connection()
    later = AT + dt.timedelta(hours=1)
    assert connection.lost(AWAY, AT)
    assert not connection.is_refused
    assert connection.lost(AuthError("refused the API key"), later)
    assert (connection.is_up, connection.is_refused, connection.since) == (False, True, later)
    assert not connection.lost(AuthError("refused the API key"), later + dt.timedelta(hours=1))
    assert connection.lost(AWAY, later)
    assert not connection.is_refused
    connection.found()
    assert (connection.is_up, connection.is_refused) == (True, False)
