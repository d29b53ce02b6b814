"""`runs.histories()` offline: the sampled histories of many runs in three formats, beside the SDK's."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY
from tests.run.history_world import Histories, histories_of, once

PROJECT = "run-histories"


@pytest.fixture(scope="session")  # a worker may come back to it, and finds its runs there
def world(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Histories:
    """Runs of equal columns, and two that nobody planned for."""
    return once(server, PROJECT, lambda: made(server, Home(tmp_path_factory.mktemp("many") / "home")))


def made(server: Sandbox, home: Home) -> Histories:
    state = server.state
    for number in range(5):
        rows: list[dict[str, Any]] = [{"_step": n, "loss": n + number * 0.5, "n": n} for n in range(6)]
        events = [{"_timestamp": 1.7e9 + n, "system.cpu": n + 0.5} for n in range(3)]
        state.add_run(ENTITY, PROJECT, f"r{number}", history=rows, events=events, group="same", parts=2)
    state.add_run(ENTITY, PROJECT, "silent", history=[], group="same")
    odd = [{"_step": 0, "loss": "text", "other": {"a": 1}, "flag": True}, {"_step": 1, "loss": "more", "list": [1, 2]}]
    state.add_run(ENTITY, PROJECT, "odd", history=odd, exported=False, state="running")
    state.add_run(ENTITY, PROJECT, "late", history=[{"_step": 0, "other": {"b": "x"}, "loss": 0.5}])
    return histories_of(server, home, PROJECT)


def ask(**options: Any) -> Any:
    return lambda api: api.runs(f"{ENTITY}/{PROJECT}", filters={"group": "same"}, per_page=2).histories(**options)


@pytest.mark.filterwarnings("ignore")  # the SDK uses what pandas 3 deprecates
@pytest.mark.parametrize(
    "options", [{}, {"samples": 2}, {"keys": ["loss"]}, {"stream": "system"}, {"keys": ["nowhere"]}], ids=str
)
def test_lists_and_data_frames_are_those_of_the_sdk(world: Histories, options: dict[str, Any]) -> None:
    import pandas as pd
    import polars.testing

    theirs, mine = world.both_apis(ask(**options))
    assert mine == theirs
    theirs, mine = world.both_apis(ask(format="pandas", **options))
    assert mine[0] == theirs[0] == "value", (mine, theirs)
    pd.testing.assert_frame_equal(mine[1], theirs[1])
    assert list(mine[1].columns) == sorted(mine[1].columns)
    theirs, mine = world.both_apis(ask(format="polars", **options))
    assert mine[0] == theirs[0] == "value", (mine, theirs)
    polars.testing.assert_frame_equal(mine[1], theirs[1])


def test_polars_takes_runs_of_different_columns_where_the_sdk_fails(world: Histories) -> None:
    theirs, mine = world.both_apis(lambda api: api.runs(f"{ENTITY}/{PROJECT}").histories(format="polars"))
    assert theirs[0] == "CommError"
    frame = mine[1]
    assert frame.shape[0] == 5 * 6 + 2 + 1
    assert set(frame.columns) == {"_step", "loss", "n", "run_id", "other", "flag", "list"}
    assert frame.columns == sorted(frame.columns)


def test_pandas_takes_them_too(world: Histories) -> None:
    frame: Any = world.api().runs(f"{ENTITY}/{PROJECT}").histories(format="pandas")
    assert list(frame.index) == list(range(33))
    assert list(frame[frame["run_id"] == "odd"]["loss"]) == ["text", "more"]


def test_an_unknown_format_or_wrong_keys_are_answered_as_by_the_sdk(world: Histories, capsys: Any) -> None:
    theirs, mine = world.both_apis(ask(format="x"))
    assert mine == theirs
    assert mine[0] == "CommError"
    theirs, mine = world.both_apis(ask(keys="loss"))
    assert mine == theirs == ("value", [])
    assert "keys must be specified in a list" in capsys.readouterr().err


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_named(world: Histories, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(Exception, match=f"requires {library}"):
        ask(format=library)(world.api())
