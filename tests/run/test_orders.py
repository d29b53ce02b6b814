"""Orders, filters, patterns and columns are the server's, by the SDK's word; runs without a value among them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY
from tests.run.world import World, world_of
from tests.soaking import thin

PROJECT = "run-orders"
PATH = f"{ENTITY}/{PROJECT}"
VALUES = [3, None, 1.5, "x", True, [1], {"a": 1}, math.nan, math.inf, 2**60, 2**60 + 1, -0.0, 0, "X", False, 1, 1, None]
ORDERED = (
    "config.v.value", "summary_metrics.v", "host", "group", "tags", "display_name", "heartbeat_at", "updatedAt",
    "state", "created_at", "name",
)  # fmt: skip
FILTERS: list[dict[str, Any]] = [
    {"host": "h1"},
    {"host": None},
    {"host": {"$exists": True}},
    {"host": {"$ne": "h1"}},
    {"host": {"$regex": "^h"}},
    {"updatedAt": {"$gte": "2000-01-01"}},
    {"updatedAt": {"$exists": False}},
    {"updated_at": {"$lt": "2024-01-01T00:00:02Z"}},
    {"tags": {"$exists": True}},
    {"tags": {"$exists": False}},
    {"tags": {"$ne": None}},
    {"tags": {"$nin": ["t1"]}},
    {"summary_metrics.v": {"$exists": False}},
    {"config.v": None},
]
PATTERNS = ["%.txt", "a%", "A.TXT", "c_D%", "", "%", "b.%", "\\%"]


@pytest.fixture(scope="session")  # a worker may come back to it, and finds its runs there
def orders(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> World:
    server.faults.clear()
    state = server.state
    for number, value in enumerate(VALUES):
        server.clock.advance(1)  # how a server orders what was made at one time, no answer tells
        state.add_run(
            ENTITY, PROJECT, f"r{number * 7 % 19:02}", display_name=f"n{number % 3}",
            config={} if value is None else {"v": value}, summary={"v": value} if number % 2 else {},
            tags=[f"t{number % 3}"] if number % 4 else [], host=f"h{number % 2}" if number % 3 else None,
            group=f"g{number % 2}" if number % 5 else None, heartbeat_at=f"2024-01-01T00:00:{number % 4:02}",
            state="finished" if number % 2 else "failed",
        )  # fmt: skip
    rows = [
        {"zeta": 1.5, "alpha": step, "_step": step, "mid": True} | ({"late": "x", "Early": 1} if step > 2 else {})
        for step in range(5)
    ]
    files = dict.fromkeys(("A.txt", "b.TXT", "c_d.txt", "cXd.txt"), b"")
    for run_id, exported in (("whole", True), ("live", False), ("both", 2)):
        server.clock.advance(1)
        state.add_run(ENTITY, PROJECT, run_id, history=rows, exported=exported, files=files)
    state.add_sweep(ENTITY, PROJECT, "sw", config_text="method: grid\nmetric: {name: loss, goal: minimize}\n")
    for run_id, summary in (("none", {}), ("bad", {"loss": 2}), ("good", {"loss": 1})):
        server.clock.advance(1)
        state.add_run(ENTITY, PROJECT, run_id, sweep="sw", summary=summary)
    return world_of(server, Home(tmp_path_factory.mktemp("orders") / "home"), PROJECT)


@pytest.mark.parametrize(
    ("name", "sign"),
    thin(
        [(name, sign) for name in ORDERED for sign in ("+", "-")],
        keep=[(name, "+-"[number % 2]) for number, name in enumerate(ORDERED)],
    ),
)
def test_runs_come_in_the_order_of_the_server(orders: World, name: str, sign: str) -> None:
    found = orders.same_of_api(lambda api: [run.id for run in api.runs(PATH, order=sign + name)])
    assert len(found) == len(VALUES) + 6


@pytest.mark.parametrize("filters", FILTERS, ids=json.dumps)
def test_a_filter_keeps_what_the_server_keeps(orders: World, filters: dict[str, Any]) -> None:
    found = orders.same_of_api(lambda api: [run.id for run in api.runs(PATH, filters=filters)])
    assert isinstance(found, list)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_takes_what_the_server_takes(orders: World, pattern: str) -> None:
    def listed(run: Any) -> Any:
        found = run.files(pattern=pattern)
        return [file.name for file in found], len(found), [file.name for file in run.files(["A.txt"], pattern="")]

    orders.same("whole", listed)


@pytest.mark.parametrize("options", [{}, {"samples": 3}, {"keys": ["zeta", "alpha"]}, {"keys": ["late"]}], ids=str)
@pytest.mark.parametrize("run_id", ["whole", "live", "both"])
def test_columns_of_a_data_frame_come_as_they_were_logged(orders: World, run_id: str, options: dict[str, Any]) -> None:
    columns = orders.same(
        run_id, lambda run: [(name, str(kind)) for name, kind in run.history(**options).dtypes.items()]
    )
    assert "keys" in options or [name for name, _ in columns][:3] == ["zeta", "alpha", "_step"]


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of the SDK's own
def test_the_frame_of_many_runs_has_the_columns_and_types_of_the_sdks(orders: World) -> None:
    def shape(api: Any) -> Any:
        frame = api.runs(PATH, {"name": {"$in": ["whole", "live", "both"]}}).histories(format="pandas")
        return [(name, str(kind)) for name, kind in frame.dtypes.items()], frame.to_dict("list")["run_id"]

    orders.same_of_api(shape)


def test_a_run_without_the_value_is_not_the_best_though_it_comes_first(orders: World, tmp_path: Path) -> None:
    runs = orders.same_of_api(lambda api: [run.id for run in api.runs(PATH, {"sweep": "sw"}, "+summary_metrics.loss")])
    assert runs == ["none", "good", "bad"]
    sweep = orders.api().sweep(f"{PATH}/sw")
    for order, best in ((None, "good"), ("-loss", "bad"), ("+nothing", "none")):
        found = sweep.best_run(order)
        assert found is not None
        assert found.id == best
