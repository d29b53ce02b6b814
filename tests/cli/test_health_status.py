"""How `status` knows a source without a daemon: from what the last pulls left in the lake."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from mirror.cli.report.daemon import daemon_lines
from mirror.cli.report.health import describe_source, lag_of, source_lines, source_statuses
from mirror.config import Config, HealthSettings, SourceSettings
from mirror.daemon.status.status_file import JobStatus
from mirror.store.read.overview import ProjectOverview
from tests.daemon.test_health import NOW, WELL, ago, source


def project(name: str, **fields: Any) -> ProjectOverview:
    plain = dict.fromkeys(("runs", "active", "gone", "failures", "quarantined", "incomplete", "files"), 0)
    none = dict.fromkeys(("runs_upstream", "watermark", "last_walk_at", "last_error", "last_error_at"))
    held = {"entity": "e", "project": name, "file_bytes": 0, "walk_under_way": False, "last_pass_at": ago(hours=1)}
    return ProjectOverview(**{**plain, **none, **held, **fields})


def config(**health: float) -> Config:
    return Config(health=HealthSettings(**health), source=(SourceSettings(path="e/a"), SourceSettings(path="e/*")))


def failing(name: str, good: dt.datetime | None) -> ProjectOverview:
    return project(name, last_pass_at=good, last_error="HTTP 500", last_error_at=ago(minutes=5))


def test_a_source_that_was_pulled_by_hand_is_never_late_by_itself() -> None:
    first, glob = source_statuses(config(), [project("a", last_pass_at=ago(days=90), active=2), project("b")], None)
    assert (first.last_good_at, first.active, first.due_at) == (ago(days=90), True, None)
    assert (glob.last_good_at, glob.active) == (ago(hours=1), False)
    assert not lag_of(first, NOW, HealthSettings()).late


def test_a_source_whose_last_pull_failed_is_late_when_the_last_good_one_is_old() -> None:
    health = HealthSettings(late_after_hours=6)
    for good, late in ((ago(hours=5), False), (ago(hours=7), True)):
        _, glob = source_statuses(config(), [project("b"), failing("c", good)], None)
        lag = lag_of(glob, NOW, health)
        assert (lag.late, lag.last_good_at, lag.last_error) == (late, good, "HTTP 500")
    _, never = source_statuses(config(), [failing("c", None)], None)
    assert (never.last_good_at, never.due_at) == (None, ago(minutes=5))


def test_a_timer_of_the_users_own_has_a_pace_where_the_configuration_says_so() -> None:
    first, _ = source_statuses(config(pull_within_hours=24), [project("a", last_pass_at=ago(hours=31))], None)
    assert first.due_at == ago(hours=7)
    assert lag_of(first, NOW, HealthSettings(late_after_hours=6)).late


def test_the_daemons_own_word_comes_first_and_a_source_that_it_does_not_know_yet_is_told_all_the_same() -> None:
    known = source(path="e/a", last_good_at=ago(minutes=1))
    daemon = WELL.__class__(**{**{name: getattr(WELL, name) for name in WELL.__struct_fields__}, "sources": [known]})
    first, glob = source_statuses(config(), [project("a"), project("b")], daemon)
    assert first is known
    assert glob.last_good_at == ago(hours=1)


def test_a_line_says_how_far_behind_a_source_is_and_of_many_those_with_trouble_come_first() -> None:
    health = HealthSettings(late_after_hours=6)
    bad = source(path="e/bad", last_good_at=None, due_at=ago(hours=7), last_error="gone", last_error_at=ago(minutes=5))
    well = source(path="e/p", next_at=NOW + dt.timedelta(minutes=4), active=True)
    assert describe_source(lag_of(bad, NOW, health), NOW) == ("e/bad: LATE, never pulled well, error 5 min ago: gone")
    assert describe_source(lag_of(well, NOW, health), NOW) == ("e/p: lag 5 min, runs under way, next pull in 4 min")
    lines = source_lines([lag_of(one, NOW, health) for one in [*[well] * 15, bad]], NOW)
    assert lines[0].startswith("source  e/bad: LATE")
    assert (len(lines), lines[-1].strip()) == (12, "5 more without an error")


def test_jobs_are_listed_with_their_next_time_and_of_many_the_first() -> None:
    jobs = [JobStatus(name="probe", state="due", next_at=None)]
    minutes = {n: NOW + dt.timedelta(minutes=n) for n in range(1, 13)}
    jobs += [JobStatus(name=f"pull e/p{n}", state="waiting", next_at=at) for n, at in minutes.items()]
    told = daemon_lines(msgspec.structs.replace(WELL, jobs=jobs), NOW)
    (line,) = [line for line in told if line.startswith("jobs")]
    assert line.startswith("jobs    probe due, pull e/p1 in 60 s, pull e/p2 in 2 min, ")
    assert line.endswith(", pull e/p9 in 9 min, 3 more")
    assert not [line for line in daemon_lines(WELL, NOW) if line.startswith("jobs")]
