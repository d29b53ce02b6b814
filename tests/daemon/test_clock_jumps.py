"""A laptop sleeps, a wall clock is set: nothing waits for a time that was never meant, and everything is looked at."""

from __future__ import annotations

import datetime as dt

import pytest

from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.records.operations import Edit, Entry
from mirror.records.passes import OpenFailure, next_attempt
from mirror.replay.order import is_due, later, may_go

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
YEARS = dt.timedelta(days=1000)
HOUR = dt.timedelta(hours=1)


def put_back(home: Home, at: dt.datetime) -> Entry:
    """An entry whose delivery failed when the wall clock showed `at`."""
    outbox = Outbox(home, now=lambda: at)
    with outbox.replaying():
        claimed = outbox.claim(outbox.put(RunPath("e", "p", "r"), None, Edit(fields={})))
        assert claimed is not None
        return outbox.put_back(claimed, "the server is busy", later(3, at, 0.5))


def test_an_operation_that_failed_under_a_wrong_clock_is_tried_again_under_the_right_one(home: Home) -> None:
    entry = put_back(home, NOW + YEARS)
    assert may_go(entry, NOW)
    assert is_due(Outbox(home), NOW)


@pytest.mark.parametrize("attempts", [0, 3, 9, 500])
def test_an_operation_that_failed_under_a_right_clock_waits_its_time(home: Home, attempts: int) -> None:
    entry = put_back(home, NOW)
    assert not may_go(entry, NOW)
    assert not is_due(Outbox(home), NOW)
    assert may_go(entry, NOW + HOUR)
    for random in (0.0, 1.0):
        assert NOW < later(attempts, NOW, random) <= NOW + 1.25 * HOUR


@pytest.mark.parametrize("attempts", range(4, 11))
def test_an_item_that_failed_under_a_wrong_clock_is_tried_again_under_the_right_one(attempts: int) -> None:
    ahead = OpenFailure(attempts=attempts, next_at=next_attempt(attempts, NOW + YEARS), quarantined=False)
    right = OpenFailure(attempts=attempts, next_at=next_attempt(attempts, NOW), quarantined=False)
    assert ahead.is_due(NOW, retry_quarantined=False)
    assert not right.is_due(NOW, retry_quarantined=False)
    assert right.is_due(NOW + dt.timedelta(days=1), retry_quarantined=False)
