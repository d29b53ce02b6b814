"""A history read back wide: exact values, each step once, in order, whatever the parts look like."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from mirror.errors import NotMirrored, UnreadableExport
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.contents import ContentChanges, ExportRow, HistoryChange, TailRow
from mirror.records.passes import Changes
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.history import history as history_module
from mirror.store.history.history import wide_history
from mirror.store.history.wide_columns import JSON_MARK
from mirror.store.objects.objects import Objects
from mirror.store.write.writer import commit
from mirror.texts.steps import step_of_row
from tests.store.test_contents import AT, KEY, export, row

RUN = RunPath("e", "p", "r")


class Reading:
    """One home: histories go in through commits and come back wide."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.objects = Objects(home)
        self._reader = Reader(home)

    def export(self, **columns: Any) -> ExportRow:
        """A history export."""
        return export(self.objects, **columns)

    def commit(self, *exports: ExportRow, tail: tuple[TailRow, ...] = ()) -> None:
        """Make these the history of the run."""
        self.close()
        live = tuple(found.step for found in tail if found.step is not None)  # the server calls these rows live
        change = HistoryChange(exports=exports, tail=tail, replaces_tail=True, live_steps=live)
        with Lake(self.home, deployment="d") as lake:
            commit(lake, Changes(key=KEY, at=AT), [ContentChanges(run_id="r", history=change)], objects=self.objects)

    def table(self, run: RunPath = RUN, **options: Any) -> pa.Table:
        """The history as one table."""
        return wide_history(self._reader, run, **options).read_all()

    def close(self) -> None:
        """Let go of the lake."""
        self._reader.close()

    def rows(self, **options: Any) -> list[dict[str, Any]]:
        """The history as rows without nulls."""
        rows = self.table(**options).to_pylist()
        return [{key: value for key, value in row.items() if value is not None} for row in rows]


@pytest.fixture
def reading(home: Home) -> Iterator[Reading]:
    """A home of this test's own."""
    reading = Reading(home)
    yield reading
    reading.close()


def test_values_come_back_with_their_types(reading: Reading) -> None:
    columns = {
        "i": pa.array([1, 2**63 - 1]), "u": pa.array([0, 2**64 - 1], pa.uint64()), "f": pa.array([-0.0, math.inf]),
        "t": pa.array(["x", None]), "b": pa.array([True, None]), "s": pa.array([{"x": 1, "y": [None]}, None]),
        "s.x": pa.array(["dotted", None]), "l": pa.array([[1.5], []]),
    }  # fmt: skip
    reading.commit(reading.export(_step=pa.array([0.0, 5.0]), **columns))
    table = reading.table()
    assert table.column("_step").to_pylist() == [0, 5]
    for name, values in columns.items():
        assert table.column(name).to_pylist() == values.to_pylist()
    assert math.copysign(1, table.column("f").to_pylist()[0]) == -1


def test_parts_come_by_step_whatever_order_they_have(reading: Reading) -> None:
    first, second = reading.export(_step=[0, 1], a=[1, 2]), reading.export(_step=[2, 3], a=[3.5, 4.5], b=["x", "y"])
    reading.commit(second, first, reading.export(), tail=(row(4, a=5, c=1),))
    expected = [
        {"_step": 0, "a": 1.0}, {"_step": 1, "a": 2.0}, {"_step": 2, "a": 3.5, "b": "x"},
        {"_step": 3, "a": 4.5, "b": "y"}, {"_step": 4, "a": 5.0, "c": 1},
    ]  # fmt: skip
    assert reading.rows() == expected
    assert reading.rows(min_step=1, max_step=4) == expected[1:4]
    assert reading.rows(keys=["b", "a"]) == [{"_step": 2, "b": "x", "a": 3.5}, {"_step": 3, "b": "y", "a": 4.5}]
    assert [item["_step"] for item in reading.rows(keys=["b", "c"], rows="any")] == [2, 3, 4]
    assert reading.rows(keys=["missing"]) == []
    assert reading.rows(keys=[]) == [{"_step": step} for step in range(5)]


def test_equal_steps_are_merged_key_by_key_and_rows_without_one_are_left_out(reading: Reading) -> None:
    one = reading.export(_step=pa.array([2, 0, None, 2]), a=[1, 2, 3, None], b=[None, None, None, "later"])
    two = reading.export(_step=[1, 2, 3], a=[10, None, 30], b=["x", None, None])
    reading.commit(one, two, tail=(row(3, b="tail"), row(0, a=None)))
    assert reading.rows() == [
        {"_step": 0, "a": 2}, {"_step": 1, "a": 10, "b": "x"}, {"_step": 2, "a": 1, "b": "later"},
        {"_step": 3, "a": 30, "b": "tail"},
    ]  # fmt: skip


def test_a_row_between_two_steps_takes_the_place_of_neither(reading: Reading) -> None:
    between = '{"_step": 3.5, "a": 35}'
    tail = (row(3, a=3), TailRow(step=step_of_row(between), row=between), row(4, a=4))
    reading.commit(reading.export(_step=[1.0, 1.5, 2.0], a=[1, 15, 2]), tail=tail)
    assert reading.rows() == [{"_step": step, "a": step} for step in (1, 2, 3, 4)]


def test_types_that_do_not_meet_become_json_and_say_so(reading: Reading) -> None:
    one = reading.export(_step=[0, 1], a=[2**53 + 1, 1], b=[1, 2], c=[{"x": 1}, None])
    reading.commit(one, reading.export(_step=[2], a=[0.5], b=["text"], c=[[1]]), tail=(row(3, c={"y": None}),))
    table = reading.table()
    for name in ("a", "b", "c"):
        assert table.schema.field(name).metadata == JSON_MARK
    assert [json.loads(text) for text in table.column("a").to_pylist()[:3]] == [2**53 + 1, 1, 0.5]
    assert table.column("b").to_pylist() == ["1", "2", '"text"', None]
    assert table.column("c").to_pylist() == ['{"x":1}', None, "[1]", '{"y":null}']


def test_non_finite_texts_of_a_tail_are_floats_beside_numbers(reading: Reading) -> None:
    reading.commit(reading.export(_step=[0], a=[0.5], t=["NaN"]), tail=(row(1, a="Infinity", t="NaN", n="NaN"),))
    assert reading.rows() == [
        {"_step": 0, "a": 0.5, "t": "NaN"},
        {"_step": 1, "a": math.inf, "t": "NaN", "n": "NaN"},
    ]


def test_ordered_parts_are_streamed_in_small_batches(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "BATCH_CELLS", 20)
    steps = list(range(100))
    reading.commit(reading.export(_step=steps, a=steps), reading.export(_step=[200], a=[1]))

    with Reader(reading.home) as lake:
        assert [len(batch) for batch in wide_history(lake, RUN)] == [10] * 10 + [1]


def test_lone_surrogates_of_a_tail_become_text_that_a_file_can_hold(reading: Reading) -> None:
    reading.commit(tail=(TailRow(step=0, row='{"_step": 0, "\\ud800": "\\udc00", "n": [["\\ud800"]]}'),))
    assert reading.rows() == [{"_step": 0, "\ufffd": '"\ufffd"', "n": '[["\ufffd"]]'}]


def test_what_was_never_read_is_not_an_empty_history(reading: Reading) -> None:
    reading.commit()
    assert reading.rows() == []
    with pytest.raises(NotMirrored):
        reading.table(RunPath("e", "p", "other"))


def test_a_flipped_byte_is_found(reading: Reading) -> None:
    part = reading.export(_step=list(range(1000)), a=[float(step) for step in range(1000)])
    reading.commit(part)
    path = reading.objects.path(part.object)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(UnreadableExport):
        reading.table()
