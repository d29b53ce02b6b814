"""One process writes a shared lake: by a lock, a token that PostgreSQL asks for, and beats that need no clock."""

from __future__ import annotations

import datetime as dt
import shutil
import signal
import time
from pathlib import Path

import duckdb
import pytest

from mirror.cluster import lease as lease_module
from mirror.errors import LakeAway, LeaseHeld, LeaseLost, StoreError
from mirror.layout import Home
from mirror.store.care.objects import remove_objects
from mirror.store.engine.connection import extension_file, new_engine
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from tests.cli.warm import WarmScript
from tests.cluster.group import until
from tests.cluster.servers import KEY_ID, SECRET, Place

SHORT = {"BEAT_S": 0.1, "TRUST_S": 0.6, "GRACE_S": 1.6, "STILL_S": 2.5}
LONG_S = 20.0  # a grace that nobody takes for the time that it takes to open a lake
WAITED_S = 6.0  # one that is waited for, and still longer than that
HOLDER = """
import sys, time
from pathlib import Path
from mirror.cluster import lease
from mirror.layout import Home
from mirror.store.engine.lake import Lake
for name, value in {short}.items():
    setattr(lease, name, value)
with Lake(Home(Path(sys.argv[1])), deployment="server") as lake:
    print("has it", flush=True)
    for number, line in enumerate(sys.stdin):
        try:
            with lake.transaction() as engine:
                engine.execute("INSERT INTO lake.meta VALUES ('holder', '" + str(number) + "')")
            print("committed", flush=True)
        except Exception as error:
            print(type(error).__name__, flush=True)
"""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SHORT.items():
        monkeypatch.setattr(lease_module, name, value)


@pytest.fixture
def long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "GRACE_S", LONG_S)


@pytest.fixture
def waited_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "GRACE_S", WAITED_S)


def lake(home: Home) -> Lake:
    return Lake(home, deployment="server")


def write(opened: Lake, key: str) -> None:
    with opened.transaction() as engine:
        engine.execute(f"INSERT INTO lake.meta VALUES ('{key}', 'x')")


def written(home: Home) -> set[str]:
    with Reader(home) as reader:
        return {key for (key,) in reader.rows("SELECT key FROM lake.meta")} - {"schema_version", "deployment"}


def tried(home: Home) -> Lake:
    """The lake, as a daemon that waits gets it."""
    until = time.monotonic() + 30
    while True:
        opened = lake(home)
        try:
            return opened.__enter__()
        except LeaseHeld:
            assert time.monotonic() < until
            time.sleep(0.05)


class Holder:
    """A process that has the lease."""

    def __init__(self, home: Home) -> None:
        self._script = WarmScript(HOLDER.format(short=SHORT), str(home.root))
        self.process = self._script.process
        assert self._script.hear() == "has it"

    def commit(self) -> str:
        """What a commit came to."""
        self._script.say("now")
        return self._script.hear()

    def end(self) -> None:
        self.process.kill()
        self._script.close()


@pytest.fixture
def holder(place: Place, tmp_path: Path) -> Holder:
    return Holder(place.home(tmp_path / "holder"))


@pytest.mark.usefixtures("long_grace")
def test_a_second_writer_is_told_who_has_the_lease_and_gets_it_when_that_one_is_done(
    home: Home, place: Place, tmp_path: Path
) -> None:
    other = place.home(tmp_path / "other")
    with lake(home) as first:
        write(first, "one")
        with pytest.raises(LeaseHeld, match=str(home.root)), lake(other):
            pass
    began = time.monotonic()
    with lake(other) as second:
        assert time.monotonic() - began < 0.9 * LONG_S  # it was given back: nothing is to be waited for
        write(second, "two")
    assert written(home) == {"one", "two"}


def test_a_writer_that_lost_the_lease_commits_nothing_however_late_it_finds_out(home: Home, place: Place) -> None:
    with lake(home) as opened:
        write(opened, "before")
        with pytest.raises(LeaseLost):
            _write_while_another_takes_over(opened, place)
        with pytest.raises(LeaseLost):
            write(opened, "later")
    assert written(home) == {"before"}


def test_a_program_without_the_lease_can_read_the_lake_and_not_change_it(home: Home, place: Place) -> None:
    with lake(home) as opened:
        write(opened, "one")
    engine = new_engine()
    for package in ("duckdb_extension_postgres_scanner", "duckdb_extension_httpfs"):
        engine.execute(f"LOAD '{extension_file(package)}'")
    engine.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{KEY_ID}', SECRET '{SECRET}', ENDPOINT '127.0.0.1:{place.servers.s3_port}',"
        " URL_STYLE 'path', USE_SSL false)"
    )
    engine.execute(f"ATTACH 'ducklake:postgres:{place.catalog}' AS lake (METADATA_SCHEMA 'main')")
    assert engine.execute("SELECT count(*) FROM lake.meta WHERE key = 'one'").fetchone() == (1,)
    with pytest.raises(duckdb.Error, match="has the lease"):
        engine.execute("DELETE FROM lake.meta")
    assert written(home) == {"one"}


@pytest.mark.usefixtures("waited_grace")
def test_who_takes_over_from_a_killed_writer_waits_until_that_one_cannot_trust_its_lease(
    holder: Holder, place: Place, tmp_path: Path
) -> None:
    assert holder.commit() == "committed"
    other = place.home(tmp_path / "other")
    with pytest.raises(LeaseHeld), lake(other):
        pass
    holder.end()
    began = time.monotonic()
    opened = tried(other)
    try:
        assert time.monotonic() - began > 0.9 * WAITED_S
        write(opened, "two")
    finally:
        opened.__exit__(None, None, None)
    assert written(other) == {"holder", "two"}


@pytest.mark.usefixtures("long_grace")
def test_the_same_home_goes_on_at_once_after_a_kill(holder: Holder, tmp_path: Path) -> None:
    holder.end()
    began = time.monotonic()
    opened = tried(Home(tmp_path / "holder"))
    opened.__exit__(None, None, None)
    assert time.monotonic() - began < 0.9 * LONG_S


def test_a_copy_of_a_home_waits_as_any_other_home_does(holder: Holder, tmp_path: Path) -> None:
    """It has the name of the other one's home and of its machine, and not its lock."""
    shutil.copytree(tmp_path / "holder", tmp_path / "copy")
    holder.end()
    began = time.monotonic()
    opened = tried(Home(tmp_path / "copy"))
    opened.__exit__(None, None, None)
    assert time.monotonic() - began > SHORT["GRACE_S"] - SHORT["BEAT_S"] - 0.2


@pytest.mark.usefixtures("waited_grace")
def test_who_dies_while_it_waits_for_its_predecessor_waits_anew(
    holder: Holder, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same home goes on at once after a lease of its own, and this one was none yet."""
    other = place.home(tmp_path / "other")
    holder.end()

    def killed(*_: object) -> None:
        raise LakeAway("the database restarts")

    with monkeypatch.context() as dying:
        dying.setattr(lease_module.Lease, "_wait_out", killed)
        until(lambda: _dies(other))
    began = time.monotonic()
    tried(other).__exit__(None, None, None)
    assert time.monotonic() - began > 0.9 * WAITED_S


def _dies(home: Home) -> bool:
    try:
        lake(home).__enter__()
    except LeaseHeld:  # PostgreSQL has not noticed yet
        return False
    except LakeAway:
        return True
    raise AssertionError


def test_a_stopped_writer_is_taken_over_from_and_commits_nothing_when_it_goes_on(
    holder: Holder, place: Place, tmp_path: Path
) -> None:
    assert holder.commit() == "committed"
    holder.process.send_signal(signal.SIGSTOP)
    try:
        opened = tried(place.home(tmp_path / "other"))
        write(opened, "two")
    finally:
        holder.process.send_signal(signal.SIGCONT)
    assert holder.commit() == "LeaseLost"
    write(opened, "three")
    opened.__exit__(None, None, None)
    assert written(place.home(tmp_path / "other")) == {"holder", "two", "three"}
    holder.end()


def test_a_writer_whose_connections_are_cut_keeps_its_lease_and_goes_on(home: Home, place: Place) -> None:
    with lake(home) as opened:
        for number in range(4):
            write(opened, str(number))
            with place.connected() as database:
                database.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND application_name LIKE 'wandb-mirror %'"
                )
            time.sleep(3 * SHORT["BEAT_S"])
        write(opened, "last")
    assert written(home) == {"0", "1", "2", "3", "last"}


@pytest.mark.parametrize("year", [1971, 2199])
def test_a_clock_that_is_wrong_by_decades_costs_no_lease(
    home: Home, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setattr(lease_module, "utc_now", lambda: dt.datetime(year, 1, 1, tzinfo=dt.UTC))
        opened = lake(home).__enter__()
    try:
        write(opened, "one")
        with pytest.raises(LeaseHeld, match=str(year)), lake(place.home(tmp_path / "other")):
            pass
        write(opened, "two")
    finally:
        opened.__exit__(None, None, None)
    with lake(place.home(tmp_path / "other")) as opened:
        write(opened, "three")
    assert written(home) == {"one", "two", "three"}


def test_a_writer_that_postgres_does_not_acknowledge_stops_by_itself(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lake(home) as opened:
        write(opened, "one")

        def away(*_: object) -> None:
            raise StoreError("away")

        monkeypatch.setattr(lease_module.Lease, "_beat_once", away)
        until(lambda: _is_lost(opened))
        with pytest.raises(LeaseLost):
            write(opened, "two")
    assert written(home) == {"one"}


def _write_while_another_takes_over(opened: Lake, place: Place) -> None:
    with opened.transaction() as engine:
        engine.execute("INSERT INTO lake.meta VALUES ('after', 'x')")
        with place.connected() as database:  # in the middle of the transaction
            database.execute("UPDATE wandb_mirror.lease SET token = token + 1")


def test_a_writer_that_lost_the_lease_removes_no_object(home: Home, place: Place) -> None:
    """What it found to be needed by nobody, its successor may have named since."""
    objects = Objects(home)
    digest = objects.put_bytes(b"named by the next writer")
    objects.sync([digest])
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    with lake(home) as opened:
        option = opened.storage.option
        with place.connected() as database:
            database.execute("UPDATE wandb_mirror.lease SET token = token + 1")
        with pytest.raises(LeaseLost):
            remove_objects(home, [digest], later, option)
    assert objects.shared is not None
    assert digest in dict(objects.shared.listed())


def _is_lost(opened: Lake) -> bool:
    try:
        opened.storage.may_write()
    except LeaseLost:
        return True
    return False
