"""When jobs come next, by values alone."""

from __future__ import annotations

import datetime as dt

import pytest

from mirror.config import DaemonSettings, SourceSettings
from mirror.daemon.schedule.triggers import (
    CRON_JITTER_S,
    PULL_JITTER,
    Adaptive,
    Cron,
    Every,
    Never,
    Probing,
    Pulled,
    Trigger,
    cron_trigger,
    pull_trigger,
    reconcile_trigger,
)
from mirror.errors import ConfigError

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SETTINGS = DaemonSettings(
    poll_minutes=10, poll_active_minutes=2, poll_quiet_minutes=60, probe_first_s=5, probe_longest_s=300
)
PLAIN = SourceSettings(path="e/p")
QUIET, MOVED = Pulled(active=False, moved=False), Pulled(active=False, moved=True)
ACTIVE = Pulled(active=True, moved=False)


def waits_s(trigger: Trigger, *outcomes: object) -> list[float]:
    """Seconds until the job comes: at first, and after each outcome."""
    found = []
    for outcome in (None, *outcomes):
        trigger = trigger if outcome is None else trigger.after(outcome)
        at = trigger.get_next_fire_time(None, NOON)
        assert at is not None
        found.append((at - NOON).total_seconds())
    return found


def pace(source: SourceSettings = PLAIN, settings: DaemonSettings = SETTINGS, random: float = 0.0) -> Trigger:
    return pull_trigger(settings, source, lambda: random)


def test_a_source_is_due_in_the_beginning_for_nobody_knows_what_was_missed() -> None:
    assert waits_s(pace()) == [0]


def test_a_source_with_active_runs_is_pulled_more_often() -> None:
    assert waits_s(pace(), QUIET, QUIET, ACTIVE, ACTIVE) == [0, 600, 900, 120, 120]


def test_a_quiet_source_is_pulled_less_and_less_but_never_less_than_configured() -> None:
    waits = waits_s(pace(), *[QUIET] * 10, MOVED)
    assert waits[1:4] == [600, 900, 1350]
    assert waits[-2:] == [3600, 600], "something moved"


def test_a_source_of_its_own_pace_keeps_it() -> None:
    own = pace(SourceSettings(path="e/p", poll_minutes=7))
    assert waits_s(own, QUIET, ACTIVE, MOVED) == [0, 420, 420, 420]


def test_a_quiet_bound_below_the_usual_pace_does_not_hurry() -> None:
    assert waits_s(pace(settings=DaemonSettings(poll_minutes=10, poll_quiet_minutes=1)), QUIET, QUIET) == [0, 600, 600]


def test_jitter_only_lengthens_a_wait() -> None:
    assert waits_s(pace(random=1.0), ACTIVE) == [0, pytest.approx(120 * (1 + PULL_JITTER))]


def test_probes_grow_to_a_bound_and_end_with_an_answer() -> None:
    probing = Probing(settings=SETTINGS, random=lambda: 0.0)
    assert waits_s(probing, *[False] * 7) == [5, 10, 20, 40, 80, 160, 300, 300]
    assert waits_s(Probing(settings=SETTINGS, random=lambda: 1.0, probes=10**6)) == [375]
    answered = probing.after(True)
    assert answered == Never()
    assert answered.get_next_fire_time(None, NOON) is None


def test_maintenance_comes_sooner_for_the_first_time_and_is_not_owed_after_a_crash() -> None:
    assert waits_s(Every(86400, first_s=3600), True, True) == [3600, 86400, 86400]
    assert not Every(1).stays_due
    assert pace().stays_due


def test_what_waits_keeps_its_wait_when_the_wall_clock_steps() -> None:
    for step in (-1000 * HOUR, 5 * HOUR):
        assert pace().stepped(NOON + HOUR, step, NOON + step) == NOON + HOUR + step


def cron(expression: str = "*/10 * * * *", jitter: int | None = None) -> Cron:
    trigger = cron_trigger(SourceSettings(path="e/c", poll_cron=expression))
    trigger.jitter = jitter
    return trigger


def test_cron_comes_after_now_whatever_was_missed() -> None:
    ten = NOON + dt.timedelta(minutes=10)
    assert cron().get_next_fire_time(None, NOON) == ten
    assert cron().get_next_fire_time(NOON - 100 * HOUR, NOON) == ten, "what was missed comes once"
    assert cron("0 0 30 2 *").get_next_fire_time(None, NOON) is None
    jittered = cron_trigger(SourceSettings(path="e/c", poll_cron="*/10 * * * *")).get_next_fire_time(None, NOON)
    assert jittered is not None
    assert ten <= jittered <= ten + dt.timedelta(seconds=CRON_JITTER_S)


def test_cron_is_reckoned_by_the_clock_as_it_is_and_never_put_off() -> None:
    ten = NOON + dt.timedelta(minutes=10)
    assert cron().stepped(ten + 1000 * HOUR, -1000 * HOUR, NOON) == ten, "a clock that was ahead silences nothing"
    assert cron().stepped(ten, 5 * HOUR, NOON + 5 * HOUR) == ten, "it was missed, and is due"


def test_all_runs_are_compared_so_long_after_the_last_time_and_with_a_pull_of_cron() -> None:
    every = dt.timedelta(hours=24)
    plain = reconcile_trigger(PLAIN, NOON, every)
    assert plain.get_next_fire_time(None, NOON) == NOON + every
    assert plain.get_next_fire_time(None, NOON + every) is None, "it is over; the next pull sees to it"
    assert plain.stepped(NOON + every, 5 * HOUR, NOON + 5 * HOUR) == NOON + every, "that is how the pull reckons"
    hourly = reconcile_trigger(SourceSettings(path="e/c", poll_cron="30 * * * *"), NOON, every)
    at = hourly.get_next_fire_time(None, NOON)
    assert at is not None
    assert 0 <= (at - NOON - every - HOUR / 2).total_seconds() <= CRON_JITTER_S


def test_a_cron_expression_is_checked_before_it_is_used() -> None:
    assert isinstance(pace(SourceSettings(path="e/p", poll_cron="*/5 2-4 * * mon")), Cron)
    with pytest.raises(ConfigError, match=r"poll_cron of e/p is no cron expression: 'every day'"):
        cron_trigger(SourceSettings(path="e/p", poll_cron="every day"))


def test_a_source_has_one_pace() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        SourceSettings(path="e/p", poll_minutes=1, poll_cron="0 * * * *")
    assert isinstance(pace(SourceSettings(path="e/p", poll_minutes=1)), Adaptive)
