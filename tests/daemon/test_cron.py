"""Cron expressions ring, by the real scheduler, and only sources that have one."""

from __future__ import annotations

import datetime as dt

import anyio
import pytest

from mirror.config import SourceSettings
from mirror.daemon.bell import Bell
from mirror.daemon.clock import CronClock

pytestmark = pytest.mark.anyio
SOURCES = [SourceSettings(path="e/c", poll_cron="* * * * *"), SourceSettings(path="e/p")]


async def test_a_source_whose_time_has_come_is_rung_for() -> None:
    bell = Bell()
    with CronClock(SOURCES, bell.ring) as clock:
        now = dt.datetime.now(dt.UTC)
        clock._scheduler.modify_job("e/c", next_run_time=now)  # instead of waiting for the minute
        clock.look()
        with anyio.fail_after(30):
            assert await bell.wait() == {"e/c"}


async def test_what_was_missed_while_the_machine_slept_comes_once() -> None:
    rung: list[str] = []
    with CronClock(SOURCES, rung.append) as clock:
        clock._scheduler.modify_job("e/c", next_run_time=dt.datetime.now(dt.UTC) - dt.timedelta(hours=5))
        clock.look()
        with anyio.fail_after(30):
            while not rung:
                await anyio.sleep(0.01)
        await anyio.sleep(0.1)
    assert rung == ["e/c"]


async def test_rings_before_a_look_are_one_and_no_name_is_lost() -> None:
    bell = Bell()
    for name in ("e/a", "", "e/b", "e/a"):
        bell.ring(name)
    assert await bell.wait(0) == {"e/a", "e/b"}
    assert await bell.wait(0) == set()
