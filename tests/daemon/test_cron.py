"""Cron expressions ring by a wall clock that the test sets, and only for sources that have one."""

from __future__ import annotations

import datetime as dt

import anyio
import pytest

from mirror.config import SourceSettings
from mirror.daemon.bell import Bell
from mirror.daemon.cron import JITTER_S, CronClock

SOURCES = [SourceSettings(path="e/c", poll_cron="*/10 * * * *"), SourceSettings(path="e/p")]


class Wall:
    """A wall clock, and what was rung for by it."""

    def __init__(self) -> None:
        self.time = dt.datetime(2026, 3, 1, 12, 1, tzinfo=dt.UTC)
        self.rung: list[str] = []
        self.cron = CronClock(SOURCES, self.rung.append, lambda: self.time)

    def at(self, hour: int, minute: int, second: int = 0, *, year: int = 2026) -> list[str]:
        """What is rung for when somebody looks at that time."""
        self.time = dt.datetime(year, 3, 1, hour, minute, second, tzinfo=dt.UTC)
        self.cron.look()
        rung, self.rung[:] = list(self.rung), []
        return rung


def test_a_source_whose_time_has_come_is_rung_for_once() -> None:
    wall = Wall()
    assert wall.at(12, 9, 59) == []
    assert wall.at(12, 10, JITTER_S) == ["e/c"]
    assert wall.at(12, 10, JITTER_S + 1) == []
    assert wall.at(12, 19, 59) == []
    assert wall.at(12, 20, JITTER_S) == ["e/c"]


def test_what_was_missed_while_the_machine_slept_comes_once() -> None:
    wall = Wall()
    assert wall.at(17, 0, JITTER_S) == ["e/c"]
    assert wall.at(17, 9, 59) == []


def test_a_clock_that_was_years_ahead_and_is_set_right_silences_nothing() -> None:
    wall = Wall()
    assert wall.at(12, 5, year=2031) == ["e/c"]
    assert wall.at(12, 15) == []
    wall.cron.look_again()
    assert wall.at(12, 20, JITTER_S) == ["e/c"]


def test_a_look_after_a_jump_takes_no_ring_away() -> None:
    wall = Wall()
    wall.time = dt.datetime(2026, 3, 1, 12, 10, tzinfo=dt.UTC)  # it may be due in some seconds, by its jitter
    wall.cron.look_again()
    assert wall.at(12, 10, JITTER_S) == ["e/c"]


@pytest.mark.anyio
async def test_rings_before_a_look_are_one_and_no_name_is_lost() -> None:
    bell = Bell()
    for name in ("e/a", "", "e/b", "e/a"):
        bell.ring(name)
    assert await bell.wait(0) == {"e/a", "e/b"}
    with anyio.fail_after(5):
        assert await bell.wait(0) == set()
