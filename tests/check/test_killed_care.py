"""Kill -9 at random instants of maintenance and of a repair: nothing that is held is lost, and the next one goes on."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.check.homes import look
from tests.check.test_repair import held_bytes
from tests.forking import Forker
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import EVERYTHING, assert_equal, fill, mirror_of
from tests.pull.test_killed_pulls import PROJECT, change

pytestmark = pytest.mark.crash

LONGEST_S = {"maintain": 0.5, "repair": 0.35}  # about what each takes


@pytest.fixture
def forker(sandbox: Sandbox, home: Home) -> Iterator[Forker]:
    """Children that work on the home."""
    made = Forker(sandbox, home, f"{ENTITY}/{PROJECT}", policy=EVERYTHING)
    yield made
    made.close()


def spoil(home: Home, chance: random.Random) -> None:
    """Flip a byte of some objects."""
    for path in [path for path in sorted(home.objects.rglob("*")) if path.is_file() and chance.random() < 0.4]:
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"?")


def care_and_kill(sandbox: Sandbox, mirror: Mirror, forker: Forker, job: str, *, kills: int, seed: int) -> int:
    """Until so many were killed; what is held is sound after each maintenance, and after each repair and pull."""
    chance = random.Random(seed)
    killed = 0
    for number in range(4 * kills):
        if killed == kills:
            break
        change(sandbox, chance, number)
        assert forker.pull() == 0
        if job == "repair":
            spoil(mirror.home, chance)
        killed += forker.do(job, kill_after_s=chance.uniform(0.01, LONGEST_S[job])) == -signal.SIGKILL
        if job == "repair":
            assert forker.do(job) == 0
            assert forker.pull() == 0
        report = look(mirror.home)
        assert report.is_sound, report.findings
        assert_equal(sandbox, mirror, PROJECT)
    if job == "maintain":
        assert forker.do(job) == 0
        assert look(mirror.home).is_sound
        assert_equal(sandbox, mirror, PROJECT)
    return killed


@pytest.mark.parametrize("job", ["maintain", "repair"])
def test_care_that_is_killed_anywhere_loses_nothing(sandbox: Sandbox, home: Home, forker: Forker, job: str) -> None:
    fill(sandbox, PROJECT, runs=2)
    mirror = mirror_of(sandbox, home, PROJECT)
    assert forker.pull() == 0
    assert care_and_kill(sandbox, mirror, forker, job, kills=1, seed=5) == 1
    assert held_bytes(home)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("job", ["maintain", "repair"])
def test_nor_does_it_after_many_more_kills(sandbox: Sandbox, home: Home, forker: Forker, job: str, seed: int) -> None:
    fill(sandbox, PROJECT, runs=8)
    mirror = mirror_of(sandbox, home, PROJECT)
    assert forker.pull() == 0
    assert care_and_kill(sandbox, mirror, forker, job, kills=25, seed=seed) == 25
