"""Scripts as people write them, with the types that they and their editors rely on; mypy checks them with the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import pytest

import mirror
from mirror.layout import Home
from mirror.run.artifacts.artifact import Artifact
from mirror.run.artifacts.table import Table
from mirror.run.files import File
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror

if TYPE_CHECKING:
    import polars as pl

ROWS = [{"_step": step, "loss": 1 / (step + 1), "epoch": step / 2} for step in range(10)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    with Sandbox.start() as sandbox:
        for number in range(3):
            sandbox.state.add_run(
                ENTITY, PROJECT, f"r{number}", config={"lr": 0.1 * number}, history=ROWS, files={"a.txt": b"a"},
                tags=["best"] if number == 1 else [],
            )  # fmt: skip
        table = b'{"columns": ["x"], "data": [[1], [2]]}'
        sandbox.state.add_artifact(ENTITY, PROJECT, "data", files={"t.table.json": table}, run="r0", type="dataset")
        place = Mirror(
            url=sandbox.url, api_key=sandbox.api_key, home=Home(tmp_path_factory.mktemp("examples") / "home")
        )
        place.policy = {"artifacts_include": ("*",)}
        assert place.pull().errors == []
    return place.home


def best_run(api: mirror.Api) -> mirror.Run:
    """The run with the lowest loss."""
    return api.runs(SOURCE, filters={"state": "finished"}, order="+summary_metrics.loss")[0]


def test_runs_are_walked_filtered_and_taken_apart(home: Home) -> None:
    api = mirror.Api(home)
    run = assert_type(best_run(api), mirror.Run)
    assert_type(run.config, dict[str, Any])
    assert_type(run.tags, list[str])
    assert [one.id for one in api.runs(SOURCE, {"tags": "best"})] == ["r1"]
    assert_type(api.runs(SOURCE)[:2], list[mirror.Run])
    assert len(api.runs(SOURCE)) == 3


def test_a_history_is_scanned_and_is_a_frame(home: Home) -> None:
    run = best_run(mirror.Api(home))
    losses: list[float] = [row["loss"] for row in run.scan_history(keys=["loss"])]
    assert losses == [row["loss"] for row in ROWS]
    assert assert_type(run.step_metric("loss"), str) == "_step"


def test_runs_are_frames(home: Home) -> None:
    every = mirror.Api(home).runs(SOURCE)
    frame: pl.DataFrame = assert_type(every.to_polars(["run_id", "config.lr", "summary.loss"]), "pl.DataFrame")
    assert frame.height == 3
    assert list(every.to_df()["config.lr"]) == [0.0, 0.1, 0.2]


def test_files_artifacts_and_tables_are_found(home: Home) -> None:
    api = mirror.Api(home)
    files = [assert_type(file, File).name for file in api.run(f"{SOURCE}/r0").files()]
    artifact = assert_type(api.artifact(f"{SOURCE}/data:latest"), Artifact)
    found = artifact.get("t")
    assert isinstance(found, Table)
    assert (files, found.to_df()["x"].sum()) == (["a.txt"], 3)
    assert [kind.name for kind in api.artifact_types(SOURCE)] == ["dataset"]


def test_what_is_not_there_names_what_to_type(home: Home) -> None:
    api = mirror.Api(home)
    try:
        api.run(f"{SOURCE}/nope")
    except mirror.NotMirrored as error:
        said, hint = str(error), assert_type(error.hint, str)
    assert hint == "`wandb-mirror pull team/proj/nope` fetches it"
    assert hint in said
    for ask in (api.reports, api.registries):
        with pytest.raises(mirror.NotMirrored, match="only the server knows"):
            ask()


def test_sql_is_a_question_away(home: Home) -> None:
    with mirror.connect(home) as lake:
        rows: list[tuple[Any, ...]] = lake.sql("SELECT count(*) FROM metrics WHERE key = 'loss'").fetchall()
    assert rows == [(30,)]
