"""A home that cannot be used is one clear error of ours, and the lake stays at its last commit."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.errors import HomeBusy, HomeUnusable, LakeTooNew, MirrorError, NotMirrored, OtherDeployment, StoreError
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.connection import attach_lake
from mirror.store.engine.filesystem import check_can_hold_lake
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import deployment_of_lake
from mirror.store.schema.tables import INLINED_TABLES, MIGRATIONS
from mirror.store.sql.statements import connect
from tests.cli.warm import run_script
from tests.mirroring import ENTITY, PROJECT, Mirror

NOBODY = 65534


def test_nothing_mirrored_yet_says_what_to_type(home: Home) -> None:
    with pytest.raises(NotMirrored) as caught:
        connect(home)
    assert "wandb-mirror pull" in caught.value.hint
    assert deployment_of_lake(home) is None
    assert not home.root.exists()


def test_two_writers_the_second_is_told_who_holds_the_home(home: Home) -> None:
    with Lake(home, deployment="d"), pytest.raises(HomeBusy) as caught, Lake(home, deployment="d"):
        pass
    assert f"PID {os.getpid()}" in caught.value.message
    with Lake(home, deployment="d"):  # and the lock is free again
        pass


def test_a_home_of_another_deployment_is_refused_and_untouched(home: Home) -> None:
    with Lake(home, deployment="one.example") as lake, lake.transaction() as engine:
        engine.execute("INSERT INTO lake.projects (entity, project, synced_at) VALUES ('e', 'p', now()::TIMESTAMP)")
    before = home.catalog.read_bytes()
    with pytest.raises(OtherDeployment, match=r"one\.example"), Lake(home, deployment="two.example"):
        pass
    assert home.catalog.read_bytes() == before
    assert deployment_of_lake(home) == "one.example"
    with Lake(home, deployment="two.example", known_as=frozenset({"one.example"})):
        pass


def test_a_home_that_no_server_ever_answered_into_can_be_pointed_elsewhere(home: Home) -> None:
    with Lake(home, deployment="mistyped.example"):
        pass
    with Lake(home, deployment="right.example"):
        pass
    assert deployment_of_lake(home) == "right.example"


@pytest.mark.parametrize("older", [False, True], ids=["by this version", "by an older one"])
def test_an_opening_that_was_stopped_while_it_made_tables_is_ended_by_the_next(
    home: Home, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    def stop(*_: object, inlined_rows: int = 0, **__: object) -> None:
        if inlined_rows:
            raise OSError("stopped")
        attach_lake(*_, **__)  # type: ignore[arg-type]

    monkeypatch.setattr("mirror.store.engine.local_storage.attach_lake", stop)
    if older:
        monkeypatch.setattr("mirror.store.engine.lake.MIGRATIONS", MIGRATIONS[:1])
    with pytest.raises(StoreError, match="stopped"), Lake(home, deployment="d"):
        pass
    with pytest.raises(NotMirrored):
        connect(home)
    monkeypatch.undo()
    with Lake(home, deployment="d"):
        pass
    made = "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'lake' ORDER BY ALL"
    with connect(home) as reader, Lake(Home(home.root / "other"), deployment="d") as other, other.reading() as engine:
        assert reader.execute(made).fetchall() == engine.execute(made).fetchall()


def test_what_the_catalog_has_rows_of_has_the_schema_version_of_the_lake(mirror: Mirror, sandbox: Sandbox) -> None:
    """Each further one costs every opening 15 ms."""
    sandbox.state.add_run(ENTITY, PROJECT, "r", history=[{"_step": 0, "loss": 1.0}])
    assert not mirror.pull().errors
    places, current = "ducklake_inlined_data_tables", "(SELECT max(schema_version) FROM ducklake_snapshot)"
    with contextlib.closing(sqlite3.connect(mirror.home.catalog)) as catalog:
        found = catalog.execute(f"SELECT count(*), min(schema_version) = {current} FROM {places}").fetchone()
    assert found == (len(INLINED_TABLES), True)


def test_a_lake_of_a_newer_version_is_refused_and_untouched(home: Home) -> None:
    with Lake(home, deployment="d") as lake, lake.transaction() as engine:
        engine.execute("UPDATE lake.meta SET value = '99' WHERE key = 'schema_version'")
    files = {path: path.read_bytes() for path in home.lake_data.rglob("*.parquet")}
    with pytest.raises(LakeTooNew, match="99"), Lake(home, deployment="d"):
        pass
    with pytest.raises(LakeTooNew, match="99"):
        connect(home)
    assert {path: path.read_bytes() for path in home.lake_data.rglob("*.parquet")} == files


def garbage(catalog: Path) -> None:
    catalog.write_bytes(b"this is no database" * 1000)


def truncated(catalog: Path) -> None:
    content = catalog.read_bytes()
    catalog.write_bytes(content[: len(content) // 2])


def tables_gone(catalog: Path) -> None:
    with sqlite3.connect(catalog) as connection:
        connection.execute("DROP TABLE ducklake_data_file")
        connection.execute("DROP TABLE ducklake_snapshot")
    connection.close()


def a_folder(catalog: Path) -> None:
    catalog.unlink()
    catalog.mkdir()


@pytest.mark.parametrize("damage", [garbage, truncated, tables_gone, a_folder])
def test_a_damaged_catalog_is_an_error_of_ours_for_readers_and_writers(
    home: Home, damage: Callable[[Path], None]
) -> None:
    with Lake(home, deployment="d"):
        pass
    for name in ("-wal", "-shm"):
        home.catalog.with_name(home.catalog.name + name).unlink(missing_ok=True)
    damage(home.catalog)
    with pytest.raises(MirrorError):
        connect(home)
    with pytest.raises(MirrorError), Lake(home, deployment="d"):
        pass


@pytest.mark.parametrize("wal", [False, True])
def test_an_empty_catalog_file_is_a_home_that_nothing_was_pulled_into(home: Home, wal: bool) -> None:
    home.lake.mkdir(parents=True)
    home.catalog.touch()
    if wal:  # what a first pull leaves that is killed before it made the lake
        with contextlib.closing(sqlite3.connect(home.catalog)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    with pytest.raises(NotMirrored):
        connect(home)
    assert deployment_of_lake(home) is None
    with Lake(home, deployment="d"):
        pass
    connect(home).close()


def test_a_home_that_is_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")
    for place in (Home(tmp_path / "home"), Home(tmp_path / "home" / "below")):
        with pytest.raises(StoreError), Lake(place, deployment="d"):
            pass
        with pytest.raises(MirrorError):
            connect(place)


def test_a_network_file_system_is_refused_with_its_type(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match=r"nfs4 at /"):
        check_can_hold_lake(tmp_path, mounts=f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    check_can_hold_lake(tmp_path, mounts="server:/x / nfs4 rw 0 0\n/dev/sda / ext4 rw 0 0\n")


def as_nobody(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as a user who owns nothing; as ourselves where we are not root."""
    drop = f"import os\nif os.getuid() == 0: os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    # The modules are loaded before, since the installation may be readable by root alone.
    loaded = "import sys\nimport mirror.store.engine.lake, mirror.store.sql.statements, duckdb, pyarrow, pandas, pytz\n"
    loaded += "from mirror.store.engine.connection import new_engine\nnew_engine().close()\n"
    return subprocess.run(
        [sys.executable, "-c", loaded + drop + code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def open_for_others(home: Home) -> None:
    """Let everyone read the home and nobody write it, down from the first folder of the test."""
    for path in (home.root, *home.root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    parent = home.root.parent
    while parent.stat().st_uid == os.getuid() and parent != Path(parent.anchor):
        parent.chmod(parent.stat().st_mode | 0o055)
        parent = parent.parent


WRITE = """
from pathlib import Path
from mirror.errors import HomeUnusable
from mirror.layout import Home
from mirror.store.engine.lake import Lake
try:
    with Lake(Home(Path(sys.argv[1])), deployment="d"): pass
except HomeUnusable as error:
    print(error.message)
"""

READ = """
from pathlib import Path
from mirror.layout import Home
from mirror.store.sql.statements import connect
with connect(Home(Path(sys.argv[1]))) as engine:
    print(engine.execute("SELECT run_id FROM runs").fetchall())
"""


def test_a_read_only_home_refuses_a_writer_and_serves_a_reader(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r")
    mirror.pull()
    open_for_others(mirror.home)
    try:
        written, read = as_nobody(WRITE, str(mirror.home.root)), as_nobody(READ, str(mirror.home.root))
    finally:
        for path in (mirror.home.root, *mirror.home.root.rglob("*")):
            path.chmod(0o755)
    assert "cannot be written" in written.stdout, written.stderr
    assert read.stdout == "[('r',)]\n", read.stderr
    assert mirror.run_ids() == ["r"]


def test_a_disk_that_takes_not_even_the_files_of_a_reader_serves_readers(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r")
    mirror.pull()
    beside = mirror.home.catalog.with_name(f"{mirror.home.catalog.name}-shm")
    beside.unlink(missing_ok=True)
    beside.mkdir()  # SQLite cannot make its shared memory, as on a full disk
    assert mirror.run_ids() == ["r"]


FILL = """
import resource, sys
from pathlib import Path
from mirror.errors import HomeUnusable
from mirror.layout import Home
from mirror.store.engine.lake import Lake
home = Home(Path(sys.argv[1]))
with Lake(home, deployment="d") as lake:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        with lake.transaction() as engine:
            many = "SELECT 'k' || i, md5(i::VARCHAR) || md5((i + 1)::VARCHAR) FROM range(20000) t(i)"
            engine.execute(f"INSERT INTO lake.meta {many}")
        print("committed")
    except HomeUnusable as error:
        print("full", error.message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.parametrize("limit", [0, 4096, 100_000])
def test_a_full_disk_is_one_clear_error_and_the_lake_stays_at_its_last_commit(home: Home, limit: int) -> None:
    with Lake(home, deployment="d"):
        pass
    _, said, errors = run_script(FILL, str(home.root), str(limit))
    assert said.startswith(f"full the disk that holds {home.root} is full"), said + errors
    with connect(home) as engine:
        assert engine.execute("SELECT count(*) FROM lake.meta").fetchall() == [(2,)]
    with Lake(home, deployment="d") as lake, lake.transaction() as writer:
        writer.execute("INSERT INTO lake.meta VALUES ('later', 'x')")


def test_a_lock_whose_holder_cannot_be_written_down_is_given_back(home: Home) -> None:
    home.root.mkdir()
    home.writer_holder.mkdir()  # in the way
    with pytest.raises(StoreError), Lake(home, deployment="d"):
        pass
    shutil.rmtree(home.writer_holder)
    with Lake(home, deployment="d"):
        pass
