"""`runs.to_df()`, `.to_polars()`, `.to_arrow()`: a row a run, config and summary as columns; and runs in a notebook."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import polars as pl
import pytest

import mirror
from mirror.errors import CommError
from mirror.layout import Home
from mirror.run import run_table, runs
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror

BIG = 2**60 + 1


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A mirror of runs that differ in what they have, one of them with a config that is no JSON, one edited."""
    with Sandbox.start() as sandbox:
        state, at = sandbox.state, "2024-01-0{}T00:00:00".format
        state.add_run(ENTITY, PROJECT, "a", config={"lr": 0.5, "opt": {"name": "sgd", "k": {}}, "seed": BIG, "m": 1},
                      summary={"loss": 0.25, "val/acc": 1, "t": {"_type": "table-file", "path": "x"},
                               "_wandb": {"r": 1}},
                      tags=["x", "y"], created_at=at(1))  # fmt: skip
        state.add_run(ENTITY, PROJECT, "b", config={"lr": 1, "opt.name": "adam", "m": "<b>", "layers": [1, 2]},
                      summary={"loss": math.nan}, display_name="<script>x</script>", created_at=at(2))  # fmt: skip
        state.add_run(ENTITY, PROJECT, "c", config_text="{no", summary={"loss": 2}, created_at=at(3))
        for number in range(3):
            state.add_run(ENTITY, PROJECT, f"d{number}", state="crashed", user=None, created_at=at(4 + number))
        mirror_ = Mirror(
            url=sandbox.url, api_key=sandbox.api_key, home=Home(tmp_path_factory.mktemp("frames") / "home")
        )
        assert mirror_.pull().errors == []
    run = mirror.Api(mirror_.home).run(f"{SOURCE}/a")
    run.config["late"] = True
    run.update()
    return mirror_.home


def test_runs_are_a_data_frame_with_config_and_summary_as_columns(held: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_ROWS_AT_ONCE", 2)
    every = mirror.Api(held).runs(SOURCE)
    frame: pd.DataFrame = every.to_df()
    assert list(frame.columns) == [
        *run_table.FACTS, "config.late", "config.layers", "config.lr", "config.m", "config.opt.k", "config.opt.name",
        "config.seed", "summary.loss", "summary.t", "summary.val/acc",
    ]  # fmt: skip
    assert list(frame["run_id"]) == ["a", "b", "c", "d0", "d1", "d2"]
    assert frame["config.lr"].dtype == float
    assert list(frame["config.lr"][:2]) == [0.5, 1.0]
    assert list(frame["summary.loss"][[0, 2]]) == [0.25, 2.0]
    assert math.isnan(frame["summary.loss"][1])
    assert list(frame["config.opt.name"][:2]) == ["sgd", "adam"]
    assert frame["config.seed"][0] == BIG, "beside runs that have none"
    assert frame["config.late"][0] is True, "what is queued is shown"
    assert (frame["tags"][0], frame["config.layers"][1]) == (["x", "y"], [1, 2])
    assert frame["summary.t"][0] == {"_type": "table-file", "path": "x"}
    assert frame["user"][3:].isna().all()
    assert frame.groupby("state").size().to_dict() == {"crashed": 3, "finished": 3}


def test_polars_and_arrow_have_the_same_with_types(held: Home) -> None:
    every = mirror.Api(held).runs(SOURCE, {"state": "finished"}, "-created_at")
    frame: pl.DataFrame = every.to_polars()
    assert frame["run_id"].to_list() == ["c", "b", "a"]
    assert [str(frame.schema[name]) for name in ("config.lr", "config.seed")] == ["Float64", "Int64"]
    assert frame["config.seed"].to_list() == [None, None, BIG]
    assert frame["config.m"].to_list() == [None, '"<b>"', "1"], "without one type they are JSON"
    held_runs = every.to_arrow()  # noqa: F841 -- DuckDB takes it by its name
    found = mirror.connect(held).sql(
        'SELECT run_id, "config.lr" FROM held_runs WHERE "config.lr" IS NOT NULL ORDER BY 2'
    )
    assert found.fetchall() == [("a", 0.5), ("b", 1.0)]


def test_values_whose_names_are_spelled_alike_are_columns_of_their_own(sandbox: Sandbox, home: Home) -> None:
    both = {"a.b": 1, "a": {"b": 2, "c.d": 3, "c": {"d": 4}}, "deep": {"x": {"y": 5}}}
    sandbox.state.add_run(ENTITY, PROJECT, "both", config=both, summary={"s.t": 6, "s": {"t": 7}})
    sandbox.state.add_run(ENTITY, PROJECT, "nested", config={"a": {"b": 8}, "deep.x.y": 9})
    Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home).pull()
    every = mirror.Api(home).runs(SOURCE)
    want = {
        "run_id": ["both", "nested"],
        "config.a.b": [1, 8],
        'config["a"]["b"]': [2, 8],
        "config.a.c.d": [3, None],
        'config["a"]["c"]["d"]': [4, None],
        "config.deep.x.y": [5, 9],
        "summary.s.t": [6, None],
        'summary["s"]["t"]': [7, None],
    }
    found = {name: column for name, column in every.to_arrow().to_pydict().items() if name in want or "[" in name}
    assert found == want
    assert {name for name in every.to_polars().columns if "[" in name} == {name for name in want if "[" in name}
    assert list(every.to_df()['config["a"]["b"]']) == [2, 8]
    chosen = every.to_arrow(columns=['config["a"]["b"]', "config.a.b", 'config["deep"]["x"]["y"]']).to_pydict()
    assert chosen == {'config["a"]["b"]': [2, 8], "config.a.b": [1, 8], 'config["deep"]["x"]["y"]': [5, None]}


def test_columns_are_chosen_and_their_number_is_bounded(held: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    every = mirror.Api(held).runs(SOURCE)
    frame = every.to_df(columns=["summary.loss", "run_id", "config.nowhere"])
    assert list(frame.columns) == ["summary.loss", "run_id", "config.nowhere"]
    assert frame["config.nowhere"].isna().all()
    monkeypatch.setattr(run_table, "MOST_CELLS", 40)
    with pytest.raises(CommError, match="more than 40 cells"):
        every.to_df()
    assert len(every.to_df(columns=["run_id"])) == 6
    none: Any = mirror.Api(held).runs(SOURCE, {"state": "killed"})
    assert (len(none.to_df()), none.to_polars().height, none.to_arrow().num_rows) == (0, 0, 0)


def test_runs_in_a_notebook_are_a_table_in_which_nothing_is_markup(held: Home) -> None:
    html = mirror.Api(held).runs(SOURCE)._repr_html_()
    assert html.startswith("<div><p>6 runs of team/proj</p><table>")
    assert "&lt;script&gt;x&lt;/script&gt;" in html
    assert "<script" not in html
    assert "<th>config.lr</th>" in html
    assert "<td>0.25</td>" in html
    assert "<td>x, y</td>" in html
    assert html.count("<tr>") == 7
    assert "config.layers" not in html
