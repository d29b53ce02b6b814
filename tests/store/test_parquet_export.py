"""Views as Parquet files in a folder: whole or as they were, and only what changed is written again."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow.dataset
import pytest

from mirror.errors import ConfigError, HomeBusy, NotMirrored, Refused, StoreError
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.sandbox import Sandbox
from mirror.store.care.tables import MERGE_FILES
from mirror.store.engine.connection import plan_lightly
from mirror.store.parquet import export, parquet_files
from mirror.store.parquet.export import Exported
from mirror.store.parquet.exporting import export_tables
from mirror.store.parquet.folder import LOCK, locked
from mirror.store.parquet.manifest import MANIFEST
from mirror.store.schema.tables import SCHEMA_VERSION
from mirror.store.schema.views import made_views, views
from mirror.store.sql.statements import connect
from tests.mirroring import ENGINE, Mirror
from tests.store.maintained import tidy

HOSTILE = "..\\up é%2F=: 'x" + "y" * 100
NUMBERS = count()
PROJECTS = ("team/proj", f"team/{HOSTILE}", "team/empty")


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """Three projects, one of a name that no folder should have, one without runs."""
    with Sandbox.start() as sandbox:
        state = sandbox.state
        for place, name in enumerate(PROJECTS[:2]):
            project = name.partition("/")[2]
            state.add_project("team", project)
            for number in range(3):
                state.add_run(
                    "team", project, f"r{place}{number}", config={"lr": 0.5, "model": {"depth": number}},
                    summary={"loss": math.nan}, tags=["a", "b"],
                    history=[{"_step": step, "loss": 1 / (step + 1), "n": 2**60 + step} for step in range(10)],
                    events=[{"_timestamp": 1.7e9, "_runtime": 1.0, "system.cpu": 12.5}], console=["a line"],
                )  # fmt: skip
        state.add_project("team", "empty")
        yield sandbox


@pytest.fixture(scope="module")
def pulled(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Its mirror, for copying."""
    home = Home(tmp_path_factory.mktemp("pulled") / "home")
    found = Mirror(url=server.url, api_key=server.api_key, home=home, sources=PROJECTS)
    assert not any(report.failed for report in found.pull().projects)
    return found


@pytest.fixture(scope="module")
def first(pulled: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of it, for copying."""
    target = tmp_path_factory.mktemp("exported") / "out"
    done = exported(pulled, target)
    assert done.files == done.written
    return target


@pytest.fixture
def target(first: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(first, tmp_path / "out"))


@pytest.fixture
def mirror(pulled: Mirror, tmp_path: Path) -> Mirror:
    """A copy of it."""
    return pulled.copied(Home(tmp_path / "home"))


def exported(mirror: Mirror, target: Path, *projects: str) -> Exported:
    wanted = [ProjectKey(*name.split("/", 1)) for name in projects]
    return export_tables(mirror.home, target, wanted, ENGINE)


def manifest_of(target: Path) -> Any:
    return json.loads((target / MANIFEST).read_text(encoding="utf-8"))


def files_of(target: Path) -> dict[str, bytes]:
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*.parquet")}


def check(mirror: Mirror, target: Path) -> None:
    """Every view is there, with its rows; every file is as its manifest says, and no other is there."""
    manifest = manifest_of(target)
    assert {table["name"] for table in manifest["tables"]} == {*views(SCHEMA_VERSION), *made_views()}
    named = set()
    with connect(mirror.home, settings=ENGINE) as engine, duckdb.connect(config={"threads": 1}) as plain:
        engine.execute("BEGIN")
        plan_lightly(engine, is_small=True)
        for table in manifest["tables"]:
            files, columns = table["files"], table["columns"]
            listed = ", ".join(
                f'"{column["name"]}"' + ("::VARCHAR" if column["type"] == "JSON" else "") + f' AS "{column["name"]}"'
                for column in columns
            )
            read = f"read_parquet({[str(target / file['path']) for file in files]})"
            assert rows(plain, read) == rows(engine, f"(SELECT {listed} FROM {table['name']})"), table["name"]
            assert table["rows"] == sum(file["rows"] for file in files)
            for file in files:
                content = (target / file["path"]).read_bytes()
                assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
                named.add(file["path"])
    assert named == files_of(target).keys()


def rows(engine: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[Any, ...]]:
    """As texts, so that NaN is equal to NaN."""
    return engine.execute(f"SELECT r::VARCHAR FROM {relation} r ORDER BY ALL").fetchall()


def test_every_view_is_there_with_its_rows_and_the_manifest_names_each_file(mirror: Mirror, target: Path) -> None:
    check(mirror, target)
    manifest = manifest_of(target)
    assert manifest["snapshot"] == mirror.ask("SELECT max(snapshot_id) AS id FROM lake.snapshots()")[0]["id"]
    metrics = next(table for table in manifest["tables"] if table["name"] == "metrics")
    assert {(file["entity"], file["project"]) for file in metrics["files"]} == {("team", "proj"), ("team", HOSTILE)}
    for path in target.rglob("*.parquet"):
        assert path.name.isascii()
        assert len(path.relative_to(target).parts) == 2


def test_what_is_unchanged_is_not_written_again(mirror: Mirror, server: Sandbox, target: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")}
    assert exported(mirror, target).written == 0
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")} == before

    server.state.add_run("team", "proj", f"new{next(NUMBERS)}", history=[{"_step": 0, "loss": 9.0}])
    mirror.pull()
    exported(mirror, target)
    check(mirror, target)
    new = [path.relative_to(target) for path in target.rglob("*.parquet") if path not in before]
    assert not [path for path in new if "up" in path.name], "the other project is as it was"
    assert len([path for path in new if path.parts[0] == "metrics"]) == 1


def test_files_that_maintenance_made_anew_of_the_same_rows_are_no_change(
    mirror: Mirror, server: Sandbox, target: Path
) -> None:
    for _ in range(MERGE_FILES):
        server.state.add_run("team", "proj", f"small{next(NUMBERS)}", history=[{"_step": 0, "loss": 9.0}])
        mirror.pull()
    exported(mirror, target)
    lake_files = {path.name for path in mirror.home.lake_data.rglob("*.parquet")}
    tidy(mirror, days=30)
    assert {path.name for path in mirror.home.lake_data.rglob("*.parquet")} != lake_files
    assert exported(mirror, target).written == 0
    check(mirror, target)


def test_an_export_that_fails_leaves_the_one_before_whole(
    mirror: Mirror, server: Sandbox, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(target), manifest_of(target)
    server.state.add_run("team", "proj", f"new{next(NUMBERS)}", history=[{"_step": 0, "loss": 9.0}])
    mirror.pull()
    for module, step, call in (
        (parquet_files, "sync_file", 3),
        (parquet_files, "publish", 3),
        (export, "write_replace", 1),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, step, failing_at(call, getattr(module, step)))
            with pytest.raises(StoreError, match="cannot be written: its disk is full"):
                exported(mirror, target)
        assert manifest_of(target) == before[1]
        assert before[0].items() <= files_of(target).items()
        assert not list(target.rglob(".tmp-*"))
    (target / "runs" / ".tmp-0123").write_bytes(b"of a process that was killed")
    exported(mirror, target)
    check(mirror, target)
    assert not list(target.rglob(".tmp-*"))


def failing_at(call: int, real: Any) -> Any:
    calls: Iterator[int] = iter(range(1, 10_000))

    def sometimes(*arguments: Any, **named: Any) -> Any:
        if next(calls) == call:
            raise OSError(28, os.strerror(28))
        return real(*arguments, **named)

    return sometimes


def test_damaged_and_lost_files_are_written_again(mirror: Mirror, target: Path) -> None:
    lost, cut = sorted((target / "metrics").iterdir())
    lost.unlink()
    os.truncate(cut, 10)
    assert exported(mirror, target).written == 2
    check(mirror, target)


def test_projects_that_are_named_are_all_that_is_there(mirror: Mirror, target: Path) -> None:
    exported(mirror, target, "team/proj")
    manifest = manifest_of(target)
    assert manifest["projects"] == ["team/proj"]
    for table in manifest["tables"]:
        for _, project in rows_of_project(target, table):
            assert project == "proj", table["name"]
    assert len(list((target / "metrics").iterdir())) == 1


def rows_of_project(target: Path, table: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect() as plain:
        paths = [str(target / file["path"]) for file in table["files"]]
        return plain.execute(f"SELECT DISTINCT entity, project FROM read_parquet({paths})").fetchall()


def test_other_engines_read_a_folder_by_its_name(mirror: Mirror, target: Path) -> None:
    assert polars.read_parquet(target / "metrics" / "*.parquet").height == 120
    assert polars.read_parquet(target / "metrics").height == 120
    assert len(pandas.read_parquet(target / "runs")) == 6
    found = pyarrow.dataset.dataset(target / "metrics", format="parquet")
    assert found.count_rows() == 120
    table = found.to_table(filter=pyarrow.dataset.field("key") == "n")
    assert table.column("text").to_pylist().count(str(2**60 + 3)) == 6
    runs = polars.read_parquet(target / "runs" / "*.parquet")
    assert runs.schema["config"] == polars.String
    assert json.loads(runs["config"][0])["lr"] == 0.5


def test_what_is_wrong_is_one_sentence_with_a_hint(mirror: Mirror, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("text")
    for error, target, projects in (
        (Refused, mine, ()),
        (ConfigError, mine / "thesis.tex", ()),
        (StoreError, mine / "thesis.tex" / "below", ()),
        (NotMirrored, tmp_path / "out", ("team/nothing",)),
    ):
        with pytest.raises(error) as caught:
            exported(mirror, target, *projects)
        assert caught.value.hint
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_is_none_is_not_taken_for_one(mirror: Mirror, target: Path) -> None:
    (target / MANIFEST).write_text("{")
    with pytest.raises(ConfigError, match="no manifest"):
        exported(mirror, target)


def test_two_exports_into_a_folder_do_not_go_on_at_once(mirror: Mirror, target: Path) -> None:
    with locked(target), pytest.raises(HomeBusy, match="exporting"):
        exported(mirror, target)
    assert (target / LOCK).exists()
