"""How crashes of a worker are counted."""

from __future__ import annotations

from mirror.config import DaemonSettings
from mirror.daemon.workers.restarts import Restarts


def test_crashes_are_answered_with_growing_waits_and_a_loop_is_given_up() -> None:
    restarts = Restarts(DaemonSettings(crashes_max=5, crashes_within_minutes=10))
    assert [restarts.crashed(at) for at in (0.0, 10.0, 20.0, 30.0)] == [1.0, 2.0, 4.0, 8.0]
    assert restarts.crashed(40.0) is None


def test_crashes_far_apart_are_no_loop() -> None:
    restarts = Restarts(DaemonSettings(crashes_max=3, crashes_within_minutes=10))
    assert [restarts.crashed(hour * 3600.0) for hour in range(50)] == [1.0] * 50
