"""A reader sees one committed state, whole, while another process writes; and neither waits for the other."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time

import pytest

from mirror.errors import StoreError
from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from mirror.store.engine import connection
from mirror.store.engine.lake import Lake
from mirror.store.engine.meta import has_table
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.reader import Reader
from mirror.store.sql.statements import connect
from tests.cli.warm import WarmScript, module
from tests.mirroring import ENTITY, PROJECT, Mirror, make_lake

PAGE = 10


def test_a_second_process_that_reads_in_a_loop_sees_no_error_and_only_whole_commits(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    with Lake(mirror.home, deployment=mirror.url.removeprefix("http://")):
        pass
    for number in range(6 * PAGE):
        when = f"2024-01-01T00:{number // 60:02}:{number % 60:02}"
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number}", created_at=when)
    readers = [WarmScript(module("tests.store.reader"), str(mirror.home.root), str(PAGE)) for _ in range(2)]
    for reader in readers:
        assert reader.hear() == "ready"
    # DuckDB's SQLite waits in whole seconds where two processes open a catalog at the same moment.
    sandbox.faults.add(Fault.latency(0.5, match=Match(operation="MirrorRuns")))
    report = mirror.using(page_size_start=PAGE, page_size_max=PAGE).pull()
    assert report.errors == []
    for reader in readers:
        story = json.loads(reader.close("stop\n"))
        assert reader.process.returncode == 0
        assert len(story["seen"]) >= 3, story


def test_a_reader_in_a_transaction_keeps_its_snapshot(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "first")
    mirror.pull()
    with connect(mirror.home) as engine:
        engine.execute("BEGIN")
        assert engine.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
        sandbox.state.add_run(ENTITY, PROJECT, "second")
        mirror.pull()
        assert engine.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
        engine.execute("COMMIT")
        assert engine.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]


CHECKPOINT = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1], timeout=0).execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0])
"""


def test_a_reader_keeps_its_lock_when_the_lake_is_opened_in_the_same_process(home: Home) -> None:
    with Lake(home, deployment="d"):
        pass
    with connect(home) as engine:
        engine.execute("BEGIN")
        engine.execute("SELECT count(*) FROM runs").fetchall()
        with Lake(home, deployment="d") as lake, lake.transaction() as writing:
            writing.execute("INSERT INTO lake.meta VALUES ('a', 'b')")
        command = [sys.executable, "-c", CHECKPOINT, str(home.catalog)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said == "1\n", "somebody reads an older state"
        engine.execute("COMMIT")


def test_a_moved_home_reads_and_writes(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "first")
    mirror.pull()
    moved = mirror.home.root.with_name("it's moved, ünïcödé")
    mirror.home.root.rename(moved)
    mirror.home = Home(moved)
    assert mirror.run_ids() == ["first"]
    sandbox.state.add_run(ENTITY, PROJECT, "second")
    assert mirror.pull().errors == []
    assert mirror.run_ids() == ["first", "second"]


def test_the_lakes_own_questions_are_planned_without_the_statistics_of_empty_tables(home: Home) -> None:
    """DuckLake reads those anew for each column, and a lake has such tables as a rule."""
    with Lake(home, deployment="d") as lake:
        took = quickest(lake)
        with lake.reading() as engine:
            engine.execute("SET GLOBAL disabled_optimizers = ''")
        assert took < quickest(lake) / 2


def quickest(lake: Lake) -> float:
    """Seconds of processing for a question about an empty table, the least of some."""

    def one() -> float:
        began = time.process_time()
        with lake.snapshot() as snapshot:
            assert snapshot.rows("SELECT * FROM lake.sweeps") == []
        return time.process_time() - began

    return min(one() for _ in range(5))


def test_what_somebody_asks_of_a_small_lake_is_planned_so_too_and_of_a_large_one_as_duckdb_does(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_lake(home)
    few = questions_for(home, "SELECT s.sweep_id FROM sweeps s JOIN runs USING (entity, project)")
    monkeypatch.setattr(connection, "SMALL_FILES", -1)
    many = questions_for(home, "SELECT s.sweep_id FROM sweeps s JOIN runs USING (entity, project)")
    assert few * 2 < many


def questions_for(home: Home, query: str) -> int:
    """How many questions come of one, with those that DuckLake asks its catalog."""
    with connect(home) as engine:
        engine.execute("CALL enable_logging('QueryLog', storage='memory')")
        assert engine.execute(query).fetchall() == []
        return len(engine.execute("SELECT message FROM duckdb_logs").fetchall())


def test_whether_a_lake_has_a_table_is_known_without_looking_at_any(home: Home) -> None:
    with Lake(home, deployment="d") as lake:
        assert has_table(lake, "meta")
        assert not has_table(lake, "nothing of ours")
    with connect(home) as engine:
        assert has_table(Snapshot(engine), "earlier_forms")


def test_the_writer_sees_its_commits_at_once_and_asks_on_after_a_question_that_fails(home: Home) -> None:
    def count(lake: Lake) -> int:
        rows = lake.rows("SELECT value FROM lake.meta WHERE key = ?", ["told"])
        found = len(rows)
        rows.clear()  # an answer that is remembered up to the next commit is nobody's to change
        return found

    with Lake(home, deployment="nobody") as lake:
        for number in range(3):
            assert count(lake) == count(lake) == number
            with lake.transaction() as engine:
                engine.execute("INSERT INTO lake.meta VALUES ('told', 'x')")
                assert count(lake) == number + 1
            assert home.catalog_seal.exists()
            with pytest.raises(StoreError):
                lake.rows("SELECT nothing FROM lake.meta")
            with lake.snapshot() as snapshot, lake.reading() as engine:
                engine.execute("BEGIN")
                engine.execute("ROLLBACK")
                assert len(snapshot.rows("FROM lake.meta WHERE key = 'told'")) == number + 1
        with contextlib.suppress(KeyError), lake.transaction() as engine:
            engine.execute("DELETE FROM lake.meta WHERE key = 'told'")
            raise KeyError
        assert count(lake) == 3
    with Lake(home, deployment="nobody") as lake:
        assert count(lake) == 3


def test_a_snapshot_within_another_one_is_of_the_same_commit(mirror: Mirror, sandbox: Sandbox, home: Home) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "one")
    mirror.pull()
    count = "SELECT count(*) FROM lake.runs"
    with Reader(home) as reader, reader.snapshot() as outer:
        assert outer.rows(count) == [(1,)]
        sandbox.state.add_run(ENTITY, PROJECT, "two")
        mirror.pull()
        with reader.snapshot() as inner:
            assert inner.rows(count) == [(1,)]
        assert outer.rows(count) == [(1,)]
    with Reader(home) as reader, reader.snapshot() as later:
        assert later.rows(count) == [(2,)]
