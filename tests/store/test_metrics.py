"""The fold is exact: random histories of hostile types against a slow reading of the same rows in plain Python."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mirror.errors import UnreadableExport
from mirror.store.history.parts import facts_of
from mirror.store.metrics.fold import fold_exports, fold_rows

SPOKEN = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
TEXTS = st.sampled_from(
    ["", "a", "NaN", "Infinity", "-Infinity", 'q"x', "back\\slash", "nul\0", "new\nline", "🦉", "\x7f"]
)
FLOATS = st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 0.1])
INTS = st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "double": (pa.float64(), FLOATS),
    "float": (pa.float32(), st.sampled_from([0.5, -0.0, math.nan, math.inf])),
    "half": (pa.float16(), st.sampled_from([0.5, -2.0])),
    "int64": (pa.int64(), INTS),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint64": (pa.uint64(), st.sampled_from([0, 2**53, 2**53 + 1, 2**64 - 1])),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), TEXTS),
    "large text": (pa.large_string(), TEXTS),
    "words": (pa.dictionary(pa.int32(), pa.string()), TEXTS),
    "bytes": (pa.binary(), st.sampled_from([b"", b"a", b"\xff\xfe", b'"'])),
    "decimal": (
        pa.decimal128(20, 2),
        st.sampled_from([decimal.Decimal("1.10"), decimal.Decimal("-123456789012345678.99")]),
    ),
    "moment": (pa.timestamp("us"), st.sampled_from([dt.datetime(2024, 1, 2, 3, 4, 5, 6), dt.datetime(1969, 1, 1)])),  # noqa: DTZ001
    "date": (pa.date32(), st.sampled_from([dt.date(2024, 2, 29)])),
    "list": (pa.list_(pa.int64()), st.lists(st.one_of(st.none(), INTS), max_size=3)),
    "large list": (pa.large_list(pa.float64()), st.lists(FLOATS, max_size=2)),
    "pair": (pa.list_(pa.int64(), 2), st.lists(st.integers(0, 3), min_size=2, max_size=2)),
    "struct": (
        pa.struct([("_type", pa.string()), ("bins", pa.list_(pa.float64())), ("deep", pa.struct([("n", pa.int64())]))]),
        st.fixed_dictionaries(
            {
                "_type": st.one_of(st.none(), TEXTS),
                "bins": st.one_of(st.none(), st.lists(FLOATS, max_size=2)),
                "deep": st.one_of(st.none(), st.fixed_dictionaries({"n": st.one_of(st.none(), INTS)})),
            }
        ),
    ),
    "nothing": (pa.null(), st.none()),
}
KEYS = ["a", "a.b", "b", "ünï", "_runtime"]
STEP_TYPES = [pa.int64(), pa.float64(), pa.uint64(), pa.int32()]


@st.composite
def parts(draw: st.DrawFn) -> list[pa.Table]:
    """One to three exports of one run."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(0, 5))
        steps = draw(st.lists(st.one_of(st.none(), st.integers(0, 8)), min_size=rows, max_size=rows))
        columns: dict[str, pa.Array] = {"_step": pa.array(steps, draw(st.sampled_from(STEP_TYPES)))}
        for key in draw(st.sets(st.sampled_from(KEYS))):
            kind, values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
            cells = draw(st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows))
            columns[key] = pa.array(cells, kind)
        if draw(st.booleans()):
            times = draw(
                st.lists(st.sampled_from([None, 0.0, 1.7e9, 1.5, math.nan, 1e300]), min_size=rows, max_size=rows)
            )
            columns["_timestamp"] = pa.array(times, pa.float64())
        found.append(pa.table(columns) if draw(st.integers(0, 9)) else pa.table({}))
    return found


def oracle(tables: list[pa.Table]) -> dict[tuple[str, int], tuple[Any, Any, Any]]:
    """What the fold must hold: time, bits of the value, parsed text, by key and step."""
    order = sorted(range(len(tables)), key=lambda i: (*highest(tables[i]), f"{i}.parquet"))
    merged: dict[int, dict[str, tuple[float | None, Any]]] = {}
    for table in (tables[i] for i in order):
        columns = {name: table.column(name).to_pylist() for name in table.schema.names}
        for row in range(len(table)):
            step = columns["_step"][row]
            if step is None:
                continue
            cells = merged.setdefault(int(step), {})
            for name, values in columns.items():
                if name != "_step" and values[row] is not None:
                    cells |= {key: cell(value) for key, value in leaves(name, values[row]).items()}
    return {
        (key, step): (moment(cells.get("_timestamp")), bits(value), text)
        for step, cells in merged.items()
        for key, (value, text) in cells.items()
    }


def leaves(key: str, value: Any) -> dict[str, Any]:
    """The keys of a value: those of its members, unless it says its type or is empty."""
    members = {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else {}
    if not members or "_type" in members:
        return {key: value}
    return {inner: leaf for name, item in members.items() for inner, leaf in leaves(f"{key}.{name}", item).items()}


def highest(table: pa.Table) -> tuple[bool, int]:
    """Where a part stands: by its last step."""
    steps = (
        [int(step) for step in table.column("_step").to_pylist() if step is not None]
        if "_step" in table.schema.names
        else []
    )
    return bool(steps), max(steps, default=0)


def cell(value: Any) -> tuple[float | None, Any]:
    """The double and the parsed text of one value."""
    if isinstance(value, bool):
        return float(value), value
    if isinstance(value, int):
        return float(value), value if abs(value) > 2**53 else None
    if isinstance(value, float):
        return value, None
    if isinstance(value, str):
        return SPOKEN.get(value), value
    if isinstance(value, decimal.Decimal):
        return float(value), value
    return None, plain(value)


def plain(value: Any) -> Any:
    """A nested value as its JSON text parses."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def moment(cells: tuple[float | None, Any] | None) -> dt.datetime | None:
    """The time of a step."""
    seconds = cells[0] if cells else None
    if seconds is None or not abs(seconds) < 253402300800:
        return None
    return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)  # noqa: DTZ001


def bits(value: float | None) -> Any:
    """Every bit of a double counts, but one NaN is as good as another."""
    return None if value is None else "nan" if math.isnan(value) else struct.pack("<d", value)


def parsed(text: str | None, like: Any) -> Any:
    """The JSON value of a text, with decimals where the oracle has one."""
    return (
        None
        if text is None
        else json.loads(text, parse_float=decimal.Decimal if isinstance(like, decimal.Decimal) else None)
    )


def save(folder: Path, tables: list[pa.Table]) -> list[Path]:
    """The tables as exports."""
    paths = [folder / f"{number}.parquet" for number in range(len(tables))]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table, path, write_page_checksum=True)
    return paths


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts(), st.randoms(use_true_random=False))
def test_a_fold_equals_a_slow_reading_of_the_same_rows(tmp_path: Path, tables: list[pa.Table], random: Any) -> None:
    paths = save(tmp_path, tables)
    shuffled = list(paths)
    random.shuffle(shuffled)
    folded = fold_exports(shuffled)
    rows = folded.table().to_pylist()
    expected = oracle(tables)
    found = {
        (row["key"], row["step"]): (
            row["timestamp"],
            bits(row["value"]),
            parsed(row["text"], expected[row["key"], row["step"]][2]),
        )
        for row in rows
    }
    assert len(found) == len(rows), "a key of a step is there twice"
    assert found == expected
    assert rows == sorted(rows, key=lambda row: (row["key"], row["step"]))
    facts = folded.facts
    steps = [step for table in tables if table.num_columns for step in table.column("_step").to_pylist()]
    assert facts.without_step == steps.count(None)
    assert facts.rows == len(steps)
    assert facts.steps + facts.repeated + facts.merged + facts.without_step == facts.rows


def test_equal_rows_at_one_step_are_told_from_merged_ones(tmp_path: Path) -> None:
    one = pa.table({"_step": [0, 1, 2], "a": [1.0, math.nan, None], "b": ["x", None, "y"]})
    two = pa.table({"_step": [1, 2, 3], "a": [math.nan, 5.0, 6.0], "b": pa.array([None, "y", "z"])})
    facts = fold_exports(save(tmp_path, [one, two])).facts
    assert (facts.rows, facts.steps, facts.repeated, facts.merged) == (6, 4, 1, 1)
    assert (facts.min_step, facts.max_step) == (0, 3)


def test_rows_that_share_a_step_share_the_time_that_its_timestamp_holds(tmp_path: Path) -> None:
    table = pa.table({"_step": [0, 0, 1, 1], "a": [1.0, None, 2.0, None], "_timestamp": [1.0, 2.0, 3.0, math.nan]})
    rows = fold_exports(save(tmp_path, [table])).table().to_pylist()
    found = {(row["key"], row["step"]): row["timestamp"] for row in rows}
    assert found == {
        (key, step): moment((seconds, None))
        for key in ("a", "_timestamp")
        for step, seconds in ((0, 2.0), (1, math.nan))
    }


def test_columns_are_found_by_their_whole_name_beside_structs_of_the_same_spelling(tmp_path: Path) -> None:
    table = pa.table({"a": [{"b": 1, "c": 2, "d": 4}], "a.b": ["dotted"], "a.c": [3.0], "_step": [0]})
    rows = fold_exports(save(tmp_path, [table])).table().to_pylist()
    assert {row["key"]: (row["value"], row["text"]) for row in rows} == {
        "a.b": (None, '"dotted"'),
        "a.c": (3.0, None),
        "a.d": (4.0, None),
    }


@pytest.mark.parametrize("step", [2.0, 2, 2**62])
def test_rows_of_a_tail_fold_as_an_export_of_them_would(tmp_path: Path, step: float) -> None:
    row = {"_step": step, "_timestamp": 1.5, "a": 1, "big": 2**53 + 1, "t": "x", "s": {"x": 1, "y": [1.5]}, "f": True}
    table = pa.Table.from_pylist([row])
    exported = fold_exports(save(tmp_path, [table])).table()
    assert fold_rows([json.dumps(row)]).table().equals(exported)


def test_a_tail_takes_the_liberties_of_wandbs_json() -> None:
    rows = [
        '{"_step": 0, "a": NaN, "b": "Infinity", "c": -0.0, "d": null}',
        '{"_step": 1.0, "a": {"n": null, "v": Infinity}, "big": 123456789012345678901234567890}',
        "no json",
        '[{"_step": 2}]',
        '{"a": 1}',
        '{"_step": "3"}',
    ]
    folded = fold_rows(rows)
    assert folded.facts.without_step == 3  # a step may be written as a text
    assert [(row["key"], row["step"], bits(row["value"]), row["text"]) for row in folded.table().to_pylist()] == [
        ("a", 0, "nan", None),
        ("a.v", 1, bits(math.inf), None),
        ("b", 0, bits(math.inf), '"Infinity"'),
        ("big", 1, bits(123456789012345678901234567890.0), "123456789012345678901234567890"),
        ("c", 0, bits(-0.0), None),
    ]


@example(steps=[2**53, 2**53 + 1])
@given(steps=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4, unique=True))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_integer_steps_keep_every_digit(tmp_path: Path, steps: list[int]) -> None:
    table = pa.table({"_step": pa.array(steps, pa.int64()), "a": [1.0] * len(steps)})
    (path,) = save(tmp_path, [table])
    assert fold_exports([path]).table().column("step").to_pylist() == sorted(steps)
    assert (facts_of(path).min_step, facts_of(path).max_step) == (min(steps), max(steps))


def test_a_flipped_byte_or_a_page_of_html_is_named(tmp_path: Path) -> None:
    (path,) = save(tmp_path, [pa.table({"_step": list(range(1000)), "a": [float(i) for i in range(1000)]})])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnreadableExport) as error:
        list(fold_exports([path]).slices())
    assert error.value.object == path.name
    path.write_bytes(b"<html>403 Forbidden</html>")
    with pytest.raises(UnreadableExport):
        facts_of(path)
    assert facts_of(save(tmp_path, [pa.table({})])[0]).rows == 0
