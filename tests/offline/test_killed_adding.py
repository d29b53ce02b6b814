"""Kill -9 at any instant of an `add`: the next one goes on, and the lake ends as if it had been added at once."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.cli.conftest import IMPATIENT
from tests.forking import Forker
from tests.offline.added import held
from tests.offline.logs import file_record, offline_log, run_records, write_log

pytestmark = pytest.mark.crash

LONGEST_S = 1.0  # about what it takes


def configured(home: Home, sandbox: Sandbox) -> Home:
    """A home of the sandbox without a lake."""
    home.root.mkdir(0o700)
    (home.root / "mirror.toml").write_text(f"{IMPATIENT}base_url = {json.dumps(sandbox.url)}\n")
    return home


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder of runs, one of them in two logs."""
    folder = tmp_path / "trained"
    for number, steps in enumerate((260, 130, 20)):
        log = offline_log(folder, f"r{number}")
        files = log.parent / "files"
        files.mkdir(parents=True)
        for name in ("a.txt", "b.txt"):
            (files / name).write_text(f"{name} of {number}" * 1000)
        write_log(log, [*run_records(f"r{number}", steps, wide=100)][:-1])
        write_log(log, [file_record("*.txt", 2), *[*run_records("", 0)][-1:]])
    again = folder / "wandb" / "offline-run-20260102_000000-r1" / "run-r1.wandb"
    write_log(again, [*run_records("r1", 40, config={"again": True}, started=2_000_000_000)])
    return folder


@pytest.fixture
def forker(sandbox: Sandbox, home: Home, trained: Path) -> Iterator[Forker]:
    """Children that add the folder to the home."""
    made = Forker(sandbox, configured(home, sandbox), str(trained))
    yield made
    made.close()


def kill_and_go_on(forker: Forker, trained: Path, *, kills: int, seed: int) -> int:
    """Let a log grow, add and kill, again and again, then let it end; how many were killed."""
    chance = random.Random(seed)
    log, records = offline_log(trained, "grows"), [*run_records("grows", 15 * kills, wide=50)]
    killed = 0
    for number in range(kills):
        write_log(log, records[number * len(records) // kills : (number + 1) * len(records) // kills])
        killed += forker.do("add", kill_after_s=chance.uniform(0.0, LONGEST_S)) == -signal.SIGKILL
    assert forker.do("add") == 0, forker.close()
    return killed


def added_at_once(sandbox: Sandbox, trained: Path, folder: Path) -> Home:
    """Another home, to which nothing happened."""
    once = configured(Home(folder / "once"), sandbox)
    forker = Forker(sandbox, once, str(trained))
    assert forker.do("add") == 0, forker.close()
    forker.close()
    return once


def test_an_add_that_is_killed_anywhere_ends_equal_to_one_that_was_not(
    sandbox: Sandbox, home: Home, trained: Path, tmp_path: Path, forker: Forker
) -> None:
    assert kill_and_go_on(forker, trained, kills=6, seed=7) >= 2
    # When a log was looked at decides what counts as one tail, and no more.
    once = added_at_once(sandbox, trained, tmp_path)
    assert held(home, "history", "completeness") == held(once, "history", "completeness")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_many_more_kills_end_equal(
    sandbox: Sandbox, home: Home, trained: Path, tmp_path: Path, forker: Forker, seed: int
) -> None:
    kill_and_go_on(forker, trained, kills=100, seed=seed)
    once = added_at_once(sandbox, trained, tmp_path)
    assert held(home, "history", "completeness") == held(once, "history", "completeness")
