"""What the page's scripts are answered equals what `mirror.Api`, SQL and the command line say of the same home."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

import mirror
from mirror.layout import Home
from mirror.web.responses import encoded
from tests.cli.warm import run_script
from tests.mirroring import ENTITY, PROJECT, SOURCE
from tests.web.site import HOSTILE_ID, LONG, RUNS, TABLE, Site, run_of


@pytest.fixture(scope="module")
def api(pulled: Home) -> mirror.Api:
    """The same home in Python."""
    return mirror.Api(str(pulled.root))


def test_a_window_of_runs_is_what_api_runs_has(site: Site, api: mirror.Api) -> None:
    filters = {"config.opt": "adam", "summary_metrics.loss": {"$lt": 0.5}}
    expected = list(api.runs(SOURCE, filters=filters, order="-summary_metrics.loss"))
    columns = ["config.lr", "summary.loss", "tags", "created_at"]
    found = site.get(
        "runs", project=SOURCE, filters=filters, order="-summary.loss", columns=columns, offset="2", limit="4"
    )
    assert found["total"] == len(expected) > 6
    assert found["all"] == RUNS + 1
    assert [row["id"] for row in found["rows"]] == [run.id for run in expected[2:6]]
    for row, run in zip(found["rows"], expected[2:6], strict=True):
        assert row["cells"] == [run.config["lr"], run.summary["loss"], run.tags, run.created_at]
        assert (row["name"], row["state"]) == (run.name, run.state)


def test_filters_may_name_fields_as_columns_are_called(site: Site) -> None:
    by_column = site.get(
        "runs", project=SOURCE, filters={"$and": [{"summary.loss": {"$lt": 0.1}}, {"run_id": {"$ne": "x"}}]}
    )
    by_field = site.get("runs", project=SOURCE, filters={"summary_metrics.loss": {"$lt": 0.1}})
    assert by_column["rows"] == by_field["rows"] != []


def test_a_search_finds_words_wherever_they_stand(site: Site) -> None:
    assert {row["id"] for row in site.get("runs", project=SOURCE, search="SGD-1 g1")["rows"]} == {
        "run01",
        "run13",
        "run19",
    }
    assert site.get("runs", project=SOURCE, search="bold")["total"] == 2  # notes
    assert site.get("runs", project=SOURCE, search="nowhere")["total"] == 0


def test_a_wrong_filter_is_one_sentence_and_costs_nothing_else(site: Site) -> None:
    for filters in ("{", '{"config.lr": {"$bad": 1}}', '{"nope": 1}', "[1]"):
        answer = site.ask("runs", project=SOURCE, filters=filters)
        assert answer.status_code == 400
        assert answer.json()["error"]
    assert site.ask("runs", project="one").status_code == 400
    assert site.ask("runs", project=SOURCE, limit="x").status_code == 400
    assert site.ask("nothing").status_code == 404


def test_columns_say_where_all_runs_agree(site: Site) -> None:
    found = {column["name"]: column for column in site.get("columns", project=SOURCE)["columns"]}
    assert found["config.lr"]["type"] == "number"
    assert not found["config.lr"]["same"]
    assert not found["config.same"]["same"]  # one run has it not
    assert found["job_type"]["same"]
    assert "summary.acc" in found


def test_groups_have_the_figures_of_sql(site: Site, api: mirror.Api) -> None:
    found = site.get(
        "groups", project=SOURCE, by=["config.opt"], columns=["summary.loss"], filters={"config.opt": {"$ne": None}}
    )
    values = {
        opt: [run.summary["loss"] for run in api.runs(SOURCE, filters={"config.opt": opt})] for opt in ("adam", "sgd")
    }
    assert found["columns"] == ["config.opt", "runs", "mean(summary.loss)", "min(summary.loss)", "max(summary.loss)"]
    for opt, runs, mean, low, high in found["rows"]:
        assert runs == len(values[opt])
        assert mean == pytest.approx(sum(values[opt]) / len(values[opt]))
        assert (low, high) == (min(values[opt]), max(values[opt]))
    members = site.get("members", project=SOURCE, by=["config.opt"])["groups"]
    assert {label: len(ids) for label, ids in members.items()} == {"adam": 12, "sgd": 12, "none": 1}


def test_a_curve_keeps_its_ends_and_extremes_however_long_it_is(site: Site, api: mirror.Api) -> None:
    rows = list(api.run(f"{SOURCE}/run01").scan_history(keys=["_step", "loss"]))
    values = {row["_step"]: row["loss"] for row in rows}
    ids = ["run00", "run01", "nobody"]
    short, long = site.get("curves", project=SOURCE, runs=ids, key="loss", points="50")["lines"]
    assert (short["run"], short["count"], short["reduced"]) == ("run00", 30, False)
    assert (long["count"], long["reduced"]) == (LONG, True)
    assert len(long["x"]) <= 4 * 50
    assert all(values[x] == y for x, y in zip(long["x"], long["y"], strict=True))
    assert (long["x"][0], long["x"][-1]) == (0, LONG - 1)
    assert (min(long["y"]), max(long["y"])) == (min(values.values()), max(values.values()))
    window = site.get("curves", project=SOURCE, runs=["run01"], key="loss", **{"from": "100", "to": "199"})["lines"][0]
    assert (window["x"], window["reduced"]) == (list(range(100, 200)), False)


def test_curves_run_along_time_and_other_metrics_and_leave_out_what_is_not_finite(site: Site) -> None:
    along = site.get("curves", project=SOURCE, runs=["run00"], key="loss", x="train/acc")["lines"][0]
    assert along["x"] == pytest.approx([step / 30 for step in range(30)])
    timed = site.get("curves", project=SOURCE, runs=["run00"], key="loss", x="_timestamp")["lines"][0]
    assert timed["x"] == [1.7e9 + step for step in range(30)]
    assert all(math.isfinite(y) for y in timed["y"])


def test_a_group_of_runs_is_its_mean_and_range(site: Site) -> None:
    groups = {"two": ["run00", "run02"], "one": ["run04"], "none": []}
    two, one = site.get("curves", project=SOURCE, groups=groups, key="loss", points="500")["lines"]
    assert (two["group"], two["runs"], one["group"], one["runs"]) == ("two", 2, "one", 1)
    assert two["mean"][0] == pytest.approx((1 + 0 + 1 + 2) / 2)
    assert (two["low"][0], two["high"][0]) == (1, 3)
    assert one["mean"] == one["low"] == one["high"]


def test_importance_is_the_share_of_variance_that_a_column_explains(site: Site) -> None:
    found = site.get("importance", project=SOURCE, target="summary.loss")
    by_column = {one["column"]: one for one in found["columns"]}
    assert found["runs"] == RUNS  # one run's loss is NaN
    assert by_column["config.lr"]["importance"] > 0.6
    assert by_column["config.lr"]["correlation"] == pytest.approx(1.0)
    assert by_column["config.opt"]["importance"] < 0.3


def test_a_run_is_told_as_mirror_run_has_it(site: Site, api: mirror.Api) -> None:
    run = api.run(f"{SOURCE}/run00")
    found = site.get("run", run=run_of("run00"))
    assert found["config"] == run.config
    assert found["summary"]["loss"] == run.summary["loss"]
    assert found["metadata"] == run.metadata
    assert (found["name"], found["state"], found["tags"]) == (run.name, run.state, run.tags)
    keys = [metric["key"] for metric in found["metrics"]]
    assert keys[0] == "loss"  # of the summary
    assert keys.index("layer2/norm") < keys.index("layer10/norm")
    assert len(keys) == 42
    assert found["counts"] == {"console": 200, "files": 3, "artifacts": 1}


def test_notes_are_markdown_and_nothing_else(site: Site) -> None:
    html = site.get("run", run=run_of("run00"))["notes_html"]
    assert "<strong>bold</strong>" in html
    assert '<a href="https://example.org">link</a>' in html
    assert "<script" not in html
    assert "<img" not in html


def test_readers_at_once_meet_no_half_made_table_of_a_library() -> None:
    script = """if True:
        import sys
        assert "markdown_it" not in sys.modules
        from mdurl import _decode, _encode
        from mirror.web.answers import one_run
        tables = _encode.encode_cache, _decode.decode_cache
        before = [set(table) for table in tables]
        notes = "[a](http://b.c/d%20e) <http://f.g/h?i#j> <k@l.m> [n](/o) [p]\\n\\n[p]: //[::1]/q"
        assert one_run._markdown.render(notes).count("<a ") == 5
        print(all(before), [set(table) for table in tables] == before)
    """
    assert run_script(script) == (0, "True True\n", "")


def test_a_run_that_is_not_here_is_said_with_what_fetches_it(site: Site) -> None:
    answer = site.ask("run", run=run_of("nobody"))
    assert answer.status_code == 404
    assert "wandb-mirror pull" in answer.json()["hint"]


def test_what_a_run_contains_comes_in_bounded_pieces(site: Site) -> None:
    console = site.get("console", run=run_of("run00"), start="150", stop="9999")
    assert (console["count"], console["lines"][0]["text"], len(console["lines"])) == (
        200,
        "line 150",
        50,
    )
    files = {file["name"]: file for file in site.get("files", run=run_of("run00"))["files"]}
    assert files["media/images/s.png"]["kind"] == "image"
    assert files["media/table/words.table.json"]["kind"] == "table"
    table = site.get("table", run=run_of("run00"), file="media/table/words.table.json")
    assert (table["columns"], table["rows"], table["total"]) == (TABLE["columns"], TABLE["data"], 3)
    media = site.get("media", run=run_of("run00"))["keys"]
    assert {one["key"]: one["kind"] for one in media} == {"weights": "histogram", "sample": "image"}
    sample = site.get("media", run=run_of("run00"), key="sample")["steps"]
    assert (len(sample), sample[0]["items"][0]["held"]) == (30, True)
    heat = site.get("histogram", run=run_of("run00"), key="weights")["steps"]
    assert heat[5] == {"step": 5, "bins": [0.0, 1.0, 2.0, 3.0], "counts": [1.0, 2.0, 5.0]}
    system = site.get("system", run=run_of("run00"), key="system.cpu")["lines"][0]
    assert (system["x"], system["y"]) == ([0, 1, 2, 3, 4], [0, 10, 20, 30, 40])


def test_an_artifact_has_its_files_and_its_lineage(site: Site) -> None:
    (logged,) = site.get("artifacts", run=run_of("run00"))["logged"]
    assert (logged["name"], logged["version"]) == ("model", "v0")
    found = site.get("artifact", entity=ENTITY, project=PROJECT, name="model", version="v0")
    assert found["logged_by"] == [[ENTITY, PROJECT, "run00"]]
    assert [(file["path"], file["held"]) for file in found["files"]] == [("w.txt", True)]


def test_sql_answers_with_rows_and_files_and_reads_nothing_else(site: Site) -> None:
    query = "SELECT run_id, num(config, 'lr') AS lr FROM runs WHERE run_id LIKE 'run%' ORDER BY 1"
    found = site.post("sql", {"query": query, "limit": 5}).json()
    assert ([column["name"] for column in found["columns"]], len(found["rows"]), found["more"]) == (
        ["run_id", "lr"],
        5,
        True,
    )
    written = list(csv.reader(io.StringIO(site.post("sql/csv", {"query": query}).text)))
    assert (written[0], len(written)) == (["run_id", "lr"], RUNS + 1)
    table = pq.read_table(io.BytesIO(site.post("sql/parquet", {"query": query}).content))
    assert (table.column_names, len(table)) == (["run_id", "lr"], RUNS)
    for refused in (
        "SELECT * FROM read_text('/etc/passwd')", "COPY runs TO '/tmp/x.csv'", "ATTACH 'x.db'", "DROP TABLE lake.runs",
        "SELECT * FROM '/etc/passwd'", "INSTALL httpfs", "SET threads = 9", "SELECT 1; SELECT 2", "",
        "SELECT nothing FROM runs", "SELECT * FROM read_parquet('https://example.org/x')",
    ):  # fmt: skip
        answer = site.post("sql", {"query": refused})
        assert answer.status_code == 400, refused
        assert answer.json()["error"]
    views = {view["name"]: [name for name, _ in view["columns"]] for view in site.get("schema")["views"]}
    assert {"runs", "metrics", "files"} <= set(views)
    assert "config" in views["runs"]


def test_an_answer_that_did_not_change_is_not_sent_again(site: Site) -> None:
    first = site.ask("curves", project=SOURCE, runs=["run00"], key="loss")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = httpx.get(str(first.url), headers={"if-none-match": tag}, auth=("api", site.served.key))
    assert (again.status_code, again.content) == (304, b"")


def test_the_mirror_is_told_as_status_tells_it(site: Site) -> None:
    status = site.get("mirror")
    assert status["projects"][0]["runs"] == RUNS + 1
    assert status["healthy"] in (True, False)
    assert site.get("projects")["projects"] == [
        {
            "entity": ENTITY, "project": PROJECT, "runs": RUNS + 1, "active": 1, "gone": 0, "pending": 0,
            "last_pass_at": status["projects"][0]["last_pass_at"][:19] + "Z",
            "last_active": site.get("projects")["projects"][0]["last_active"],
        }
    ]  # fmt: skip
    pulse: dict[str, Any] = site.get("pulse")
    assert pulse["commit"] > 0


def test_a_run_of_any_id_has_its_own_address(site: Site) -> None:
    found = site.get("run", run=run_of(HOSTILE_ID))
    assert found["path"] == [ENTITY, PROJECT, HOSTILE_ID]
    assert found["summary"] == {"loss": "NaN", "</script>": 1}


def test_an_integer_that_no_double_holds_keeps_its_digits_in_a_browser() -> None:
    values = [2**53, 2**53 + 1, -(2**63), {"big": 2**64, "flag": True, "rate": 1e300}]
    assert json.loads(encoded(values)) == [
        2**53,
        str(2**53 + 1),
        str(-(2**63)),
        {"big": str(2**64), "flag": True, "rate": 1e300},
    ]
