"""Views as Iceberg tables in a folder: any reader of the format has their rows, and what is unchanged stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.table import StaticTable

from mirror.errors import Refused, StoreError
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.connection import extension_file
from mirror.store.parquet import iceberg
from mirror.store.parquet.export import Exported
from mirror.store.parquet.exporting import export_tables
from mirror.store.parquet.iceberg import EXTENSIONS
from mirror.store.parquet.manifest import MANIFEST
from tests.mirroring import ENGINE, Mirror


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """A project of two runs."""
    with Sandbox.start() as sandbox:
        sandbox.state.add_project("team", "proj")
        for number in range(2):
            rows = [{"_step": step, "loss": 1 / (step + 1)} for step in range(10)]
            sandbox.state.add_run("team", "proj", f"r{number}", config={"lr": 0.5}, tags=["a"], history=rows)
        yield sandbox


@pytest.fixture(scope="module")
def mirror(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Its mirror."""
    found = Mirror(url=server.url, api_key=server.api_key, home=Home(tmp_path_factory.mktemp("pulled") / "home"))
    assert not any(report.failed for report in found.pull().projects)
    return found


def export(mirror: Mirror, target: Path) -> Exported:
    return export_tables(mirror.home, target, (), ENGINE, "iceberg")


def tables_of(target: Path) -> dict[str, Any]:
    manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    return {table["name"]: table for table in manifest["tables"]}


def test_every_reader_of_the_format_has_the_rows(mirror: Mirror, server: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "tables"
    first = export(mirror, target)
    check(target, runs=2)
    assert export(mirror, target).written == 0
    before = tables_of(target)

    server.state.add_run("team", "proj", "new", history=[{"_step": 0, "loss": 9.0}])
    mirror.pull()
    assert 0 < export(mirror, target).written < first.written
    check(target, runs=3)
    after = tables_of(target)
    assert after["sweeps"]["metadata"] != after["runs"]["metadata"] != before["runs"]["metadata"]
    assert after["projects"] == before["projects"]
    assert after["artifacts"] == before["artifacts"]

    moved = tmp_path / "moved"
    shutil.move(target, moved)
    export(mirror, moved)
    check(moved, runs=3)


def check(target: Path, runs: int) -> None:
    """DuckDB by the folder, pyiceberg by the metadata; and no file is there that nobody names."""
    with duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": 1}) as plain:
        for package in EXTENSIONS:
            plain.execute(f"LOAD '{extension_file(package)}'")
        for name, table in tables_of(target).items():
            (count,) = plain.execute(f"SELECT count(*) FROM iceberg_scan('{target / name}')").fetchall()[0]
            assert count == table["rows"]
            data = {str(path.relative_to(target)) for path in (target / name / "data").iterdir()}
            assert data == {file["path"] for file in table["files"]}
            assert len(list((target / name / "metadata").iterdir())) == (4 if table["rows"] else 2)
    found = StaticTable.from_metadata(str(target / tables_of(target)["runs"]["metadata"]))
    rows = found.scan().to_arrow().to_pylist()
    assert len(rows) == runs
    assert next(json.loads(row["config"])["lr"] for row in rows if row["run_id"] == "r1") == 0.5
    assert next(row["tags"] for row in rows if row["run_id"] == "r1") == ["a"]


def test_what_is_wrong_is_one_sentence_with_a_hint(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_tables(mirror.home, tmp_path / "parquet", (), ENGINE)
    with pytest.raises(Refused, match="another kind"):
        export(mirror, tmp_path / "parquet")
    monkeypatch.setattr(iceberg, "EXTENSIONS", ("duckdb_extension_that_nobody_has",))
    with pytest.raises(StoreError, match="needs the extra `iceberg`") as caught:
        export(mirror, tmp_path / "tables")
    assert "wandb-mirror[iceberg]" in caught.value.hint
    assert not (tmp_path / "tables").exists()
