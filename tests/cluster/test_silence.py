"""A database that takes what it is sent and answers nothing is noticed, and nobody waits for it without an end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from mirror.check.hashing import HashingProgress
from mirror.check.verify import verify
from mirror.cluster import bucket, lease, remembered, silence
from mirror.errors import LakeAway
from mirror.layout import Home
from mirror.store.engine import shared_storage
from mirror.store.engine.connection import CATALOG_DATABASE
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.store.sql.statements import connect, run_sql
from mirror.store_settings import StoreSettings
from tests.cluster.cable import Cable
from tests.cluster.group import until
from tests.cluster.servers import Place

QUESTION = "SELECT count(*) FROM lake.runs"
SHORT_S = 0.3
ANSWER_S = 2.0  # a database of this machine answers in that time, whatever else the machine does


@pytest.fixture
def cable(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cable]:
    """Between the machine and its database; silence is noticed soon."""
    monkeypatch.setattr(silence, "ASK_S", SHORT_S)
    monkeypatch.setattr(silence, "ANSWER_S", ANSWER_S)
    monkeypatch.setattr(remembered, "REMEMBER_S", SHORT_S)
    with Cable(place.servers.port) as found:
        yield found


@pytest.fixture
def home(place: Place, cable: Cable, tmp_path: Path) -> Home:
    """A machine behind the cable, and a lake."""
    found = place.home(tmp_path / "home", catalog=place.catalog.replace(f":{place.servers.port}/", f":{cable.port}/"))
    with Lake(found, deployment="server"):
        pass
    return found


def asking(place: Place) -> int:
    """Connections that asked whether the database answers, as it shows them."""
    with place.connected() as database:
        ((found,),) = database.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = %s",
            [silence.QUESTION.decode()],
        ).fetchall()
    return int(found)


def works_again(reader: Reader) -> bool:
    try:
        return reader.rows(QUESTION) == [(0,)]
    except LakeAway:
        return False


def test_a_question_to_a_silent_database_ends_and_the_next_one_is_answered(home: Home, cable: Cable) -> None:
    with Reader(home) as reader:
        reader.rows(QUESTION)
        cable.hold()
        with pytest.raises(LakeAway):
            reader.rows(QUESTION)
        cable.restore()
        until(lambda: works_again(reader))


def hold_in_a_snapshot(reader: Reader, cable: Cable) -> None:
    with reader.snapshot() as snapshot:
        snapshot.rows("SELECT count(*) FROM lake.meta")
        cable.hold()
        snapshot.rows(QUESTION)


def test_a_snapshot_of_a_silent_database_ends_and_the_next_one_is_answered(home: Home, cable: Cable) -> None:
    with Reader(home) as reader:
        with pytest.raises(LakeAway):
            hold_in_a_snapshot(reader, cable)
        cable.restore()
        until(lambda: works_again(reader))


def test_a_writer_whose_database_is_silent_lets_go_of_the_lake(
    home: Home, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    with Lake(home, deployment="server") as lake:
        lake.rows(QUESTION)  # its transaction is open
        cable.hold()
    cable.restore()
    with Reader(home) as reader:
        until(lambda: works_again(reader))


class Holding(HashingProgress):
    """Lets the database fall silent at the first file that is read."""

    def __init__(self, cable: Cable) -> None:
        super().__init__()
        self.cable = cable

    def read(self, count: int) -> None:
        """Hold."""
        super().read(count)
        self.cable.hold()


def test_a_check_needs_no_database_while_it_reads_files(home: Home, cable: Cable) -> None:
    """In a transaction over a connection that is gone, the end of an engine is that of the process."""
    objects = Objects(home)
    objects.sync([objects.put_bytes(b"content")])
    assert verify(home, StoreSettings(), meter=Holding(cable)).is_sound


def test_a_question_that_takes_long_is_not_cut(home: Home, place: Place) -> None:
    with Reader(home) as reader:
        slow = f"FROM postgres_query('{CATALOG_DATABASE}', 'SELECT 1 FROM pg_sleep({5 * SHORT_S})')"
        assert reader.rows(slow) == [(1,)]
        assert asking(place) == 1


def test_nobody_is_watched_once_nobody_is_connected(home: Home, place: Place) -> None:
    reader = Reader(home)
    reader.rows(QUESTION)
    until(lambda: asking(place) == 1)
    reader.close()
    until(lambda: asking(place) == 0)


def test_a_forked_process_is_watched_too(home: Home, cable: Cable) -> None:
    with Reader(home) as reader:
        reader.rows(QUESTION)
        is_ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            said = 1
            with Reader(home) as own:
                own.rows(QUESTION)
                os.write(tell, b"x")
                time.sleep(0.1)
                try:
                    own.rows(QUESTION)
                except LakeAway:
                    said = 0
            os._exit(said)
        os.read(is_ready, 1)
        cable.hold()
        assert os.waitpid(child, 0)[1] == 0
        os.close(is_ready)
        os.close(tell)


def test_a_database_that_was_not_reached_is_not_tried_again_at_once(
    home: Home, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "REMEMBER_S", 60.0)
    cable.pull_out()
    with pytest.raises(LakeAway, match="does not answer"), Lake(home, deployment="server"):
        pass
    cable.restore()
    with pytest.raises(LakeAway, match="does not answer"), Reader(home) as reader:
        reader.rows(QUESTION)
    monkeypatch.setattr(remembered, "_away", {})  # as when a minute is over
    with Reader(home) as reader:
        assert reader.rows(QUESTION) == [(0,)]


def test_a_bucket_that_says_nothing_is_given_up_by_whoever_asks(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bucket, shared_storage):
        monkeypatch.setattr(module, "SILENT_S", 1.0)
        monkeypatch.setattr(module, "TRIES", 1)
    monkeypatch.setattr(remembered, "REMEMBER_S", SHORT_S)
    with Cable(place.servers.s3_port) as cable:
        home = place.home(tmp_path / "home", s3_endpoint=f"http://127.0.0.1:{cable.port}")
        with Lake(home, deployment="server") as lake, lake.transaction() as engine:
            engine.execute("CREATE TABLE lake.some AS FROM range(1000) t(i)")
        objects = Objects(home)
        digest = objects.put_bytes(b"content")
        with Reader(home) as reader, contextlib.closing(connect(home)) as engine, ThreadPoolExecutor() as pool:
            reader.rows("SELECT count(*) FROM lake.some")
            cable.hold()
            began = time.monotonic()
            asked: list[Future[object]] = [
                pool.submit(reader.rows, "SELECT sum(i) FROM lake.some"),
                pool.submit(run_sql, engine, "SELECT sum(i) FROM lake.some"),
                pool.submit(objects.sync, [digest]),
            ]
            assert all(isinstance(one.exception(), LakeAway) for one in asked)
            assert time.monotonic() - began < 3.0
            with pytest.raises(LakeAway):
                objects.sync([digest])
            assert time.monotonic() - began < 3.0  # it is not asked again at once
            cable.restore()
            assert reader.rows("SELECT sum(i) FROM lake.some") == [(499500,)]
            time.sleep(SHORT_S)
            objects.sync([digest])
