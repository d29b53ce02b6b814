"""`run.scan_history()` and `run.history()` offline, beside the SDK's where that is right."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import mirror
from mirror.errors import CommError, NotMirrored
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.sandbox import Sandbox
from mirror.store.engine.reader import Reader
from mirror.store.metrics.system_history import system_history
from tests.contract.both import typed
from tests.contract.conftest import ENTITY
from tests.contract.test_everything_equals_sdk import typed_value
from tests.run.history_world import (
    EXACT,
    HOSTILE,
    PROJECT,
    ROWS,
    Histories,
    histories_of,
    history_world,
    offline,
    without_none,
)
from tests.soaking import thin
from tests.truth import SPOKEN, exported_rows, unexported_rows

# Some of the keys that are asked for are nowhere, as is said: `test_known_keys`.
pytestmark = pytest.mark.filterwarnings("ignore:no row of:UserWarning")

Row = dict[str, Any]


@pytest.fixture(scope="session")  # a worker may come back to it, and finds its runs there
def world(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Histories:
    """Histories of every kind; tests only read."""
    return history_world(server, tmp_path_factory)


def steps(rows: Any) -> list[int]:
    return [row["_step"] for row in rows]


def exact(rows: Any) -> list[str]:
    """Rows as texts that are equal only when every value agrees to the last digit and the type."""
    return [repr(sorted((key, typed_value(value)) for key, value in row.items())) for row in rows]


def scan(world: Histories, run_id: str, **options: Any) -> list[Row]:
    with offline():
        return list(world.run(run_id).scan_history(**options))


@pytest.mark.parametrize("run_id", ["plain", "live", "both", "alone", "empty"])
def test_a_scan_gives_the_rows_that_were_logged_and_opens_no_socket(world: Histories, run_id: str) -> None:
    assert scan(world, run_id) == ([] if run_id == "empty" else ROWS)


@pytest.mark.parametrize("run_id", ["plain", "live", "alone"])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"page_size": 7}, {"min_step": 5, "max_step": 9}, {"min_step": 28, "max_step": 1000}, {"max_step": 0},
        {"min_step": -5, "max_step": 2}, {"min_step": 9, "max_step": 3}, {"keys": ["loss"]}, {"keys": ["_step"]},
        {"keys": ["text", "loss"], "min_step": 3}, {"keys": []},
    ],
    ids=str,
)  # fmt: skip
def test_a_scan_gives_what_the_sdk_gives(world: Histories, run_id: str, options: dict[str, Any]) -> None:
    theirs, mine = world.both(
        run_id, lambda run: [without_none(row) for row in run.scan_history(**{"use_cache": False, **options})]
    )
    assert mine == theirs
    assert mine[0] == "value"


def test_steps_that_are_exported_and_live_come_once_where_the_sdk_repeats_them(world: Histories) -> None:
    theirs, mine = world.both("both", lambda run: steps(run.scan_history(use_cache=False)))
    assert mine == ("value", list(range(30)))
    assert sorted(set(theirs[1])) == list(range(30))
    assert len(theirs[1]) > 30


def test_rows_of_parts_that_share_steps_are_merged_key_by_key(world: Histories) -> None:
    expected = [
        {"_step": 0, "a": 0}, {"_step": 1, "a": 10.5, "c": "x"}, {"_step": 2, "a": 20, "b": "later"},
        {"_step": 3, "a": 30.5}, *({"_step": step, "a": float(step)} for step in (4, 5, 6)),
    ]  # fmt: skip
    assert exact(scan(world, "mixed")) == exact(expected)
    assert exact(scan(world, "mixed", page_size=2, min_step=1, max_step=5)) == exact(expected[1:5])
    assert exact(scan(world, "mixed", keys=["b", "a"])) == exact([expected[2]])
    assert steps(scan(world, "mixed", keys=["b", "c"], how="any")) == [1, 2]
    run = world.run("mixed")
    assert exact(run.history(pandas=False)) == exact(expected)
    assert steps(run.history(samples=3, pandas=False)) == [0, 3, 6]
    assert run.history(keys=["b"], pandas=False) == [{"_step": 2, "b": "later"}]


def test_rows_hold_all_keys_where_the_sdk_gives_exported_ones_without_them(world: Histories) -> None:
    theirs, mine = world.both("plain", lambda run: list(run.scan_history(keys=["rare", "loss"], use_cache=False)))
    assert steps(mine[1]) == [0, 5, 10, 15, 20, 25]
    assert all(set(row) == {"_step", "rare", "loss"} for row in mine[1])
    assert mine[1] == [row for row in theirs[1] if row["rare"] is not None]
    assert len(theirs[1]) == 30
    for run_id in ("plain", "live", "both"):
        assert scan(world, run_id, keys=["loss", "nowhere"]) == []
        assert scan(world, run_id, keys=["rare", "nowhere"], how="any") == [
            {"_step": step, "rare": step} for step in range(0, 30, 5)
        ]


@pytest.mark.parametrize("run_id", ["plain", "live", "both"])
def test_members_of_logged_dictionaries_have_keys_with_dots(world: Histories, run_id: str) -> None:
    expected = [{"_step": n, "deep.a.b": n * 0.5} for n in range(30)]
    assert scan(world, run_id, keys=["deep.a.b"]) == expected
    theirs, mine = world.both(run_id, lambda run: run.history(keys=["deep.a.b"], pandas=False))
    assert mine == theirs == ("value", expected)
    assert scan(world, run_id, keys=["deep.a.nothing"]) == scan(world, run_id, keys=["deep.c.x"]) == []


@pytest.mark.parametrize("run_id", ["exact", "exact-live"])
def test_values_keep_their_exact_types(world: Histories, run_id: str) -> None:
    assert exact(scan(world, run_id)) == exact(EXACT)
    assert exact(world.run(run_id).history(pandas=False)) == exact(EXACT)
    with offline():
        found = list(world.run(run_id).scan_history(keys=["zero"]))
    assert [math.copysign(1, row["zero"]) for row in found] == [-1, 1, 1]


@pytest.mark.parametrize("run_id", thin(HOSTILE, keep=HOSTILE[::3]))
def test_hostile_histories_are_those_that_the_server_has(world: Histories, server: Sandbox, run_id: str) -> None:
    record = server.state.run(ENTITY, PROJECT, run_id)
    truth: dict[int, Row] = {}
    for step, row in [*exported_rows(server, record), *((row["_step"], row) for row in unexported_rows(record))]:
        spoken = {"loss": SPOKEN[row["loss"]]} if isinstance(row.get("loss"), str) else {}
        truth[step] = {key: value for key, value in row.items() if value is not None} | spoken | {"_step": step}
    expected = [truth[step] for step in sorted(truth)]
    assert exact(scan(world, run_id)) == exact(expected)
    assert exact(scan(world, run_id, page_size=3)) == exact(expected)
    run = world.run(run_id)
    assert exact(run.history(pandas=False)) == exact(expected)
    for samples in (2, 5):
        some = exact(run.history(samples=samples, pandas=False))
        assert len(some) == min(samples, len(expected))
        assert some[:1] + some[-1:] == exact(expected[:1] + expected[-1:])
    assert run.history(arrow=True).column("_step").to_pylist() == steps(expected)


def test_an_iterator_starts_over_and_goes_on_without_iter(world: Histories) -> None:
    found = world.run("plain").scan_history(page_size=4)
    assert next(found)["_step"] == 0
    assert (found.page_offset, found.scan_offset, len(found.rows)) == (4, 1, 4)
    assert (found.min_step, found.max_step, found.page_size, found.keys) == (0, 29, 4, None)
    assert steps(found) == list(range(30))
    assert next(found, None) is None
    assert steps(iter(found)) == list(range(30))
    assert found.run.id == "plain"


def test_pages_lie_where_those_of_the_sdk_do(world: Histories) -> None:
    def pages(run: Any) -> list[tuple[int, int, int]]:
        found = run.scan_history(page_size=7, min_step=3, use_cache=False)
        return [(found.page_offset, found.scan_offset, len(found.rows)) for _ in found]

    theirs, mine = world.both("plain", pages)
    assert mine == theirs


def test_a_scan_is_pickled_before_it_starts_and_in_the_middle(world: Histories) -> None:
    found = world.run("both").scan_history(page_size=4)
    assert pickle.loads(pickle.dumps(found)).max_step == 29
    for _ in range(6):
        next(found)
    rest = pickle.loads(pickle.dumps(found))
    assert [row["_step"] for row in iter(lambda: next(rest, None), None)] == list(range(6, 30))
    assert next(found)["_step"] == 6


def test_a_wide_gap_between_steps_costs_nothing(world: Histories) -> None:
    assert steps(scan(world, "gap", page_size=1)) == [0, 1, 2, 3, 4, 1_700_000_000]


@pytest.mark.parametrize("keys", ["a", ("a",), [["a"]], ["a", 1]])
def test_wrong_keys_of_a_scan_are_errors_with_the_sdks_words(world: Histories, keys: Any) -> None:
    theirs, mine = world.both("plain", lambda run: run.scan_history(keys=keys))
    assert mine == theirs
    assert mine[0] == "CommError"


def test_other_wrong_arguments_of_a_scan_are_errors(world: Histories) -> None:
    for options in ({"how": "some"}, {"page_size": 0}):
        with pytest.raises(CommError, match=next(iter(options))):
            world.run("plain").scan_history(**options)


def test_wrong_arguments_of_history_are_told_and_give_an_empty_list(world: Histories, capsys: Any) -> None:
    run = world.run("plain")
    for options, words in (
        ({"keys": "loss"}, "keys must be specified in a list"),
        ({"keys": [1]}, "keys argument must be a list of strings"),
        ({"keys": ["loss"], "stream": "system"}, "stream must be default when specifying keys"),
    ):
        assert run.history(**options) == []
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("run_id", ["plain", "live", "alone", "empty"])
@pytest.mark.parametrize(
    "options",
    [{}, {"keys": ["loss"]}, {"keys": ["rare", "loss"]}, {"keys": ["loss"], "x_axis": "rare"}, {"keys": ["nowhere"]},
     {"keys": ["loss"], "x_axis": "loss"}, {"keys": []}, {"samples": 4}, {"samples": 4, "keys": ["rare"]}],
    ids=str,
)  # fmt: skip
def test_sampled_rows_are_those_of_a_server_that_samples_evenly(
    world: Histories, run_id: str, options: dict[str, Any]
) -> None:
    theirs, mine = world.both(run_id, lambda run: run.history(pandas=False, **options))
    assert mine == theirs
    assert [list(row) for row in mine[1]] == [list(row) for row in theirs[1]]


def test_samples_are_spread_evenly_and_always_the_same_with_the_first_and_the_last_row(world: Histories) -> None:
    for samples in (2, 3, 10, 333, 999, 1000, 5000):
        found = steps(world.run("long").history(samples=samples, pandas=False))
        assert len(found) == min(samples, 1000)
        assert (found[0], found[-1]) == (0, 2997)
        gaps = {right - left for left, right in pairwise(found)}
        assert max(gaps) - min(gaps) <= 3
        assert found == steps(world.run("long").history(samples=samples, pandas=False))
    assert steps(world.run("long").history(samples=1, pandas=False)) == [0]
    assert world.run("long").history(samples=0, pandas=False) == []


def test_another_process_gives_the_same_rows(world: Histories) -> None:
    program = (
        "import mirror, sys; run = mirror.Api(sys.argv[1]).run(sys.argv[2]);"
        "print(repr([run.history(samples=7, pandas=False), list(run.scan_history())]))"
    )
    command = [sys.executable, "-c", program, str(world.mirror.home.root), world.path("both")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    run = world.run("both")
    assert found == repr([run.history(samples=7, pandas=False), list(run.scan_history())])


@pytest.mark.parametrize("options", [{}, {"keys": ["loss", "rare"]}, {"stream": "system"}, {"samples": 3}], ids=str)
@pytest.mark.parametrize("run_id", ["plain", "measured", "empty"])
def test_data_frames_are_those_of_the_sdk(world: Histories, run_id: str, options: dict[str, Any]) -> None:
    import pandas as pd

    theirs, mine = world.both(run_id, lambda run: run.history(**options))
    pd.testing.assert_frame_equal(mine[1], theirs[1])


def test_without_pandas_history_warns_and_is_a_list(world: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.warns(UserWarning, match="Unable to load pandas"):
        assert world.run("plain").history(samples=2) == [ROWS[0], ROWS[-1]]


@pytest.mark.parametrize("run_id", ["plain", "live", "both", "mixed"])
def test_a_table_holds_the_same_rows(world: Histories, run_id: str) -> None:
    run = world.run(run_id)
    for options in ({}, {"samples": 4}, {"keys": ["a" if run_id == "mixed" else "deep.a.b"]}, {"keys": ["nowhere"]}):
        with offline():
            table = run.history(arrow=True, **options)
        assert isinstance(table, pa.Table)
        rows = run.history(pandas=False, **options)
        if "deep" in table.column_names and run_id != "plain":  # a dictionary is JSON where no export has its type
            table, rows = table.drop_columns("deep"), [{k: v for k, v in row.items() if k != "deep"} for row in rows]
        assert [without_none(row) for row in table.to_pylist()] == rows
    assert run.history(arrow=True).column_names[0] == "_step"
    assert run.history(arrow=True, keys=["x"], x_axis="y").column_names == ["y", "x"]


def test_the_system_stream_is_sampled_alike(world: Histories) -> None:
    theirs, mine = world.both("measured", lambda run: run.history(stream="system", pandas=False))
    assert typed(mine[1]) == typed(theirs[1])
    some = world.run("measured").history(stream="anything", samples=5, pandas=False)
    assert [row["_runtime"] for row in some] == [0, 10, 20, 29, 39]
    assert world.run("measured").history(stream="system", arrow=True).num_rows == 40
    assert world.run("plain").history(stream="system", pandas=False) == []


def test_system_metrics_keep_their_types_and_their_mark(server: Sandbox, tmp_path: Path) -> None:
    project = "run-history-measured"
    values = [3, 3.0, -0.0, 0, 2**60, 1e16, 1.5, True, "x"]
    events = [
        {"_timestamp": float(n), "_runtime": n, "system.some": value} | ({"_wandb": n < 7} if n not in (4, 5) else {})
        for n, value in enumerate(values)
    ]
    numbers = [{"_timestamp": float(n), "system.n": value} for n, value in enumerate([1, 2.0, -0.0, 2.5])]
    server.state.add_run(ENTITY, project, "mixed", events=events)
    server.state.add_run(ENTITY, project, "numbers", events=numbers)
    found = histories_of(server, Home(tmp_path / "home"), project)
    for run_id in ("mixed", "numbers"):
        theirs, mine = found.both(run_id, lambda run: run.history(stream="system", pandas=False))
        assert typed([sorted(row.items()) for row in mine[1]]) == typed([sorted(row.items()) for row in theirs[1]])
    table = found.run("numbers").history(stream="system", arrow=True)
    assert table.column("system.n").to_pylist() == [1, 2, 0, 2.5]
    with mirror.connect(found.mirror.home) as engine:
        assert "_wandb" not in {key for (key,) in engine.execute("SELECT DISTINCT key FROM system_metrics").fetchall()}
    with Reader(found.mirror.home) as lake:
        wide = system_history(lake, RunPath(ENTITY, project, "numbers")).read_all()
    assert wide.column_names == ["_timestamp", "system.n"]
    assert typed(wide.column("system.n").to_pylist()) == typed([1.0, 2.0, -0.0, 2.5])


@pytest.mark.parametrize("run_id", ["plain", "live", "both", "empty", "gap", "mixed", *HOSTILE[:6]])
def test_the_last_step_is_that_of_the_sdk(world: Histories, run_id: str) -> None:
    theirs, mine = world.both(run_id, lambda run: run.lastHistoryStep)
    assert mine == theirs


def test_the_older_name_of_a_scan_warns(world: Histories) -> None:
    with pytest.warns(DeprecationWarning, match="scan_history"):
        assert steps(world.run("plain").beta_scan_history(min_step=28)) == [28, 29]


def test_what_was_never_read_is_an_error_and_never_an_empty_success(server: Sandbox, tmp_path: Path) -> None:
    project = "run-history-left-out"
    server.state.add_run(ENTITY, project, "logged", history=ROWS, events=[{"_timestamp": 1.0, "system.cpu": 3.5}],
                         system_metrics={"system.cpu": 3.5})  # fmt: skip
    server.state.add_run(ENTITY, project, "silent", history=[])
    found = histories_of(server, Home(tmp_path / "home"), project, history=False, streams=False)
    run = found.run("logged")
    for read in (
        run.scan_history,
        run.history,
        lambda: run.history(arrow=True),
        lambda: run.history(stream="system"),
        lambda: run.download_history_exports(tmp_path / "out"),
        lambda: found.api().runs(f"{ENTITY}/{project}").histories(),
    ):
        with pytest.raises(NotMirrored, match="logged") as caught:
            read()
        assert "wandb-mirror pull" in caught.value.hint
    assert list(found.run("silent").scan_history()) == []
    assert found.run("silent").history(pandas=False) == []
    assert found.run("silent").history(pandas=False, stream="system") == []
    assert run.lastHistoryStep == 29


def test_a_pull_is_seen_by_the_next_question_and_changes_no_scan_under_way(server: Sandbox, tmp_path: Path) -> None:
    project = "run-history-grows"
    server.state.add_run(ENTITY, project, "grows", history=ROWS[:5], exported=False, state="running")
    found = histories_of(server, Home(tmp_path / "home"), project)
    run = found.run("grows")
    under_way = run.scan_history(page_size=2)
    assert next(under_way) == ROWS[0]
    assert run.history(pandas=False) == ROWS[:5]
    server.state.log_rows(ENTITY, project, "grows", ROWS[5:])
    found.mirror.pull()
    assert run.history(pandas=False) == ROWS
    assert list(run.scan_history()) == ROWS
    assert [row["_step"] for row in under_way] == [0, 1, 2, 3, 4]
    assert run.lastHistoryStep == 4
    run.load(force=True)
    assert run.lastHistoryStep == 29
