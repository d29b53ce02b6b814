"""A writer that commits for months keeps its memory: what DuckLake gathers with each commit goes with its engine."""

from __future__ import annotations

import pytest

from mirror.errors import StoreError
from mirror.layout import Home
from mirror.store.engine import connection
from mirror.store.engine import lake as engine_of_lake
from mirror.store.engine import reader as reader_of_lake
from mirror.store.engine.connection import Engine, new_engine
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.sql.statements import connect
from mirror.store_settings import StoreSettings

ENGINE = StoreSettings(threads=1)


def commit(lake: Lake, number: int) -> None:
    """One run more."""
    with lake.transaction() as engine:
        engine.execute(
            "INSERT INTO lake.runs (entity, project, run_id, storage_id, synced_at, fingerprint)"
            f" VALUES ('e', 'p', 'r{number}', 's', now()::TIMESTAMP, 'f')"
        )


def run_ids(home: Home) -> list[str]:
    """All runs, as a reader sees them."""
    with connect(home) as reader:
        return [row[0] for row in reader.execute("SELECT run_id FROM runs ORDER BY length(run_id), run_id").fetchall()]


def test_an_engine_is_renewed_after_so_many_commits_and_nothing_is_seen_of_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_of_lake, "COMMITS_OF_AN_ENGINE", 3)
    engines: list[Engine] = []
    with Lake(home, deployment="d", settings=ENGINE) as lake, connect(home):
        for number in range(10):
            commit(lake, number)
            with lake.reading() as engine:
                engines.append(engine)
            assert run_ids(home) == [f"r{n}" for n in range(number + 1)]
    assert len(set(map(id, engines))) >= 3
    assert run_ids(home) == [f"r{n}" for n in range(10)]
    assert not list(home.root.glob(".spill-*"))


def test_an_engine_stays_while_somebody_reads_with_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_of_lake, "COMMITS_OF_AN_ENGINE", 1)
    with Lake(home, deployment="d", settings=ENGINE) as lake, lake.reading() as engine:
        commit(lake, 0)
        commit(lake, 1)
        assert engine.execute("SELECT count(*) FROM lake.runs").fetchone() == (2,)


def test_where_no_other_engine_is_to_be_had_the_old_one_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade under a running daemon, or with no memory left."""
    monkeypatch.setattr(engine_of_lake, "COMMITS_OF_AN_ENGINE", 1)

    def refused(settings: StoreSettings | None = None, of: Home | None = None, **_: object) -> object:
        raise StoreError("it was built for another DuckDB")

    with Lake(home, deployment="d", settings=ENGINE) as lake:
        monkeypatch.setattr(engine_of_lake, "new_engine", refused)
        for number in range(3):
            commit(lake, number)
        monkeypatch.setattr(engine_of_lake, "new_engine", new_engine)
        commit(lake, 3)
    assert run_ids(home) == ["r0", "r1", "r2", "r3"]


def test_a_small_lake_is_read_whole_and_one_that_grows_is_pruned_and_both_answer_alike(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prunes(lake: Lake | Reader) -> bool:
        ((disabled,),) = lake.rows("SELECT current_setting('disabled_optimizers')")
        return "filter_pushdown" not in disabled

    asked = "SELECT run_id FROM lake.runs WHERE entity = ? AND run_id > 'r' ORDER BY 1"
    with Lake(home, deployment="d", settings=ENGINE) as lake:
        commit(lake, 0)
        assert (prunes(lake), lake.rows(asked, ["e"])) == (False, [("r0",)])
        monkeypatch.setattr(connection, "SMALL_FILES", len(list(home.lake_data.rglob("*.parquet"))))
        commit(lake, 1)
        assert (prunes(lake), lake.rows(asked, ["e"])) == (True, [("r0",), ("r1",)])
        monkeypatch.setattr(engine_of_lake, "COMMITS_OF_AN_ENGINE", 1)
        commit(lake, 2)
        assert prunes(lake), "another engine plans as the one before it did"
    monkeypatch.setattr(connection, "SMALL_FILES", 1000)
    monkeypatch.setattr(connection, "SMALL_BYTES", 100)
    with Lake(home, deployment="d", settings=ENGINE) as lake:
        assert (prunes(lake), len(lake.rows(asked, ["e"]))) == (True, 3)


def test_a_reader_sees_that_a_small_lake_has_grown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "SELECT current_setting('disabled_optimizers')"
    monkeypatch.setattr(reader_of_lake, "SMALL_S", 0.0)
    with Lake(home, deployment="d", settings=ENGINE) as lake:
        commit(lake, 0)
        with Reader(home) as reader:
            assert "filter_pushdown" in reader.rows(asked)[0][0]
            with reader.engine() as before:
                monkeypatch.setattr(connection, "SMALL_FILES", len(list(home.lake_data.rglob("*.parquet"))))
                assert "filter_pushdown" in reader.rows(asked)[0][0]
                commit(lake, 1)
                assert "filter_pushdown" not in reader.rows(asked)[0][0]
                assert before.execute("SELECT count(*) FROM lake.runs").fetchall() == [(2,)], "it is not closed"
            assert reader.rows("SELECT run_id FROM lake.runs WHERE entity = 'e' ORDER BY 1") == [("r0",), ("r1",)]


def test_a_reader_that_is_asked_for_days_opens_the_lake_anew_now_and_then(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lake(home, deployment="d", settings=ENGINE) as lake:
        commit(lake, 0)
    monkeypatch.setattr(reader_of_lake, "OPEN_S", 0.0)
    reader, query = Reader(home), "SELECT run_id FROM lake.runs"
    with reader.engine() as engine:
        assert reader.rows(query) == [("r0",)]
        assert engine.execute(query).fetchall() == [("r0",)]  # whoever has an old one goes on with it
    monkeypatch.undo()
    with reader.engine() as first, reader.engine() as second:
        assert first is second
    reader.close()
