"""When sources are pulled, and how crashes are counted."""

from __future__ import annotations

import pytest

from mirror.config import DaemonSettings, SourceSettings
from mirror.daemon.pace import JITTER, Timetable, next_wait_s
from mirror.daemon.restarts import Restarts
from mirror.errors import ConfigError

SETTINGS = DaemonSettings(poll_minutes=10, poll_active_minutes=2, poll_quiet_minutes=60)
PLAIN = SourceSettings(path="e/p")


def wait_s(
    *, active: bool = False, moved: bool = False, before_s: float = 600, source: SourceSettings = PLAIN
) -> float:
    return next_wait_s(SETTINGS, source, active=active, moved=moved, before_s=before_s)


def test_a_source_with_active_runs_is_pulled_more_often() -> None:
    assert wait_s(active=True, before_s=3600) == 120


def test_a_quiet_source_is_pulled_less_and_less_but_never_less_than_configured() -> None:
    waits = [600.0]
    for _ in range(10):
        waits.append(wait_s(before_s=waits[-1]))
    assert waits[:3] == [600, 900, 1350]
    assert waits[-1] == 3600
    assert wait_s(moved=True, before_s=3600) == 600, "something moved"


def test_a_source_of_its_own_pace_keeps_it() -> None:
    own = SourceSettings(path="e/p", poll_minutes=7)
    assert {wait_s(source=own, active=active, moved=moved) for active in (True, False) for moved in (True, False)} == {
        420
    }


def test_a_quiet_bound_below_the_usual_pace_does_not_hurry() -> None:
    odd = DaemonSettings(poll_minutes=10, poll_quiet_minutes=1)
    assert next_wait_s(odd, PLAIN, active=False, moved=False, before_s=600) == 600


def test_all_sources_are_due_in_the_beginning_and_none_forgets_its_turn() -> None:
    cron = SourceSettings(path="e/c", poll_cron="0 * * * *")
    table = Timetable(SETTINGS, [PLAIN, SourceSettings(path="e/q"), cron], 100.0, lambda: 0.0)
    assert table.due(100.0) == ["e/p", "e/q"]
    table.pulled("e/p", 100.0, active=True, moved=True)
    table.pulled("e/q", 100.0, active=False, moved=False)
    table.pulled("e/c", 100.0, active=True, moved=True)
    assert (table.due(100.0), table.wait_s(100.0)) == ([], 120.0)
    assert table.due(220.0) == ["e/p"]
    assert table.due(700.0) == ["e/p", "e/q"]
    table.pulled("e/p", 700.0, active=False, moved=True)
    table.hurry(701.0)
    assert table.due(701.0) == ["e/p", "e/q"], "the machine woke up"
    assert table.next_at("e/c") is None


def test_a_table_of_cron_sources_alone_waits_for_no_time() -> None:
    assert (
        Timetable(SETTINGS, [SourceSettings(path="e/c", poll_cron="0 * * * *")], 0.0, lambda: 0.0).wait_s(0.0) is None
    )


def test_jitter_only_lengthens_a_wait() -> None:
    table = Timetable(SETTINGS, [PLAIN], 0.0, lambda: 1.0)
    table.pulled("e/p", 0.0, active=True, moved=True)
    assert table.wait_s(0.0) == pytest.approx(120 * (1 + JITTER))


def test_crashes_are_answered_with_growing_waits_and_a_loop_is_given_up() -> None:
    restarts = Restarts(DaemonSettings(crashes_max=5, crashes_within_minutes=10))
    assert [restarts.crashed(at) for at in (0.0, 10.0, 20.0, 30.0)] == [1.0, 2.0, 4.0, 8.0]
    assert restarts.crashed(40.0) is None


def test_crashes_far_apart_are_no_loop() -> None:
    restarts = Restarts(DaemonSettings(crashes_max=3, crashes_within_minutes=10))
    assert [restarts.crashed(hour * 3600.0) for hour in range(50)] == [1.0] * 50


def test_a_cron_expression_is_checked_before_it_is_used() -> None:
    from mirror.daemon.cron import cron_trigger

    assert cron_trigger(SourceSettings(path="e/p", poll_cron="*/5 2-4 * * mon"))
    with pytest.raises(ConfigError, match=r"poll_cron of e/p is no cron expression: 'every day'"):
        cron_trigger(SourceSettings(path="e/p", poll_cron="every day"))


def test_a_source_has_one_pace() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        SourceSettings(path="e/p", poll_minutes=1, poll_cron="0 * * * *")
