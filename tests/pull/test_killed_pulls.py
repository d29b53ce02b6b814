"""Kill -9 at random instants of a pull of contents, and disks that fill up: the next pull ends equal to the server."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.forking import Forker
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import EVERYTHING, assert_equal, fill, history, mirror_of
from tests.truth import broken_objects

pytestmark = pytest.mark.crash

PROJECT = "killed"
LONGEST_S = 0.6  # about what a pull of the small project takes


@pytest.fixture
def forker(sandbox: Sandbox, home: Home) -> Iterator[Forker]:
    """Children that pull the sandbox into the home."""
    made = Forker(sandbox, home, f"{ENTITY}/{PROJECT}", policy=EVERYTHING)
    yield made
    made.close()


def change(sandbox: Sandbox, chance: random.Random, number: int) -> None:
    """What happens upstream between two pulls."""
    state = sandbox.state
    runs: list[Any] = list(state.project(ENTITY, PROJECT).runs.values())
    run = chance.choice(runs)
    last = run.history[-1]["_step"] + 1 if run.history else 0
    kind = number % 5
    if kind == 0:
        state.log_rows(ENTITY, PROJECT, run.name, history(last, last + 4))
        run.state = "running"
    elif kind == 1:
        state.finish_run(ENTITY, PROJECT, run.name)
    elif kind == 2:
        state.log_console(ENTITY, PROJECT, run.name, [f"more {number}"])
        state.add_file(ENTITY, PROJECT, run.name, f"new{number}.bin", bytes([number % 256]) * 30_000)
        state.changed(run, heartbeat=True)
    elif kind == 3:
        state.add_run(
            ENTITY, PROJECT, f"more{number:03}", history=history(0, 15), parts=2, files={"f.bin": b"f" * number}
        )
    else:
        state.add_artifact(ENTITY, PROJECT, "late", files={"x": b"x" * number, "y": b"x" * number}, run=run.name)
        state.changed(run, heartbeat=True)


def kill_and_go_on(sandbox: Sandbox, mirror: Mirror, forker: Forker, *, kills: int, seed: int, check_every: int) -> int:
    """Change the server, kill a pull, pull again; the lake is compared now and then, the objects each time."""
    chance = random.Random(seed)
    killed = 0
    for number in range(kills):
        if number:
            change(sandbox, chance, number)
        killed += forker.pull(kill_after_s=chance.uniform(0.02, LONGEST_S)) == -signal.SIGKILL
        if number % check_every == check_every - 1:
            if mirror.home.catalog.exists() and killed < number + 1:
                assert broken_objects(mirror) == []
            assert forker.pull() == 0
            assert_equal(sandbox, mirror, PROJECT)
            assert list(mirror.home.staged.iterdir()) == [], "staged objects were not recovered"
    assert forker.pull() == 0
    assert_equal(sandbox, mirror, PROJECT)
    return killed


def test_a_pull_killed_anywhere_goes_on_and_ends_equal_to_the_server(
    sandbox: Sandbox, home: Home, forker: Forker
) -> None:
    fill(sandbox, PROJECT, runs=4)
    mirror = mirror_of(sandbox, home, PROJECT)
    assert kill_and_go_on(sandbox, mirror, forker, kills=6, seed=3, check_every=3) >= 3


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_many_more_kills_end_equal_to_the_server(sandbox: Sandbox, home: Home, forker: Forker, seed: int) -> None:
    fill(sandbox, PROJECT, runs=12)
    mirror = mirror_of(sandbox, home, PROJECT)
    kill_and_go_on(sandbox, mirror, forker, kills=120, seed=seed, check_every=1)


def test_a_full_disk_stops_the_pull_with_a_clear_error_and_the_next_one_ends_it(
    sandbox: Sandbox, home: Home, forker: Forker
) -> None:
    fill(sandbox, PROJECT, runs=3)
    mirror = mirror_of(sandbox, home, PROJECT)
    assert forker.pull() == 0
    before = mirror.ask("SELECT * FROM lake.files ORDER BY run_id, name")
    sandbox.state.add_run(ENTITY, PROJECT, "large", history=history(0, 10), files={"large.bin": b"l" * 4_000_000})
    assert forker.pull(file_size=2_000_000) == 8
    assert mirror.run_ids() == ["r000", "r001", "r002"]
    assert broken_objects(mirror) == []
    assert mirror.ask("SELECT * FROM lake.files ORDER BY run_id, name") == before
    assert forker.pull() == 0
    assert_equal(sandbox, mirror, PROJECT)
    said = forker.close()
    assert "HomeUnusable" in said
    assert "full" in said
