"""The examples for other engines work on what `export --parquet` writes: Dask, dbt, Spark."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import polars
import pytest

from mirror.layout import Home
from mirror.store.parquet.exporting import export_tables
from mirror.store.parquet.manifest import ExportedColumn, ExportedFile, ExportedTable, ExportManifest
from tests.cluster.servers import need
from tests.mirroring import ENGINE
from tests.pages.blocks import ROOT, blocks
from tests.pages.prepared import Prepared


@pytest.fixture(scope="module")
def tables(held: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export."""
    target = tmp_path_factory.mktemp("exported") / "tables"
    export_tables(Home(held.cli.home), target, (), ENGINE)
    return target


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("backfill_dask", ROOT / "examples" / "backfill_dask.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_backfill_in_parallel_is_what_sql_says_and_is_computed_once(
    example: ModuleType, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "RUNS_OF_A_TASK", 2)
    how: dict[str, Any] = {"scheduler": "threads", "num_workers": 2}
    assert len(example.backfill(tables, tmp_path, ["loss", "val/acc"], **how)) == 3
    found = polars.read_parquet(tmp_path / "run_scores" / "*.parquet")
    with duckdb.connect() as plain:
        expected = plain.execute(
            "SELECT entity, project, run_id, key, count(*), min(value), arg_min(step, value), arg_max(value, step)"
            f" FROM '{tables}/metrics/*.parquet' WHERE key IN ('loss', 'val/acc') AND isfinite(value)"
            " GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert sorted(found.drop("smoothed_last").rows()) == expected
    assert found["smoothed_last"].is_finite().all()
    assert example.backfill(tables, tmp_path, ["loss", "val/acc"], **how) == []
    assert len(example.backfill(tables, tmp_path, ["loss"], **how)) == 3
    assert polars.read_parquet(tmp_path / "run_scores" / "*.parquet")["key"].unique().to_list() == ["loss"]


@pytest.mark.soak
def test_dbt_builds_and_tests_its_tables(tables: Path, tmp_path: Path) -> None:
    dbt = Path(sys.executable).parent / "dbt"
    need("dbt", dbt.exists(), how='pip install -e ".[engines]"')
    shutil.copytree(ROOT / "examples" / "dbt", tmp_path / "dbt")
    answers = tmp_path / "answers.duckdb"
    done = subprocess.run(
        [dbt, "--no-send-anonymous-usage-stats", "build", "--project-dir", "dbt", "--profiles-dir", "dbt"],
        env={**os.environ, "TABLES": str(tables), "ANSWERS": str(answers)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "PASS=5 " in done.stdout
    with duckdb.connect(str(answers), read_only=True) as plain:
        rows = plain.execute("SELECT run_id, lr, loss, place FROM leaderboard WHERE project = 'my-project'").fetchall()
    assert [(row[0], round(row[1], 6), *row[2:]) for row in rows] == [("run3", 0.3, 0.125, 1)]


@pytest.mark.soak
def test_spark_reads_the_folders(tables: Path) -> None:
    need("pyspark", importlib.util.find_spec("pyspark") and shutil.which("java"), how='pip install -e ".[engines]"')
    (block,) = [block for block in blocks("docs/guides/spark.md") if block.title == "pyspark"]
    done = subprocess.run(
        [sys.executable, "-c", block.text], cwd=tables.parent, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "run3" in done.stdout


def test_the_guide_names_every_key_of_the_manifest_in_order() -> None:
    text = (ROOT / "docs" / "guides" / "spark.md").read_text(encoding="utf-8").partition("## The manifest")[2]
    rows = dict(re.findall(r"^\| `([\w\[\].]+)` \| (.*) \|$", text.partition("##")[0], re.MULTILINE))
    assert [key for key in rows if "[" not in key] + ["tables"] == list(ExportManifest.__struct_fields__)
    for key, kind in (
        ("tables[]", ExportedTable),
        ("tables[].columns[]", ExportedColumn),
        ("tables[].files[]", ExportedFile),
    ):
        assert re.findall(r"`(\w+)`", rows[key]) == list(kind.__struct_fields__)
