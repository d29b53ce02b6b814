"""Days of random life, troubles and kills: in the end the mirror is the server's truth, and nothing is lost."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest

from tests.daemon.soak.gauge import grown_fds, grown_mb
from tests.daemon.soak.story import Story, Told
from tests.daemon.soak.trouble import CHANCES

ALARMS = {"config_refused"}  # errors that the story explains: it writes bad configurations
GROWTH_FDS = 40  # connections that are kept come and go


def tell(
    folder: Path, *, seed: int, days: float, step_minutes: float, growth_mb: float, each_once: bool = False
) -> Told:
    """Tell a story, judge its end, and print what came to pass; a life may grow so much: its caches fill."""
    story = Story(folder, seed=seed, days=days, step_minutes=step_minutes, each_once=each_once)
    print(f"seed {seed}")
    try:
        told = story.tell()
        print(json.dumps(dataclasses.asdict(told), indent=1))
        assert list(story.judge.unaccounted(story.local.asked, story.requests)) == []
        assert list(story.judge.lost(story.ever)) == []
        assert_logs_are_as_they_should_be(story)
        assert_flat(story, growth_mb)
        assert story.requests.leaks == 0
        assert told.looks["run"] > 0
        assert told.looks["sql"] > 0
    finally:
        story.close()
    return told


def assert_logs_are_as_they_should_be(story: Story) -> None:
    """Every line is JSON, no alarm is unexplained, and nobody said the key."""
    alarms = [line for line in story.lines() if line["level"] == "error" and line["event"] not in ALARMS]
    assert alarms == []
    for path in story.folder.glob("log.*"):
        assert story.sandbox.api_key not in path.read_text()


def assert_flat(story: Story, growth_mb: float) -> None:
    """Neither memory nor open files grow over a long life."""
    for samples in story.gauge.long_lives():
        print(f"a life of {len(samples)} samples grew by {grown_mb(samples):.1f} MB, {grown_fds(samples)} files")
        assert grown_mb(samples) < growth_mb
        assert grown_fds(samples) < GROWTH_FDS


def test_half_a_day_with_each_trouble_ends_with_the_servers_truth(tmp_path: Path) -> None:
    told = tell(tmp_path, seed=8, days=0.5, step_minutes=30, growth_mb=120, each_once=True)
    assert told.troubles == dict.fromkeys(CHANCES, 1)
    assert told.lives > 2
    assert told.events["pull_done"] > 2
    assert told.events["replay_done"] > 0
    assert told.events["maintenance_done"] > 0


@pytest.mark.soak
def test_ten_days_of_random_life_end_with_the_servers_truth(tmp_path: Path) -> None:
    told = tell(tmp_path, seed=random.SystemRandom().randrange(10**6), days=10, step_minutes=16, growth_mb=80)
    assert told.longest_life > 200, "samples of the life that is long enough to tell whether anything grows"
    assert min(told.looks.values()) > 100
    assert told.events["maintenance_done"] >= 7
    assert told.events["pull_done"] > 50
    assert {"kill", "term", "outage", "names", "too_many", "reload"} <= told.troubles.keys()
    assert told.real_s < 300
