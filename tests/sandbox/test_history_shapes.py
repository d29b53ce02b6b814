"""Histories as exporters of different ages leave them, and rows that change afterwards."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.sandbox import Sandbox
from mirror.sandbox.histories.keys import NO_NUMBER
from mirror.sandbox.state.records import RunRecord

from .conftest import Ask

ROWS = [
    {"_step": i, "count": i, "m": {"a": i, "b": {"c": "t"}}, "l": [1, 2], "h": {"_type": "histogram", "values": [1]}}
    for i in range(4)
]
HISTORY = """{ project(name: "p", entityName: "e") { run(name: "r") { historyKeys
  parquetHistory(liveKeys: ["_step", "count", "m.a", "m", "l", "h"]) { parquetUrls liveData } } } }"""


def asked(ask: Ask) -> dict[str, Any]:
    run: dict[str, Any] = ask(HISTORY)["data"]["project"]["run"]
    return run


def parts_of(box: Sandbox, run: RunRecord) -> list[pa.Table]:
    return [pq.read_table(io.BytesIO(box.state.bucket.get(part.object_key) or b"")) for part in run.parts]


@pytest.mark.parametrize(
    ("style", "nested", "mapped"),
    [
        ("struct", pa.types.is_struct, "m"),
        ("dotted", pa.types.is_struct, "m.b.c"),
        ("json_bytes", pa.types.is_binary, "m"),
        ("dotted_json_bytes", pa.types.is_binary, "m.b.c"),
    ],
)
def test_nested_values_become_columns_in_four_ways(box: Sandbox, style: Any, nested: Any, mapped: str) -> None:
    run = box.state.add_run("e", "p", "r", history=ROWS, column_style=style)
    (table,) = parts_of(box, run)
    assert nested(table.schema.field("h").type)
    assert mapped in table.schema.names
    if style.endswith("json_bytes"):
        assert json.loads(table["h"][0].as_py()) == ROWS[0]["h"]
        assert json.loads(table["l"][0].as_py()) == [1, 2]
    else:
        assert pa.types.is_list(table.schema.field("l").type)


def test_mixed_values_are_json_bytes_too(box: Sandbox) -> None:
    rows: list[dict[str, Any]] = [{"x": 1}, {"x": "text"}, {"x": None}, {"x": {"k": 1}}]
    run = box.state.add_run("e", "p", "r", history=rows, column_style="dotted_json_bytes")
    (table,) = parts_of(box, run)
    assert [value and json.loads(value) for value in table["x"].to_pylist()] == [1, "text", None, None]
    assert table["x.k"].to_pylist() == [None, None, None, 1]


def test_parts_of_one_run_may_have_different_schemas(box: Sandbox) -> None:
    run = box.state.add_run(
        "e", "p", "r", history=ROWS, parts=2, column_style=["struct", "json_bytes"], step_type=["int64", "double"]
    )
    first, second = parts_of(box, run)
    assert (str(first.schema.field("_step").type), str(second.schema.field("_step").type)) == ("int64", "double")
    assert pa.types.is_struct(first.schema.field("m").type)
    assert pa.types.is_binary(second.schema.field("m").type)


@pytest.mark.parametrize("style", ["dotted", "json_bytes"])
def test_a_compaction_makes_one_part_of_doubles(box: Sandbox, style: Any) -> None:
    run = box.state.add_run("e", "p", "r", history=ROWS, parts=3)
    before = {part.object_key for part in run.parts}
    box.state.compact(run, column_style=style)
    (table,) = parts_of(box, run)
    assert before.isdisjoint(part.object_key for part in run.parts)
    assert str(table.schema.field("count").type) == str(table.schema.field("_step").type) == "double"
    assert table["count"].to_pylist() == [0.0, 1.0, 2.0, 3.0]
    assert ("m.a" in table.schema.names) is (style == "dotted")


def test_an_export_appears_hours_after_the_end_of_a_run() -> None:
    with Sandbox.start(export_delay_s=4 * 3600) as box:
        box.clock.freeze()
        run = box.state.add_run("e", "p", "r", state="running", history=ROWS)
        box.state.finish_run("e", "p", "r")
        old = box.state.add_run("e", "p", "old", history=ROWS, heartbeat_at="2020-01-01T00:00:00")
        assert (len(run.parts), len(old.parts)) == (0, 1)
        box.clock.advance(4 * 3600 - 1)
        box.state.settle_export(run)
        assert run.parts == []
        box.clock.advance(1)
        box.state.settle_export(run)
        assert len(run.parts) == 1


def test_a_run_revived_before_its_export_has_none() -> None:
    with Sandbox.start(export_delay_s=60) as box:
        run = box.state.add_run("e", "p", "r", history=ROWS)
        box.state.edit_run("e", "p", "r", state="running")
        box.clock.advance(60)
        box.state.settle_export(run)
        assert run.parts == []


def test_asking_for_exports_finds_one_that_came_due(ask: Ask, box: Sandbox) -> None:
    box.state.export_delay_s = 60
    box.state.add_run("e", "p", "r", history=ROWS)
    history = asked(ask)["parquetHistory"]
    assert (history["parquetUrls"], len(history["liveData"])) == ([], 4)
    box.clock.advance(61)
    history = asked(ask)["parquetHistory"]
    assert (len(history["parquetUrls"]), history["liveData"]) == (1, [])


@pytest.mark.parametrize(("numbers", "kind"), [("float", float), ("int", int)])
def test_live_rows_are_flat_and_their_numbers_as_the_server_spells_them(
    box: Sandbox, ask: Ask, numbers: Any, kind: type
) -> None:
    box.state.live_numbers = numbers
    box.state.add_run("e", "p", "r", state="running", history=ROWS)
    row = asked(ask)["parquetHistory"]["liveData"][1]
    assert row == {"_step": 1, "count": 1, "m.a": 1, "l": [1, 2], "h": ROWS[1]["h"]}
    assert {type(row[key]) for key in ("_step", "count", "m.a")} == {kind}


def test_the_key_table_tells_types_counts_and_last_values(box: Sandbox, ask: Ask) -> None:
    rows: list[dict[str, Any]] = [
        {"_step": 3, "loss": 2.0, "text": "a", "m": {"a": 1}, "l": [1, "x"], "t": {"_type": "table-file", "size": 1}},
        {"_step": 7, "loss": 1.0, "text": 4},
    ]
    box.state.add_run("e", "p", "r", history=rows)
    table = asked(ask)["historyKeys"]
    assert (table["sets"], table["lastStep"]) == ([], 7)
    keys = table["keys"]
    assert keys["_step"] == {"typeCounts": [{"type": "number", "count": 2}], "monotonic": True, "previousValue": 7}
    assert keys["loss"] == {"typeCounts": [{"type": "number", "count": 2}], "previousValue": 1.0}
    assert keys["text"]["typeCounts"] == [{"type": "number", "count": 1}, {"type": "string", "count": 1}]
    assert keys["m.a"]["typeCounts"] == [{"type": "number", "count": 1}]
    assert "m" not in keys
    assert keys["l"] == {
        "typeCounts": [
            {
                "type": "list",
                "count": 1,
                "items": [{"type": "number"}, {"type": "string"}],
                "nestedTypes": ["number", "string"],
            }
        ],
        "monotonic": True,
        "previousValue": NO_NUMBER,
    }
    assert keys["t"]["typeCounts"][0]["type"] == "table-file"
    assert keys["t"]["typeCounts"][0]["keys"]["size"] == [{"type": "number"}]


def test_overwritten_rows_show_in_rows_and_exports_and_nowhere_else(box: Sandbox, ask: Ask) -> None:
    run = box.state.add_run("e", "p", "r", history=ROWS, parts=2)
    before = {part.object_key for part in run.parts}
    box.state.overwrite_rows("e", "p", "r", [{"_step": 2, "count": 99}])
    assert [row["count"] for row in run.history] == [0, 1, 99, 3]
    assert before.isdisjoint(part.object_key for part in run.parts)
    assert [value for table in parts_of(box, run) for value in table["count"].to_pylist()] == [0, 1, 99, 3]
    with pytest.raises(ValueError, match="no rows at"):
        box.state.overwrite_rows("e", "p", "r", [{"_step": 50, "count": 1}])


def test_a_rewind_cuts_rows_exports_and_summary(box: Sandbox, ask: Ask) -> None:
    run = box.state.add_run("e", "p", "r", history=ROWS, parts=2)
    box.state.rewind_run(run, 1)
    assert [row["_step"] for row in run.history] == [0, 1]
    assert run.summary["count"] == 1
    assert [value for table in parts_of(box, run) for value in table["count"].to_pylist()] == [0, 1]
    assert asked(ask)["historyKeys"]["lastStep"] == 1


def test_a_history_may_begin_late(box: Sandbox, ask: Ask) -> None:
    box.state.add_run("e", "p", "r", state="running", history=[{"_step": 61_010 + i, "count": i} for i in range(3)])
    assert [row["_step"] for row in asked(ask)["parquetHistory"]["liveData"]] == [61_010, 61_011, 61_012]


def test_rows_can_be_cut_to_some_keys(box: Sandbox, ask: Ask) -> None:
    box.state.add_run("e", "p", "r", history=ROWS)
    query = '{ project(name: "p", entityName: "e") { run(name: "r") { history(maxKeyLimit: 2) } } }'
    lines = ask(query)["data"]["project"]["run"]["history"]
    assert json.loads(lines[3]) == {"_step": 3, "count": 3}
