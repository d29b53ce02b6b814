"""Histories with the SDK: sampled, scanned from exports, from live data, and from both."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from wandb.apis.public.runhistory.downloads import IncompleteRunHistoryError

from mirror.sandbox import Sandbox

from .conftest import ENTITY

ROWS = [{"_step": i, "loss": 1.0 / (i + 1), "text": f"t{i}", **({"rare": i} if i % 5 == 0 else {})} for i in range(30)]

Make = Callable[..., Any]


@pytest.fixture
def make(api: Any, server: Sandbox, project: str) -> Make:
    """Store a run and read it with the SDK."""

    def build(**options: Any) -> Any:
        server.state.add_run(ENTITY, project, "h", history=options.pop("history", ROWS), **options)
        return api.run(f"{ENTITY}/{project}/h")

    return build


def steps(rows: Any) -> list[int]:
    return [row["_step"] for row in rows]


@pytest.mark.parametrize(
    "options",
    [
        {"exported": True, "parts": 1},
        {"exported": True, "parts": 4},
        {"exported": True, "step_type": "double"},
        {"exported": True, "step_type": "uint64"},
        {"exported": False, "state": "running"},
    ],
    ids=["one part", "four parts", "double steps", "unsigned steps", "live only"],
)
def test_a_scan_gives_every_row_once_in_order(make: Make, options: dict[str, Any]) -> None:
    rows = list(make(**options).scan_history(page_size=7, use_cache=False))
    assert steps(rows) == list(range(30))
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in ROWS])
    assert rows[3]["text"] == "t3"


def test_a_scan_joins_the_export_and_the_live_tail(make: Make, server: Sandbox, monkeypatch: Any) -> None:
    monkeypatch.setattr(server.state, "history_includes_exported", False)
    run = make(exported=12, parts=2, state="running")
    assert steps(run.scan_history(page_size=7, use_cache=False)) == list(range(30))


def test_the_sdk_repeats_steps_that_are_both_exported_and_live(make: Make) -> None:
    run = make(exported=12, parts=2, state="running")
    seen = steps(run.scan_history(page_size=7, use_cache=False))
    assert sorted(set(seen)) == list(range(30))
    assert len(seen) > 30


def test_a_scan_respects_its_bounds(make: Make) -> None:
    assert steps(make().scan_history(min_step=5, max_step=9, use_cache=False)) == [5, 6, 7, 8]


@pytest.mark.parametrize("exported", [True, False])
def test_a_scan_by_keys_holds_those_keys(make: Make, exported: bool) -> None:
    run = make(exported=exported, state="finished" if exported else "running")
    rows = [row for row in run.scan_history(keys=["loss"], use_cache=False) if row["loss"] is not None]
    assert [set(row) - {"_step"} for row in rows] == [{"loss"}] * 30


def test_rows_with_null_steps_are_skipped(make: Make) -> None:
    assert list(make(step_type="null").scan_history(use_cache=False)) == []


def test_a_zero_column_part_changes_nothing(api: Any, server: Sandbox, project: str) -> None:
    run = server.state.add_run(ENTITY, project, "h", history=ROWS)
    server.state.export_history(run, parts=2, empty_part=True)
    assert len(run.parts) == 3
    assert steps(api.run(f"{ENTITY}/{project}/h").scan_history(use_cache=False)) == list(range(30))


def test_exported_values_keep_their_kinds(make: Make) -> None:
    history = [
        {"_step": 0, "int": 2**60 + 1, "nan": math.nan, "inf": math.inf, "flag": True, "list": [1.5, 2.5]},
        {"_step": 1, "int": 7, "nan": 1.5, "inf": -math.inf, "flag": False, "list": [3.5]},
    ]
    first, second = make(history=history).scan_history(use_cache=False)
    assert first["int"] == 2**60 + 1
    assert math.isnan(first["nan"])
    assert (first["inf"], second["inf"]) == (math.inf, -math.inf)
    assert (first["flag"], first["list"]) == (True, [1.5, 2.5])


def test_history_samples_evenly_and_by_keys(make: Make) -> None:
    run = make()
    assert steps(run.history(pandas=False)) == list(range(30))
    sampled = steps(run.history(samples=4, pandas=False))
    assert len(sampled) == 4
    assert (sampled[0], sampled[-1]) == (0, 29)
    assert steps(run.history(keys=["rare"], pandas=False)) == [0, 5, 10, 15, 20, 25]
    assert list(run.history(keys=["loss"]).columns) == ["_step", "loss"]


def test_the_system_stream_is_the_events(make: Make) -> None:
    run = make(events=[{"_timestamp": 1.0, "_runtime": 0.5, "system.cpu": 3.5}])
    assert run.history(stream="system", pandas=False) == [{"_timestamp": 1.0, "_runtime": 0.5, "system.cpu": 3.5}]


def test_the_last_step_and_the_line_count_differ(make: Make) -> None:
    run = make(history=[{"_step": 3, "a": 1}, {"_step": 90, "a": 2}])
    assert run.lastHistoryStep == 90
    assert run.history_line_count == 2
    assert run.history_keys["keys"]["a"]["typeCounts"] == [{"type": "number", "count": 2}]


def test_a_run_that_logged_nothing_has_no_history(make: Make) -> None:
    run = make(history=[])
    assert run.lastHistoryStep == -1
    assert list(run.scan_history()) == []


def test_complete_exports_download(make: Make, tmp_path: Path) -> None:
    result = make(parts=3).download_history_exports(tmp_path / "out")
    assert len(result.paths) == 3
    assert not result.contains_live_data
    tables = [pq.read_table(path) for path in result.paths]
    assert sorted(step for table in tables for step in table["_step"].to_pylist()) == list(range(30))
    assert tables[0].schema.metadata[b"wandb-compacted"] == b"true"


def test_an_incomplete_export_is_refused_or_marked(make: Make, tmp_path: Path) -> None:
    run = make(exported=10, state="running")
    with pytest.raises(IncompleteRunHistoryError):
        run.download_history_exports(tmp_path / "a")
    result = run.download_history_exports(tmp_path / "b", require_complete_history=False)
    assert result.contains_live_data
    assert len(result.paths) == 1


def test_the_key_never_goes_to_the_storage_host(make: Make, server: Sandbox, tmp_path: Path) -> None:
    server.requests.clear()
    make(parts=2, files={"a.txt": b"a"}).download_history_exports(tmp_path)
    assert server.requests.count(kind="storage") >= 2
    assert {record.host.partition(":")[0] for record in server.requests.select(kind="storage")} == {"localhost"}
    assert server.requests.leaks() == []


def test_histories_of_many_runs_come_together(api: Any, server: Sandbox, project: str) -> None:
    for name in ("a", "b"):
        server.state.add_run(ENTITY, project, name, history=ROWS[:3])
    rows = api.runs(f"{ENTITY}/{project}").histories(format="default")
    assert [(row["run_id"], row["_step"]) for row in rows] == [(n, i) for n in ("a", "b") for i in range(3)]
