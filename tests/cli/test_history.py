"""`history RUN`: what a run logged, exact in every form, and said honestly where something is missing."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli

ROWS: list[dict[str, Any]] = [
    {
        "_step": step,
        "_timestamp": 1_700_000_000.0 + step,
        "loss": math.nan if step == 3 else math.inf if step == 4 else 1 / (step + 3),
        "big": 2**53 + step,
        "word": 'a "b"\n\u00e9' if step % 2 else "0.5",
        "nest": {"list": [step, math.nan]},
        **({"rare": step} if step % 5 == 0 else {}),
    }
    for step in range(20)
]
SPOKEN = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def as_json(value: Any) -> Any:
    """A value as W&B's JSON spells it."""
    if isinstance(value, float) and not math.isfinite(value):
        return SPOKEN[str(value)]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list) else value


KEYS = ["_step", "_timestamp", "loss", "big", "word", "nest", "rare"]
EXPECTED = [{key: as_json(row.get(key)) for key in KEYS} for row in ROWS]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A mirror of runs whose histories are whole, in parts, absent, and not exported yet."""
    with Sandbox.start() as sandbox:
        state = sandbox.state
        state.add_run("team", "proj", "whole", history=ROWS, parts=3, events=[
            {"_timestamp": 1_700_000_000.0 + 10 * place, "_runtime": 10.0 * place, "system.cpu": 2.5 * place}
            for place in range(5)
        ])  # fmt: skip
        state.add_run("team", "proj", "live", history=ROWS, state="running", exported=12)
        state.add_run("team", "proj", "empty")
        cli = Cli(folder=tmp_path_factory.mktemp("history")).at(sandbox).configure("team/proj")
        cli("pull", code=0)
    return cli


@pytest.mark.parametrize("run", ["whole", "live"])
def test_json_lines_and_json_hold_every_value_exactly(logged: Cli, run: str) -> None:
    lines = logged("history", run, "--jsonl", code=0)
    found = [json.loads(line) for line in lines.out.splitlines()]
    assert [dict(sorted(row.items())) for row in found] == [dict(sorted(row.items())) for row in EXPECTED]
    assert all(next(iter(row)) == "_step" for row in found)
    assert (lines.err == "") == (run == "whole")
    assert logged("history", run, "--json", code=0).json == found


def test_csv_has_texts_as_they_are_and_everything_else_as_json_has_it(logged: Cli) -> None:
    rows = list(csv.DictReader(io.StringIO(logged("history", "whole", "--csv", code=0).out)))
    assert [int(row["big"]) for row in rows] == [row["big"] for row in ROWS]
    assert [row["word"] for row in rows] == [row["word"] for row in ROWS]
    assert [row["loss"] for row in rows[3:5]] == ["NaN", "Infinity"]
    assert [row["rare"] for row in rows[:2]] == ["0", ""]
    assert json.loads(rows[2]["nest"]) == {"list": [2, "NaN"]}


def test_parquet_keeps_the_types(logged: Cli, tmp_path: Path) -> None:
    target = tmp_path / "it's.parquet"
    assert logged("history", "whole", "-o", str(target), code=0).err == f"wrote {target} (20 rows)\n"
    query = (
        "SELECT typeof(_step), typeof(loss), typeof(big), count(*), sum(big)::BIGINT FROM read_parquet(?) GROUP BY ALL"
    )
    assert duckdb.execute(query, [str(target)]).fetchall() == [
        ("BIGINT", "DOUBLE", "BIGINT", 20, sum(row["big"] for row in ROWS))
    ]
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_keys_and_steps_choose_and_the_last_step_is_exclusive(logged: Cli) -> None:
    chosen = logged("history", "whole", "--keys", "rare,loss", "--min-step", "5", "--max-step", "10", "--json", code=0)
    assert [row["_step"] for row in chosen.json] == [5, 6, 7, 8, 9]
    assert list(chosen.json[0]) == ["_step", "rare", "loss"]
    both = logged("history", "whole", "--keys", "rare,loss", "--every-key", "--json", code=0)
    assert [row["_step"] for row in both.json] == [0, 5, 10, 15]
    assert logged("history", "whole", "--keys", "rare", "--json", code=0).json == [
        {"_step": step, "rare": step} for step in (0, 5, 10, 15)
    ]


def test_a_table_is_for_people(logged: Cli) -> None:
    shown = logged("history", "whole", "--keys", "loss", "--max-step", "5", code=0).out.splitlines()
    assert shown[0].split() == ["_step", "loss"]
    assert [line.split()[1] for line in shown[2:]] == ["0.333333", "0.25", "0.2", "NaN", "Infinity"]


def test_system_metrics_come_one_row_an_instant(logged: Cli) -> None:
    rows = logged("history", "whole", "--system", "--json", code=0).json
    assert [row["system.cpu"] for row in rows] == [0.0, 2.5, 5.0, 7.5, 10.0]
    assert rows[1]["_timestamp"].startswith("2023-11-14T22:13:30")
    none = logged("history", "live", "--system", "--json", code=0)
    assert (none.json, none.err) == ([], "team/proj/live holds no system metrics\n")
    assert "no steps" in logged.fails(3, "history", "whole", "--system", "--min-step", "1").error


def test_a_plot_shows_bounds_gaps_and_what_holds_no_numbers(logged: Cli) -> None:
    shown = logged("history", "whole", "--plot", "--keys", "loss,nest", code=0)
    assert shown.out.startswith("loss  (min 0.04545 at 19, max 0.3333 at 0, last 0.04545, 2 not finite; 20 points)\n")
    assert "\u2514" in shown.out
    assert shown.err == "nest holds no numbers\n"
    narrow = logged.using(COLUMNS="50")("history", "whole", "--plot", code=0).out
    assert max(map(len, narrow.splitlines()[1:10])) <= 50
    assert narrow.count("points)") >= 3, "without --keys the first ones are drawn"


def test_an_incomplete_history_is_printed_with_one_remark(logged: Cli) -> None:
    said = logged("history", "live", "--keys", "big", "--csv", code=0)
    assert len(said.out.splitlines()) == 21
    assert said.err == "this history is not complete: the run is still active\n"


def test_a_run_without_history_says_so(logged: Cli) -> None:
    said = logged("history", "empty", "--json", code=0)
    assert (said.json, said.err) == ([], "team/proj/empty logged no history\n")
    assert "no rows" in logged("history", "empty", code=0).err


def test_a_key_that_no_row_holds_is_named(logged: Cli) -> None:
    assert "no row of team/proj/whole holds 'lsos'" in logged("history", "whole", "--keys", "lsos", code=0).err


def test_what_is_not_mirrored_names_the_command_that_fetches_it(logged: Cli, cli: Cli) -> None:
    failed = logged.fails(5, "history", "team/proj/nope")
    assert "wandb-mirror pull team/proj/nope" in failed.hint
    cli.configure("team/proj")
    assert "nothing is mirrored" in cli.fails(5, "history", "team/proj/whole").error


def test_a_history_that_its_source_does_not_want_says_so(cli: Cli) -> None:
    with Sandbox.start() as sandbox:
        sandbox.state.add_run("team", "proj", "r1", history=ROWS)
        script = cli.at(sandbox).configure("team/proj")
        script.config.write_text(script.config.read_text() + "history = false\n")
        script("pull", code=0)
    failed = script.fails(5, "history", "r1")
    assert "history = true" in failed.hint


def test_a_damaged_or_missing_export_is_one_clear_line(tmp_path: Path) -> None:
    with Sandbox.start() as sandbox:
        sandbox.state.add_run("team", "proj", "r1", history=ROWS)
        script = Cli(folder=tmp_path).at(sandbox).configure("team/proj")
        script("pull", code=0)
    (held,) = (path for path in (script.home / "objects" / "sha256").rglob("*") if path.is_file())
    held.chmod(0o644)
    held.write_bytes(held.read_bytes()[:100])
    assert held.name[:16] in script.fails(8, "history", "r1", "--jsonl").error
    held.unlink()
    assert held.name in script.fails(8, "history", "r1", "--csv").error


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-o", "x.csv"], "must end in .parquet"),
        (["-o", "x.parquet", "--csv"], "no other form"),
        (["-o", "no/x.parquet"], "no folder"),
        (["--keys", ","], "names no key"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(logged: Cli, arguments: list[str], why: str) -> None:
    assert why in logged.fails(3, "history", "whole", *arguments).error
