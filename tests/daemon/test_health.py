"""Healthy means that a person need do nothing: what settles itself is no finding while it is young."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from mirror.config import DaemonSettings, HealthSettings, SourceSettings
from mirror.daemon.schedule.owed import owed_at
from mirror.daemon.status.health import FINDING_NAMES, Vitals, daemon_vitals, judge
from mirror.daemon.status.status_file import Backlog, DaemonStatus, SourceStatus, WatchStatus, WorkerStatus

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).replace(tzinfo=None)
SETTINGS = HealthSettings(late_after_hours=6, backlog_after_hours=3, disk_free_min_gb=1)
BUSY = WorkerStatus(name="pull", state="busy", crashes=0, last_error=None)

WATCH = WatchStatus(
    folder="~/out", path="e/p/r", queued=0, changing=0, left_out=0, left_out_reason=None, last_queued=None,
    last_queued_at=None, last_error="no such folder", last_error_at=NOW,
)  # fmt: skip


def ago(**span: float) -> dt.datetime:
    return NOW - dt.timedelta(**span)


def source(**fields: Any) -> SourceStatus:
    good = {"path": "e/p", "active": False, "last_good_at": ago(minutes=5), "next_at": None, "last_error": None}
    return SourceStatus(**{**good, "last_error_at": None, "due_at": NOW + dt.timedelta(minutes=55), **fields})


WELL = DaemonStatus(
    pid=7, since=ago(days=40), updated_at=ago(seconds=3), state="online", offline_since=None, offline_reason=None,
    config_error=None, workers=[BUSY], sources=[source()], waiting=0, needs_person=0, requests=9, bytes_down=9,
    bytes_up=0, disk_free=5 * 10**9,
)  # fmt: skip


def names(vitals: Vitals) -> list[str]:
    return [finding.name for finding in judge(vitals, SETTINGS)]


def daemon(**fields: Any) -> list[str]:
    """What is found of a daemon that is well but for this."""
    return names(daemon_vitals(msgspec.structs.replace(WELL, **fields), NOW))


def home(**fields: Any) -> list[str]:
    """The same of a mirror without a daemon."""
    none = Vitals(
        now=NOW, daemon=None, ended=None, sources=[], conflict=0, dead=0, aside=0, oldest_at=None, quarantined=0,
        disk_free=None,
    )  # fmt: skip
    return names(msgspec.structs.replace(none, **fields))


def test_a_daemon_at_work_is_healthy() -> None:
    assert daemon() == []
    assert daemon(outbox=Backlog(new=5, claimed=1, oldest_at=ago(hours=2))) == []
    assert daemon(sources=[source(last_error="HTTP 502", last_error_at=ago(minutes=5))]) == []


def test_being_offline_is_unhealthy_only_when_something_waited_too_long() -> None:
    away: dict[str, Any] = {"state": "offline", "offline_reason": "no route", "offline_since": ago(hours=2)}
    assert daemon(**away) == []
    assert daemon(sources=[source(due_at=ago(days=2), pulling=True)]) == [], "a first pull may take days"
    assert daemon(**away, sources=[source(due_at=ago(hours=5.9))]) == []
    assert daemon(**away, sources=[source(due_at=ago(hours=6.1))]) == ["source_late"]
    assert daemon(**away, outbox=Backlog(new=1, oldest_at=ago(hours=3.1))) == ["backlog_old"]
    (late,) = judge(
        daemon_vitals(
            msgspec.structs.replace(
                WELL,
                **away,
                sources=[source(due_at=ago(hours=7), last_good_at=ago(hours=8)), source(due_at=ago(days=1))],
            ),
            NOW,
        ),
        SETTINGS,
    )
    assert late.sentence == "the last good pull of e/p was 8 h ago (no route); also late: 1 more"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"state": "key_refused", "offline_reason": "HTTP 401", "offline_since": ago(minutes=1)}, "key_refused"),
        ({"config_error": "source[0].path is wrong"}, "config_refused"),
        ({"updated_at": ago(minutes=2)}, "daemon_silent"),
        ({"workers": [msgspec.structs.replace(BUSY, state="stuck")]}, "worker_stuck"),
        ({"workers": [msgspec.structs.replace(BUSY, doing="pulling e/p", still_s=400)]}, "worker_still"),
        ({"workers": [msgspec.structs.replace(BUSY, state="restarting", last_error="boom")]}, "worker_restarting"),
        ({"watches": [WATCH]}, "watch_failed"),
        ({"gateway_error": "Address already in use"}, "gateway_down"),
        ({"state": "lake_away", "lease": "PostgreSQL of db/mirror does not answer"}, "lake_away"),
        ({"sources": [source(due_at=ago(days=1), last_good_at=None)]}, "source_late"),
        ({"outbox": Backlog(claimed=1, oldest_at=ago(days=1))}, "backlog_old"),
        ({"outbox": Backlog(conflict=1)}, "conflicts"),
        ({"outbox": Backlog(dead=1)}, "refused"),
        ({"outbox": Backlog(aside=1)}, "set_aside"),
        ({"quarantined": 1}, "quarantined"),
        ({"disk_free": 10**8}, "disk_nearly_full"),
        ({"maintenance_error": "disk"}, "maintenance_failed"),
    ],
)
def test_each_thing_that_waits_for_a_person_is_one_finding_that_says_what_to_type(
    fields: dict[str, Any], name: str
) -> None:
    (finding,) = judge(daemon_vitals(msgspec.structs.replace(WELL, **fields), NOW), SETTINGS)
    assert finding.name == name
    assert finding.sentence
    assert finding.hint
    assert len(f"{finding.sentence}{finding.hint}".splitlines()) == 1


def test_no_daemon_is_no_finding_unless_one_ended_that_nobody_stopped() -> None:
    assert home() == []
    assert home(sources=[source(last_good_at=ago(days=30), due_at=None)]) == []
    assert home(ended=WELL) == ["daemon_ended"]
    assert home(left_behind=2, unfinished=1) == ["pull_unfinished", "left_behind"]
    assert home(sources=[source(due_at=ago(hours=7))], oldest_at=ago(hours=4)) == ["source_late", "backlog_old"]


def test_causes_are_named_before_what_follows_and_each_name_once() -> None:
    troubled = daemon(
        state="key_refused", offline_reason="HTTP 401", quarantined=3, disk_free=0,
        sources=[source(due_at=ago(days=1)), source(path="e/q", due_at=ago(days=2))],
        workers=[msgspec.structs.replace(BUSY, state="stuck"), WorkerStatus(
            name="replay", state="stuck", crashes=0, last_error=None)],
    )  # fmt: skip
    assert troubled == ["key_refused", "worker_stuck", "source_late", "quarantined", "disk_nearly_full"]
    assert len(set(FINDING_NAMES)) == len(FINDING_NAMES)


def test_a_source_owes_a_pull_by_its_own_pace() -> None:
    settings, at = DaemonSettings(poll_minutes=10, poll_quiet_minutes=60), dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    assert owed_at(settings, SourceSettings(path="e/p"), at) == at + dt.timedelta(hours=1)
    assert owed_at(settings, SourceSettings(path="e/p", poll_minutes=5), at) == at + dt.timedelta(minutes=5)
    weekly = owed_at(settings, SourceSettings(path="e/p", poll_cron="0 3 * * mon"), at)
    assert weekly is not None
    assert dt.timedelta(hours=1) < weekly - at <= dt.timedelta(days=8)
    assert owed_at(settings, SourceSettings(path="e/p", poll_cron="0 0 30 2 *"), at) is None
