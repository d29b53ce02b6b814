"""Maintenance: smaller, and in every answer the same; nothing goes that somebody may still ask for."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.errors import StoreError
from mirror.layout import Home
from mirror.run.api import Api
from mirror.sandbox import Sandbox
from mirror.store.care.tables import FLUSH_ROWS
from mirror.store.engine.connection import CATALOG
from mirror.store.engine.lake import Lake
from mirror.store.sql.statements import connect
from tests.cli.warm import WarmScript, module
from tests.mirroring import ENGINE, ENTITY, PROJECT, Mirror
from tests.soaking import thin
from tests.store.maintained import (
    deployment,
    digests,
    everything,
    lake_files,
    plan,
    pull_often,
    states,
    tidy,
)
from tests.truth import broken_objects

PULLS = 7


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """A mirror that was pulled often; tests take copies. Its server is gone."""
    with Sandbox.start() as sandbox:
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=Home(tmp_path_factory.mktemp("pulled") / "home"))
        pull_often(sandbox, mirror, PULLS)
        sandbox.state.delete_run(ENTITY, PROJECT, "n001")
        mirror.pull(force_walk=True)
    return mirror


@pytest.fixture
def copied(pulled: Mirror, home: Home) -> Mirror:
    """A copy of it that the test may change; so each test has a home that was moved, too."""
    shutil.copytree(pulled.home.root, home.root)
    return Mirror(url=pulled.url, api_key=pulled.api_key, home=home)


def test_many_small_pulls_become_few_files_and_every_answer_stays(copied: Mirror) -> None:
    files, rows, past = lake_files(copied.home), everything(copied), states(copied)
    first = tidy(copied)
    assert first.files_merged > 10
    assert first.files_rewritten > 0
    assert (first.snapshots_expired, first.lake_files.files, first.objects.files) == (0, 0, 0)
    assert everything(copied) == rows
    assert {number: state for number, state in states(copied).items() if number in past} == past
    second = tidy(copied, days=2)
    assert (second.lake_files.files > 10, second.snapshots_expired) == (True, 0)
    assert {number: state for number, state in states(copied).items() if number in past} == past
    third = tidy(copied, days=10)
    assert third.snapshots_expired > PULLS
    assert (third.objects.files, third.after.lake < first.before.lake) == (PULLS - 1, True)
    assert third.after.objects == third.before.objects - third.objects.bytes
    assert lake_files(copied.home) < files / 4
    assert everything(copied) == rows
    again = tidy(copied, days=20)
    assert (again.files_merged, again.files_rewritten, again.snapshots_expired) == (0, 0, 0)
    assert (again.lake_files.files, again.orphans.files, again.objects.files) == (0, 0, 0)


def test_time_travel_as_far_back_as_was_asked_for_works(copied: Mirror) -> None:
    """Also to a time between two snapshots: the earlier one of them stays, however old it is."""
    with copied.open() as rows:
        snapshots = rows("SELECT snapshot_id, snapshot_time FROM ducklake_snapshots('lake') ORDER BY 1")
    earlier, later = snapshots[-8], snapshots[-7]
    start, end = (dt.datetime.fromisoformat(str(one["snapshot_time"])) for one in (earlier, later))
    middle = start + (end - start) / 2
    assert start < middle < end
    past = states(copied, since=earlier["snapshot_id"])
    moment = f"TIMESTAMPTZ '{middle.isoformat()}'"
    (before,) = copied.ask(f"SELECT count(*) AS n FROM lake.files AT (TIMESTAMP => {moment})")
    days = 7.0 - (dt.datetime.now(dt.UTC) - middle.astimezone(dt.UTC)) / dt.timedelta(days=1)
    done = tidy(copied, days=days)
    assert 0 < done.snapshots_expired <= earlier["snapshot_id"]
    assert copied.ask(f"SELECT count(*) AS n FROM lake.files AT (TIMESTAMP => {moment})") == [before]
    kept = states(copied, since=0)
    assert min(kept) == earlier["snapshot_id"]
    assert {number: state for number, state in kept.items() if number in past} == past
    assert broken_objects(copied) == []
    with copied.open() as rows:
        for number in past:
            for row in rows(f"SELECT object FROM lake.files AT (VERSION => {number}) WHERE object IS NOT NULL"):
                digest = row["object"]
                assert (copied.home.objects / digest[:2] / digest).exists(), "a kept snapshot refers to it"


def test_runs_deleted_upstream_and_all_that_they_have_stay_for_ever(copied: Mirror) -> None:
    gone = copied.run_ids("gone_at IS NOT NULL")
    assert gone == ["n001"]
    rows = {
        table: copied.ask(f"SELECT * FROM lake.{table} WHERE run_id = 'n001' ORDER BY ALL")
        for table in ("runs", "files", "exports", "metrics", "console_lines")
    }
    assert all(rows.values())
    for days in (10, 1000, 3000):
        tidy(copied, days=days)
    for table, held in rows.items():
        assert copied.ask(f"SELECT * FROM lake.{table} WHERE run_id = 'n001' ORDER BY ALL") == held
        for row in held:
            if digest := row.get("object"):
                assert (copied.home.objects / digest[:2] / digest).exists()
    assert broken_objects(copied) == []


def test_nothing_mirrored_disappears_because_the_server_stopped_listing_it(sandbox: Sandbox, home: Home) -> None:
    mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home)
    pull_often(sandbox, mirror, 2)
    held = {table: len(rows) for table, rows in everything(mirror).items()}
    for run_id in ("n000", "n001"):
        sandbox.state.delete_run(ENTITY, PROJECT, run_id)
    mirror.pull(force_walk=True, accept_missing=True)
    assert mirror.run_ids() == []
    for days in (10, 1000):
        tidy(mirror, days=days)
        mirror.pull(force_walk=True)
    now = {table: len(rows) for table, rows in everything(mirror).items()}
    for table in ("runs", "files", "exports", "metrics", "console_lines"):
        assert now[table] == held[table], table
    assert broken_objects(mirror) == []


def test_a_dry_run_changes_nothing_and_tells_what_would_go(copied: Mirror) -> None:
    tidy(copied)
    (copied.home.partial / "old").write_bytes(b"12345")
    (copied.home.metric_data / "fold-killed.parquet").write_bytes(b"123")

    def fingerprint() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in copied.home.root.rglob("*")
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }

    held = fingerprint()
    planned = plan(copied, days=10)
    assert fingerprint() == held
    assert planned.dry_run
    assert planned.before == planned.after
    done = tidy(copied, days=10)
    assert (planned.snapshots_expired, planned.objects) == (done.snapshots_expired, done.objects)
    assert planned.objects.bytes > 0
    assert planned.lake_files.files > 0
    assert (planned.orphans.bytes, planned.partials.bytes) == (3, 5) == (done.orphans.bytes, done.partials.bytes)
    assert plan(copied, days=10).objects.files == 0


def test_files_that_a_killed_commit_left_go_after_a_while_and_those_of_others_stay(copied: Mirror) -> None:
    young, old = (copied.home.metric_data / f"fold-{name}.parquet" for name in ("young", "old"))
    for path in (young, old):
        path.write_bytes(b"PAR1")
    os.utime(old, (1, 1))
    assert tidy(copied).orphans.files == 1
    assert (young.exists(), old.exists()) == (True, False)
    moved = Home(copied.home.root.with_name("it's moved, ünïcödé"))
    copied.home.root.rename(moved.root)
    copied.home = moved
    rows = everything(copied)
    assert tidy(copied, days=2).orphans.files == 1
    assert everything(copied) == rows


def test_a_catalog_and_a_folder_of_two_times_stop_it_before_anything_is_done(copied: Mirror) -> None:
    missing = next(iter(sorted(copied.home.metric_data.glob("fold-*"))))
    missing.unlink()
    held = lake_files(copied.home)
    for attempt in (tidy, plan):
        with pytest.raises(StoreError, match="are missing, such as"):
            attempt(copied, days=100)
    assert lake_files(copied.home) == held


def test_rows_inside_the_catalog_are_written_out_when_they_are_many(copied: Mirror) -> None:
    insert = (
        "INSERT INTO lake.receipts (id, entity, project, run_id, kind, operation, created_at, ended_at, outcome,"
        " attempts, duration_s) SELECT i, 'e', 'p', 'r', 'edit', '{}', now()::TIMESTAMP, now()::TIMESTAMP, 'x', i, 1.5"
        " FROM range(?, ?) t(i)"
    )
    with Lake(copied.home, deployment=deployment(copied), settings=ENGINE) as lake:
        for number in range(4):
            with lake.transaction() as engine:
                engine.execute(insert, [number * FLUSH_ROWS // 4, (number + 1) * FLUSH_ROWS // 4])
        with lake.transaction() as engine:
            engine.execute("DELETE FROM lake.receipts WHERE attempts % 7 = 0")
    held = everything(copied)
    assert len(held["receipts"]) == FLUSH_ROWS - FLUSH_ROWS // 7 - 1
    counts = "SELECT count(*) AS n FROM lake.receipts AT (VERSION => {})"
    (newest,) = copied.ask("SELECT max(snapshot_id) AS id FROM ducklake_snapshots('lake')")
    past = {number: copied.ask(counts.format(number)) for number in range(newest["id"] - 4, newest["id"] + 1)}
    assert tidy(copied).rows_written_out == FLUSH_ROWS
    assert everything(copied) == held
    assert {number: copied.ask(counts.format(number)) for number in past} == past
    assert tidy(copied, days=100).rows_written_out == 0
    assert everything(copied) == held


def test_every_file_that_it_writes_is_on_the_disk_before_the_commit(
    copied: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("nothing here says which file a descriptor is of")
    before = set(map(str, copied.home.lake_data.rglob("*.parquet")))
    synced: dict[str, bool] = {}  # the file, and whether the catalog named it when it was flushed
    real = os.fsync

    def note(descriptor: int) -> None:
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if name.endswith(".parquet"):
            query = f"SELECT 1 FROM {CATALOG}.ducklake_data_file WHERE path = ?"
            synced[name] = bool(copied.ask(query, Path(name).name))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    tidy(copied)
    monkeypatch.undo()
    written = set(map(str, copied.home.lake_data.rglob("*.parquet"))) - before
    assert written
    assert written <= set(synced)
    assert not any(synced.values())


class Reader:
    """A process that reads a home."""

    def __init__(self, home: Home) -> None:
        self.process = WarmScript(module("tests.store.holding_reader"), str(home.root))
        assert self.process.hear() == "ready"

    def __call__(self, command: str) -> str:
        """One command, and what it saw."""
        self.process.say(command)
        return self.process.hear()


@pytest.fixture
def reader(copied: Mirror) -> Iterator[Reader]:
    """A reader of the copy; it must end without an error."""
    made = Reader(copied.home)
    yield made
    made.process.close()
    assert made.process.process.returncode == 0


def test_nothing_is_removed_while_another_process_reads_an_older_state(copied: Mirror, reader: Reader) -> None:
    files = lake_files(copied.home)
    seen = reader("hold")
    done = tidy(copied, days=30)
    assert (done.waits_for_readers, done.snapshots_expired > 0, done.files_merged > 0) == (True, True, True)
    assert (done.lake_files.files, done.orphans.files, done.objects.files) == (0, 0, 0)
    assert reader("again") == seen
    assert reader("end") == "ended"
    after = tidy(copied, days=30)
    assert (after.waits_for_readers, after.lake_files.files > 10, after.objects.files > 0) == (False, True, True)
    assert lake_files(copied.home) < files / 4
    assert reader("again") == seen


def test_a_script_that_is_left_open_keeps_nothing_from_going(copied: Mirror) -> None:
    api = Api(copied.home)
    for run in list(api.runs(f"{ENTITY}/{PROJECT}")):
        list(run.files())
        list(run.scan_history())
    with connect(copied.home, settings=ENGINE):
        done = tidy(copied, days=30)
    assert (done.waits_for_readers, done.lake_files.files > 10) == (False, True)
    assert api.runs(f"{ENTITY}/{PROJECT}")[0].state


def test_a_reader_in_a_loop_never_fails_and_sees_one_state(copied: Mirror, reader: Reader) -> None:
    reader("loop")
    for days in (0, 2, 20):
        tidy(copied, days=days)
        time.sleep(0.4)  # the reader has its rounds in between as well, however busy this machine is
    rounds, distinct = reader("stop").split()
    assert (int(rounds) > 3, int(distinct)) == (True, 1)


class Killer:
    """A process that maintains homes in children of its own."""

    def __init__(self, name: str) -> None:
        self._process = WarmScript(module("tests.store.maintenance_forker"), name)

    def maintain(self, home: Home, kill_after_s: float) -> int:
        """One maintenance; the exit code, or minus the signal."""
        self._process.say(home.root)
        child = int(self._process.hear())
        timer = threading.Timer(kill_after_s, os.kill, [child, signal.SIGKILL])
        timer.start()
        status = int(self._process.hear())
        timer.cancel()
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """End it."""
        self._process.close()


@pytest.mark.parametrize("kills", thin([4, 24], keep=[4]))
def test_a_maintenance_killed_anywhere_loses_nothing_and_the_next_one_goes_on(
    pulled: Mirror, tmp_path: Path, kills: int
) -> None:
    chance, killed = random.Random(7), 0
    rows = digests(pulled)
    killer = Killer(deployment(pulled))
    try:
        shutil.copytree(pulled.home.root, tmp_path / "whole")
        begun = time.monotonic()
        assert killer.maintain(Home(tmp_path / "whole"), kill_after_s=60) == 0
        whole_s = time.monotonic() - begun
        for number in range(kills):
            mirror = Mirror(url=pulled.url, api_key="", home=Home(tmp_path / f"home{number}"))
            shutil.copytree(pulled.home.root, mirror.home.root)
            killed += killer.maintain(mirror.home, chance.uniform(0.02, whole_s)) == -signal.SIGKILL
            assert digests(mirror) == rows, number
            assert broken_objects(mirror) == []
            if number % 2 == 1:
                done = tidy(mirror, days=20)
                assert not done.waits_for_readers
                assert digests(mirror) == rows
                assert broken_objects(mirror) == []
                assert lake_files(mirror.home) < lake_files(pulled.home) / 3
            shutil.rmtree(mirror.home.root)
    finally:
        killer.close()
    assert killed >= kills / 4


def test_what_a_killed_removal_left_half_done_is_ended_by_the_next_one(copied: Mirror) -> None:
    """Killed after files were removed and before the catalog forgot them."""
    tidy(copied)
    rows = everything(copied)
    with copied.open() as ask:
        waiting = [row["path"] for row in ask(f"SELECT path FROM {CATALOG}.ducklake_files_scheduled_for_deletion")]
    assert len(waiting) > 10
    for path in waiting[::2]:
        (copied.home.lake_data / path).unlink()
    assert tidy(copied, days=2).lake_files.files == len(waiting) - len(waiting[::2])
    with copied.open() as ask:
        assert ask(f"SELECT path FROM {CATALOG}.ducklake_files_scheduled_for_deletion") == []
    assert everything(copied) == rows
