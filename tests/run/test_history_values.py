"""Columns of every type as lists of Python values, and which rows stand for all."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.store.history.python_values import python_values
from mirror.store.history.sampling import evenly

COLUMNS = [
    pa.array([1, None, 3]), pa.array([2**63 - 1, -(2**63)]), pa.array([2**64 - 1, None], pa.uint64()),
    pa.array([1, -2, None], pa.int8()), pa.array([1.5, None, -0.0, math.inf, math.nan]),
    pa.array([1.5, None], pa.float32()), pa.array([0.5, None], pa.float16()), pa.array([True, None, False]),
    pa.array(["a", None, "né☃", "", "x\0y"]), pa.array(["plain", "ascii", None]), pa.array([], pa.string()),
    pa.array(["x", None], pa.large_string()), pa.array(["x"], pa.string_view()), pa.array([None, None]),
    pa.array(["x", "y", None, "x"]).dictionary_encode(), pa.array([b"\xff", None]),
    pa.array([[1.5, None], None, [], [2.5]]),
    pa.array([[[1], [2, 3]], [[]], None], pa.large_list(pa.list_(pa.int64()))),
    pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)), pa.array([[1], [2, None]], pa.list_view(pa.int64())),
    pa.array([{"a": 1, "b": None}, None, {"a": None, "b": {"c": ["x", None]}}]), pa.array([{}, {}], pa.struct([])),
    pa.array([[("k", 1), ("l", None)], None], pa.map_(pa.string(), pa.int64())),
    pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None]), pa.array([dt.time(1, 2)]),
    pa.array([decimal.Decimal("1.1"), None]),
]  # fmt: skip


def slow(value: Any) -> Any:
    """pyarrow's value without the members that are null; bytes are JSON, and these are none."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: slow(item) for key, item in value.items() if item is not None}
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return {key: item for key, item in value if item is not None}
    return [slow(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.type))
def test_values_are_those_of_pyarrow_whatever_slice_or_chunks_a_column_is(column: pa.Array) -> None:
    twice = pa.concat_arrays([column, column])
    for same in (column, twice.slice(1, max(0, len(twice) - 2)), pa.chunked_array([column, column.slice(1)])):
        assert repr(python_values(same)) == repr([slow(value) for value in same.to_pylist()])


def test_a_text_that_is_no_utf8_is_still_a_text() -> None:
    column = pa.array([b"a\xffb", b"ok"]).view(pa.binary()).cast(pa.large_binary())
    broken = pa.LargeStringArray.from_buffers(2, *column.buffers()[1:])
    assert python_values(broken) == ["a\ufffdb", "ok"]


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float))))
def test_floats_come_back_to_the_last_bit(values: list[float | None]) -> None:
    assert repr(python_values(pa.array(values, pa.float64()))) == repr(values)


@given(st.integers(0, 5000), st.integers(-3, 600))
def test_positions_are_distinct_in_order_and_spread_evenly(count: int, samples: int) -> None:
    found = evenly(count, samples)
    assert len(found) == min(count, max(0, samples))
    assert found == sorted(set(found))
    if len(found) > 1:
        assert (found[0], found[-1]) == (0, count - 1)
        gaps = {right - left for left, right in pairwise(found)}
        assert max(gaps) - min(gaps) <= 2
