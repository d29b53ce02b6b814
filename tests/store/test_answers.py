"""What the lake answered is remembered for as long as it is true."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mirror.errors import StoreError
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.records.passes import Changes, Failure, SourceState
from mirror.sandbox import Sandbox
from mirror.store.engine.answers import MOST_CHARACTERS, SHARE, Answers
from mirror.store.engine.lake import Lake
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.reader import Reader
from mirror.store.write.sources import commit_source
from mirror.store.write.writer import commit
from tests.mirroring import Mirror, empty_lake, lakes_stay_open

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KEY = ProjectKey("team", "proj")
QUESTIONS = (
    "SELECT project, last_pass_at FROM lake.sources ORDER BY ALL",
    "SELECT count(*) FROM lake.failures",
    "SELECT item, reason FROM lake.failures ORDER BY ALL",
    "SELECT count(*) FROM lake.failures f JOIN lake.sources s USING (entity, project)",
    "SELECT count(*) FROM lake.runs",
    "SELECT id FROM lake.current_snapshot()",
    "SELECT count(*) FROM lake.snapshots()",
    "SELECT max(snapshot_id) FROM __ducklake_metadata_lake.main.ducklake_snapshot",
    "SELECT count(*) FROM ducklake_snapshots('lake')",
)


@pytest.fixture
def lake(home: Home) -> Iterator[Lake]:
    with empty_lake(home) as opened:
        yield opened


def fail_to_write(lake: Lake) -> None:
    with lake.transaction(only="sources") as engine:
        engine.execute("DELETE FROM lake.sources")
        assert lake.rows(QUESTIONS[0]) == [], "its own view, while it writes"
        raise OSError("no space left")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_committed_or_failed_an_answer_is_that_of_the_last_commit(
    lake: Lake, home: Home, seed: int
) -> None:
    chosen = random.Random(seed)
    reader = Reader(home)
    for step in range(25):
        at = AT + dt.timedelta(seconds=step)
        match chosen.randrange(5):
            case 0 | 1:
                commit_source(lake, KEY, SourceState(last_pass_at=at))
            case 2:
                failed = (Failure(run_id="r", item=f"item {step}", reason="it broke"),)
                commit(lake, Changes(key=KEY, at=at, failed=failed))
            case 3:
                with pytest.raises(StoreError):
                    fail_to_write(lake)
            case _:
                with lake.reading() as engine:
                    engine.execute("SELECT 1")
        for question in chosen.sample(QUESTIONS, 6):
            assert lake.rows(question) == reader.rows(question), question
    reader.close()


def test_a_pass_that_finds_what_the_one_before_found_asks_the_lake_next_to_nothing(
    sandbox: Sandbox, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        sandbox.state.add_run("team", "proj", f"r{number}", history=[{"_step": 0, "loss": 1.0}], files={"a": b"a"})
    asked: list[str] = []
    real = Snapshot.rows

    def noted(self: Snapshot, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        asked.append(query)
        return real(self, query, parameters)

    with lakes_stay_open():
        for _ in range(3):
            mirror.pull()
        monkeypatch.setattr(Snapshot, "rows", noted)
        assert mirror.pull().errors == []
        assert 0 < len(asked) <= 5, asked
        sandbox.state.edit_run("team", "proj", "r1", notes="changed")
        assert [project.written for project in mirror.pull().projects] == [1]
    assert mirror.run("r1")["notes"] == "changed"


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    answers = Answers()
    answers.put("all of it", [("x" * (MOST_CHARACTERS // SHARE),)])
    answers.put("lists of it", [(["x" * 1000] * (MOST_CHARACTERS // SHARE // 1000),)])
    assert answers.get("all of it") is answers.get("lists of it") is None, "too large"
    many = 2 * SHARE * 10
    for number in range(many):
        answers.put(f"question {number}", [("x" * (MOST_CHARACTERS // SHARE // 10 - 100),)])
    held = [number for number in range(many) if answers.get(f"question {number}") is not None]
    assert held == list(range(many - len(held), many))
    assert SHARE * 9 < len(held) < many
    answers.clear()
    assert answers.get(f"question {many - 1}") is None
