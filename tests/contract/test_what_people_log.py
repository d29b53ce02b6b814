"""What the SDK logs is reached: tables by SQL and as data frames, nested values by their keys, in what people type."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import polars as pl
import pytest
import wandb

import mirror
from mirror.errors import NotMirrored, ServerError
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.contract.conftest import ENTITY
from tests.contract.test_live_runs import begin

PROJECT = "reached"
PATH = f"{ENTITY}/{PROJECT}/logged"
AT = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)


def table_of(step: int) -> wandb.Table:
    """A table that is another one at each step."""
    table = wandb.Table(columns=["n", "text", "day", "mixed"], allow_mixed_types=True)
    table.add_data(2**60 + 1, f"step {step}", AT, {"deep": [1]})
    table.add_data(None, "ü", None, 2.5)
    return table


@pytest.fixture(scope="session")  # a worker may come back to it, and finds its runs there
def reached(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A mirror, with the configuration that `init` writes, of a run that the SDK logged."""
    server.faults.clear()
    run = begin(PROJECT, "logged")
    run.define_metric("epoch", hidden=True)
    run.define_metric("loss", step_metric="epoch")
    run.define_metric("val.*", step_metric="my.epoch")
    run.define_metric("never", step_metric="nowhere", step_sync=False)
    bits = wandb.Table(columns=["n"], log_mode="INCREMENTAL")
    for step in range(3):
        bits.add_data(step)
        run.log(
            {
                "loss": 1 / (step + 1),
                "epoch": 7.5 - step * 2.5,
                "my": {"epoch": 10 * step},
                "never": step,
                "nothing": None,
                **({} if step else {"once": None}),
                "some": step or None,
            }
        )
        run.log({"val": {"acc": step / 2, "table": table_of(step)}, "bits": bits})
    run.log({"it's/one": wandb.Table(columns=["x", "X"], data=[[1, 2]])})
    run.finish()
    begin(PROJECT, "bare").finish()
    cli = Cli(folder=tmp_path_factory.mktemp("reached")).at(server).configure(f"{ENTITY}/{PROJECT}")
    cli("pull", code=0)
    return cli.using(WANDB_API_KEY=None, WANDB_BASE_URL=None)


def test_logged_tables_are_listed_in_sql(reached: Cli) -> None:
    listed = reached("sql", "SELECT key, step, rows, columns, held FROM logged_tables ORDER BY 1, 2", "--json").json
    assert [(row["key"], row["step"], row["rows"], row["columns"]) for row in listed] == [
        *(("bits", 2 * step + 1, step + 1, 1) for step in range(3)), ("it's/one", 6, 1, 2),
        *(("val.table", 2 * step + 1, 2, 4) for step in range(3)),
    ]  # fmt: skip
    assert all(row["held"] for row in listed)


def test_a_logged_table_is_asked_in_sql_by_run_and_key(reached: Cli) -> None:
    query = "SELECT n, text, day, mixed FROM logged_table('logged', 'val.table') ORDER BY n"
    assert reached("sql", query, "--json", code=0).json == [
        {"n": 2**60 + 1, "text": "step 2", "day": "2024-01-02T00:00:00Z", "mixed": {"deep": [1]}},
        {"n": None, "text": "ü", "day": None, "mixed": 2.5},
    ]
    joined = (
        f"WITH a AS (FROM Logged_Table /* of */ ( '{PATH}' , 'it''s/one')), b AS (FROM logged_table('logged', 'bits'))"
        " SELECT a.x, count(*) AS rows, max(r.run_id) AS run FROM a, b, runs r WHERE r.run_id = 'logged' GROUP BY a.x"
    )
    assert reached("sql", joined, "--json", code=0).json == [{"x": 1, "rows": 3, "run": "logged"}]
    said = reached("sql", "FROM logged_table('logged', 'bits')", "--output", "bits.parquet", code=0)
    assert said.err == "wrote bits.parquet (3 rows)\n"


@pytest.mark.parametrize(
    ("query", "status", "expected"),
    [
        ("FROM logged_table('logged', 'nope')", 5, "no table 'nope' of contract-team/reached/logged is in this mirror"),
        ("FROM logged_table('lugged', 'bits')", 5, "'lugged' does not name a run of this mirror"),
        ("FROM logged_table('e/p/r', 'bits')", 5, "Could not find run"),
        ("FROM logged_table(run_id, 'bits'), runs", 3, "logged_table takes a run and a key as two texts"),
        ("FROM logged_table('logged')", 3, "logged_table takes a run and a key as two texts"),
    ],
)
def test_a_table_that_is_not_there_is_one_clear_line(reached: Cli, query: str, status: int, expected: str) -> None:
    assert expected in reached.fails(status, "sql", query).error


def test_the_hint_lists_the_tables_that_there_are(reached: Cli) -> None:
    hint = reached.fails(5, "sql", "FROM logged_table('logged', 'nope')").hint
    assert f"it logged 'bits', \"it's/one\", 'val.table'; `wandb-mirror pull {PATH}` asks the server again" in hint
    assert f"`wandb-mirror pull {PATH[:-6]}bare`" in reached.fails(5, "sql", "FROM logged_table('bare', 'x')").hint


def test_a_text_or_a_comment_that_names_the_function_calls_for_nothing(reached: Cli) -> None:
    query = "SELECT 'logged_table(''a'', ''b'')' AS text -- logged_table('c', 'd')"
    assert reached("sql", query, "--json", code=0).json == [{"text": "logged_table('a', 'b')"}]


def test_a_logged_table_is_a_data_frame(reached: Cli) -> None:
    run = mirror.Api(reached.home).run(PATH)
    table = run.table("val.table")
    assert table.data == [[2**60 + 1, "step 2", "2024-01-02T00:00:00Z", {"deep": [1]}], [None, "ü", None, 2.5]]
    frame: pd.DataFrame = table.to_df()
    assert (list(frame.columns), frame["n"][0]) == (["n", "text", "day", "mixed"], 2**60 + 1)
    polars: pl.DataFrame = table.to_polars()
    assert polars["text"].to_list() == ["step 2", "ü"]
    assert table.to_arrow().column("mixed").to_pylist() == ['{"deep":[1]}', "2.5"]
    assert run.table("val.table", step=3).data[0][1] == "step 1"
    assert (run.table("bits").data, run.table("bits", step=3).data) == ([[0], [1], [2]], [[0], [1]])
    preds = run.table("it's/one").to_arrow()  # noqa: F841 -- DuckDB takes it by its name
    assert mirror.connect(reached.home).sql("SELECT * FROM preds").fetchall() == [(1, 2)]
    with pytest.raises(NotMirrored, match=r"no table 'bits' of .* at step 4 is in this mirror"):
        run.table("bits", step=4)
    with pytest.raises(NotMirrored, match="no table 'loss'"):
        run.table("loss")


def test_a_table_whose_bytes_are_left_out_says_so(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    cli = Cli(folder=tmp_path_factory.mktemp("left")).at(server).configure(f"{ENTITY}/{PROJECT}")
    cli.config.write_text(cli.config.read_text() + 'files_exclude = ["media/*"]\n')
    cli("pull", code=0)
    said = cli.fails(5, "sql", "FROM logged_table('logged', 'val.table')")
    assert "is not in this mirror: left out, files_exclude has 'media/*'" in said.error
    assert f"wandb-mirror pull {PATH}" in said.hint
    assert cli("sql", "SELECT DISTINCT held FROM logged_tables", "--json", code=0).json == [{"held": False}]


def test_a_file_that_is_no_table_says_so(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    noted = {"_type": "table-file", "path": "t.json", "sha256": "../x", "ncols": 1, "nrows": 1}
    spoilt = {
        b"no": "is not JSON",
        b"[]": "no JSON object",
        b"{}": "is no table",
        b'{"columns": [1], "data": [[]]}': "no table",
    }
    for number, content in enumerate(spoilt):
        row = {"_step": 0, "t": noted}
        server.state.add_run("odd", "tables", f"r{number}", history=[row], files={"t.json": content})
    cli = Cli(folder=tmp_path_factory.mktemp("odd")).at(server).configure("odd/tables")
    cli("pull", code=0)
    for number, why in enumerate(spoilt.values()):
        with pytest.raises(ServerError, match=why):
            mirror.Api(cli.home).run(f"odd/tables/r{number}").table("t")


def test_a_column_without_a_name_and_a_table_without_columns_are_tables_all_the_same(
    server: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, content in (
        ("nameless", b'{"columns": ["b", ""], "data": [[1, [1, 2]], [2, "x"]]}'),
        ("bare", b'{"columns": [], "data": []}'),
    ):
        noted = {"_type": "table-file", "path": "t.json", "sha256": "../x", "ncols": 1, "nrows": 1}
        server.state.add_run("odd", "bare", name, history=[{"_step": 0, "t": noted}], files={"t.json": content})
    cli = Cli(folder=tmp_path_factory.mktemp("bare")).at(server).configure("odd/bare")
    cli("pull", code=0)
    assert [row["b"] for row in cli("sql", "FROM logged_table('nameless', 't')", "--json", code=0).json] == [1, 2]
    assert "has no columns" in cli.fails(3, "sql", "FROM logged_table('bare', 't')").error


def test_nested_values_are_asked_by_their_dotted_key(reached: Cli) -> None:
    rows = reached("sql", "SELECT step, value FROM metrics WHERE key = 'val.acc' ORDER BY step", "--json", code=0).json
    assert rows == [{"step": 2 * step + 1, "value": step / 2} for step in range(3)]
    shown = reached("history", "logged", "--keys", "val.acc", "--json", code=0).json
    assert shown == [{"_step": 2 * step + 1, "val.acc": step / 2} for step in range(3)]


def test_a_metric_is_drawn_over_the_step_metric_that_was_defined_for_it(reached: Cli) -> None:
    shown = reached("history", "logged", "--plot", "--keys", "loss,val.acc,never", code=0).out
    titles = [line for line in shown.splitlines() if "points)" in line]
    assert titles == [
        "loss over epoch  (min 0.3333 at 2.5, max 1 at 7.5, last 1; 3 points)",
        "val.acc over my.epoch  (min 0 at 0, max 1 at 20, last 1; 3 points)",
        "never  (min 0 at 0, max 2 at 4, last 2; 3 points)",
    ]
    assert [line.split() for line in shown.splitlines() if line.split()[:1] == ["2.5"]] == [["2.5", "7.5"]]
    run = mirror.Api(reached.home).run(PATH)
    assert [run.step_metric(key) for key in ("loss", "val.acc", "epoch", "x")] == [
        "epoch",
        "my.epoch",
        "_step",
        "_step",
    ]
    rows = run.history(keys=["loss"], x_axis=run.step_metric("loss"), pandas=False)
    assert rows == [{"epoch": 7.5 - step * 2.5, "loss": 1 / (step + 1)} for step in range(3)]


def test_a_page_draws_a_metric_over_its_step_metric(reached: Cli) -> None:
    reached("show", "logged", "--html", "logged.html", code=0)
    html = (reached.folder / "logged.html").read_text()
    assert "min 0.33333 at 2.5 &#183; max 1 at 7.5 &#183; over epoch" in html
    assert "min 0 at 0 &#183; max 1 at 20 &#183; over my.epoch" in html
    assert "min 0 at 0 &#183; max 2 at 4</p>" in html, "nothing was logged of what `never` is defined over"
    assert "Horizontal: steps, or the metric that a chart is over." in html


def test_a_logged_none_is_told_from_a_key_that_was_never_logged(reached: Cli) -> None:
    query = "SELECT key, type, count FROM logged_keys WHERE key IN ('nothing', 'once', 'some', 'x') ORDER BY ALL"
    assert reached("sql", query, "--json", code=0).json == [
        {"key": "nothing", "type": "nil", "count": 3}, {"key": "once", "type": "nil", "count": 1},
        {"key": "some", "type": "nil", "count": 1}, {"key": "some", "type": "number", "count": 2},
    ]  # fmt: skip
    said = reached("history", "logged", "--keys", "nothing,once,x,loss", "--csv", code=0).err.splitlines()
    assert said == [
        "'nothing' was logged as None alone, 3 times", "'once' was logged as None alone, 1 time",
        f"no row of {PATH} holds 'x'",
    ]  # fmt: skip
    run = mirror.Api(reached.home).run(PATH)
    with pytest.warns(UserWarning, match=r"no row of .* holds 'x'") as caught:
        run.scan_history(keys=["nothing", "x"])
    assert len(caught) == 1
