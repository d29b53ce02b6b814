"""Config and summary in SQL without arrows and casts: functions for one key, views with a row for each."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mirror.layout import Home
from mirror.run.sql import connect
from mirror.sandbox import Sandbox
from mirror.store.sql.statements import run_sql
from tests.cli.conftest import Cli

CONFIG = {
    "lr": 0.5, "opt": {"name": "sgd", "k": {}}, "seed": 2**60 + 1, "none": None, "flag": True, "word": "0.25",
    "layers": [1, {"x": [2]}], "a.b": 3, "val/acc": 4, 'q"~': 5,
}  # fmt: skip
# The recipes of the documentation, which need no cast.
RECIPES = {
    """SELECT "group", arg_max(display_name, num(summary, 'val/acc')) AS best, max(num(summary, 'val/acc')) AS acc
    FROM runs WHERE state = 'finished' AND "group" <> '' GROUP BY "group" ORDER BY acc DESC""": [
        {"group": "g", "best": "one", "acc": 2.0}
    ],
    """SELECT num(config, 'lr') AS lr, count(*) AS runs, median(num(summary, 'loss')) AS loss
    FROM runs WHERE run_id <> 'wide' GROUP BY lr ORDER BY lr""": [
        {"lr": 0.5, "runs": 2, "loss": "NaN"}, {"lr": None, "runs": 1, "loss": None},
    ],
    "SELECT run_id, num(summary, 'loss') AS loss FROM runs WHERE NOT isfinite(num(summary, 'loss'))": [
        {"run_id": "two", "loss": "NaN"}
    ],
    """SELECT key, count(DISTINCT text) AS different_values FROM config_values WHERE run_id <> 'wide'
    GROUP BY key HAVING different_values > 1 ORDER BY different_values DESC""": [
        {"key": "opt.name", "different_values": 2}
    ],
    """PIVOT (SELECT run_id, key, value FROM config_values) ON key IN ('lr', 'seed') USING first(value) GROUP BY run_id
    ORDER BY run_id LIMIT 1""": [{"run_id": "one", "lr": 0.5, "seed": float(2**60)}],
}  # fmt: skip


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A mirror of runs with values of every kind, with ten thousand keys, and with a config that is no object."""
    with Sandbox.start() as sandbox:
        add = sandbox.state.add_run
        add("team", "proj", "one", config=CONFIG, summary={"loss": 0.25, "val/acc": 2}, group="g", display_name="one")
        add("team", "proj", "two", config={"lr": 0.5, "opt.name": "adam"}, summary={"loss": math.nan, "up": math.inf})
        add("team", "proj", "odd", config_text="[1]", summary_text="{no")
        add("team", "proj", "wide", config={f"k{number}": number for number in range(10_000)})
        cli = Cli(folder=tmp_path_factory.mktemp("typed")).at(sandbox).configure("team/proj")
        cli("pull", code=0)
    return cli


def asked(cli: Cli, query: str) -> Any:
    """What `sql --json` prints, without a process for each."""
    with connect(Home(cli.home)) as engine:
        return list(run_sql(engine, query).plain_rows())


def test_sql_has_the_functions_and_the_views(typed: Cli) -> None:
    query = "SELECT num(config, 'lr') AS lr, key FROM runs JOIN config_values USING (run_id) WHERE key = 'opt.name'"
    assert typed("sql", query, "--json", code=0).json == [{"lr": 0.5, "key": "opt.name"}] * 2


@pytest.mark.parametrize(("recipe", "answer"), RECIPES.items())
def test_a_recipe_needs_no_cast(typed: Cli, recipe: str, answer: list[dict[str, Any]]) -> None:
    assert asked(typed, recipe) == answer


def test_a_value_is_a_number_or_a_text_by_its_key(typed: Cli) -> None:
    numbers = {
        "lr": 0.5,
        "a.b": 3.0,
        "val/acc": 4.0,
        'q"~': 5.0,
        "word": 0.25,
        "opt.name": None,
        "none": None,
        "no": None,
    }
    found = ", ".join(f"num(config, '{key}') AS n{place}" for place, key in enumerate(numbers))
    (row,) = asked(typed, f"SELECT {found} FROM runs WHERE run_id = 'one'")
    assert list(row.values()) == list(numbers.values())
    texts = {"opt.name": "sgd", "seed": str(2**60 + 1), "flag": "true", "none": None, "opt": '{"name":"sgd","k":{}}'}
    found = ", ".join(f"str(config, '{key}') AS t{place}" for place, key in enumerate(texts))
    (row,) = asked(typed, f"SELECT {found} FROM runs WHERE run_id = 'one'")
    assert list(row.values()) == list(texts.values())
    assert asked(typed, "SELECT str(config, 'opt.name') AS name FROM runs WHERE run_id = 'two'") == [{"name": "adam"}]
    assert asked(typed, "SELECT num(summary, 'up') AS up, num(config, 'x') AS x FROM runs WHERE run_id = 'two'") == [
        {"up": "Infinity", "x": None}
    ]
    assert asked(typed, "SELECT num(config, 'lr') AS lr, str(summary, 'x') AS x FROM runs WHERE run_id = 'odd'") == [
        {"lr": None, "x": None}
    ]


def test_a_view_has_a_row_for_each_key(typed: Cli) -> None:
    rows = asked(typed, "SELECT key, value, text FROM config_values WHERE run_id = 'one' ORDER BY key")
    assert {row["key"]: (row["value"], row["text"]) for row in rows} == {
        "lr": (0.5, "0.5"), "opt.name": (None, "sgd"), "opt.k": (None, "{}"), "seed": (float(2**60), str(2**60 + 1)),
        "none": (None, None), "flag": (None, "true"), "word": (None, "0.25"), "layers": (None, '[1,{"x":[2]}]'),
        "a.b": (3.0, "3"), "val/acc": (4.0, "4"), 'q"~': (5.0, "5"),
    }  # fmt: skip
    rows = asked(typed, "SELECT key, value, text FROM summary_values WHERE run_id = 'two' ORDER BY key")
    assert rows == [
        {"key": "loss", "value": "NaN", "text": "NaN"},
        {"key": "up", "value": "Infinity", "text": "Infinity"},
    ]
    assert asked(typed, "SELECT count(*) AS n FROM config_values WHERE run_id = 'odd'") == [{"n": 0}]
    assert asked(typed, "SELECT sum(value) AS sum FROM config_values WHERE run_id = 'wide'") == [{"sum": 49995000.0}]


def test_what_is_queued_is_in_them(typed: Cli) -> None:
    typed("edit", "two", "--config", "late=7", code=0)
    assert asked(typed, "SELECT value FROM config_values WHERE key = 'late'") == [{"value": 7.0}]
    assert asked(typed, "SELECT num(config, 'late') AS late FROM runs WHERE run_id = 'two'") == [{"late": 7.0}]


def test_a_cast_that_is_missing_names_the_function(typed: Cli) -> None:
    assert "num(config, 'key') as a number" in typed.fails(3, "sql", "SELECT avg(config->'lr') FROM runs").hint
