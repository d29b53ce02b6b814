"""A value is the one that was logged, whatever form W&B's writers gave it, before and after a compaction."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror.errors import StoreError
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.contents import ContentChanges, ExportRow, HistoryChange, TailRow
from mirror.records.passes import Changes
from mirror.store.care.inspection import referrers
from mirror.store.care.repairs import mark_lost
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.history.parts import facts_of
from mirror.store.history.rows import HistoryRows
from mirror.store.history.wide_columns import JSON_MARK
from mirror.store.metrics.fold import fold_exports
from mirror.store.objects.objects import Objects
from mirror.store.read.histories import StoredHistory, stored_history
from mirror.store.sql.statements import connect
from mirror.store.write.writer import commit
from tests.store.test_contents import AT, KEY
from tests.store.written import STYLES, Row, Style, as_wire, comparable, export_bytes
from tests.truth import cell, leaves, strict

WIDE = 2**60 + 1
LOGGED: list[Row] = [
    {"_step": 0, "deep": {"a": {"b": 0.5}, "n": 1}, "n": 1, "big": WIDE, "nan": math.nan, "zero": -0.0, "flag": True},
    {"_step": 1, "deep": {"a": {"b": -0.0}, "n": WIDE}, "n": 2, "big": 3, "nan": math.inf, "zero": 0.0, "flag": False},
    {"_step": 2, "mixed": 1, "list": [], "t": '{"a": 1}', "empty": {}, "ключ/é": {"☃": 1.5}, "nan": -math.inf},
    {"_step": 3, "mixed": "one", "list": [1, 2], "t": "[1]", "empty": {"x": {}}, "none": None, "deep": {"n": 7}},
    {"_step": 5, "mixed": {"x": 1, "y": [1, {"z": None}]}, "list": [3], "t": "null", "train/loss": 0.25},
    {"_step": 8, "mixed": [1, "two"], "list": [[1.5]], "t": "1.0", "deep": {"a": None, "n": 8}, "n": 5},
    {"_step": 9, "hist": {"_type": "histogram", "bins": [0.0, 1.0], "values": [1, 2]}, "mixed": None, "t": "é"},
    {"_step": 10, "deep": {"pic": {"_type": "image-file", "path": "a.png", "size": 3}}, "list": [{"k": 1}]},
]
SUMMARY = {"deep": {"n": 8}, "mixed": {"x": 1}, "empty": {"x": {}}, "ключ/é": {"☃": 1.5}, "train/loss": 0.25}


class History:
    """One history, read in every way that there is.

    Args:
        home: where its objects are.
        exports: their bytes.
        tail: JSON rows.
        summary: what the run's summary says.
    """

    def __init__(
        self, home: Home, exports: Sequence[bytes], tail: Sequence[str] = (), summary: Row | None = None
    ) -> None:
        objects = Objects(home)
        digests = [objects.put_bytes(content) for content in exports]
        self.rows_held = HistoryRows(
            objects, StoredHistory(exports=tuple(digests), tail=tuple(tail)), lambda: summary or {}
        )
        self.folded = fold_exports([objects.path(digest) for digest in digests], tail)

    def rows(self, keys: list[str] | None = None) -> list[Row]:
        """As a scan gives them."""
        return [row for batch in self.rows_held.batches(keys, 0, 2**62, "any") for row in batch]

    def metrics(self) -> dict[tuple[str, int], Any]:
        """As SQL gives them."""
        return read_metrics(
            (row["key"], row["step"], row["value"], row["text"]) for row in self.folded.table().to_pylist()
        )


def read_metrics(rows: Any) -> dict[tuple[str, int], Any]:
    found = [
        ((key, step), (repr(value), None if text is None else json.loads(text))) for key, step, value, text in rows
    ]
    assert len(dict(found)) == len(found), "a key of a step is there twice"
    return dict(found)


def expected_metrics(rows: Sequence[Row]) -> dict[tuple[str, int], Any]:
    return {
        (name, row["_step"]): cell(leaf)
        for row in rows
        for key, value in row.items()
        if key != "_step" and value is not None
        for name, leaf in leaves(key, value).items()
    }


def flat(row: Row) -> Row:
    return {name: leaf for key, value in row.items() if value is not None for name, leaf in leaves(key, value).items()}


def tabled(table: pa.Table) -> list[Row]:
    """Rows of a table, with texts that are JSON parsed."""
    marked = {field.name for field in table.schema if field.metadata == JSON_MARK}
    return [
        {
            name: comparable(json.loads(value) if name in marked else strict(value))
            for name, value in row.items()
            if value is not None
        }
        for row in table.to_pylist()
    ]


def some(style: Style, rows: Sequence[Row], **options: Any) -> bytes:
    return export_bytes(rows, style, **options)


HISTORIES: dict[str, tuple[list[bytes], list[str]]] = {
    **{style: ([some(style, LOGGED)], []) for style in STYLES},
    "double steps": ([some("dotted", LOGGED, step=pa.float64())], []),
    "live": ([], as_wire(LOGGED)),
    "struct, then dotted, then bytes": (
        [some("json", LOGGED[5:], step=pa.uint64()), some("struct", LOGGED[:2]), export_bytes([], "struct"),
         some("dotted", LOGGED[2:5])],
        [],
    ),
    "bytes, then struct": ([some("json", LOGGED[:4]), some("struct", LOGGED[4:])], []),
    "half exported, dotted": ([some("dotted", LOGGED[:4])], as_wire(LOGGED[4:])),
    "half exported, bytes": ([some("json", LOGGED[:3])], as_wire(LOGGED[3:])),
}  # fmt: skip


@pytest.mark.parametrize("name", HISTORIES)
def test_values_are_those_that_were_logged_in_every_form(home: Home, name: str) -> None:
    exports, tail = HISTORIES[name]
    history = History(home, exports, tail, SUMMARY)
    assert comparable(history.rows()) == comparable(LOGGED)
    assert history.metrics() == expected_metrics(LOGGED)
    assert comparable(history.rows_held.sample(None, 100)) == comparable(LOGGED)
    assert tabled(history.rows_held.sample_table(None, 100)) == [comparable(strict(row)) for row in LOGGED]
    for key in ("deep", "deep.a", "deep.a.b", "deep.n", "deep.pic", "mixed", "mixed.x", "empty", "ключ/é.☃", "hist"):
        expected = [{"_step": row["_step"], key: value} for row in LOGGED if (value := member(row, key)) is not None]
        assert comparable(history.rows([key])) == comparable(expected), key
        assert comparable(history.rows_held.sample(["_step", key], 100)) == comparable(expected), key
        assert (
            tabled(history.rows_held.sample_table(["_step", key], 100))
            == comparable(strict({"rows": expected}))["rows"]
        )


def member(row: Row, key: str) -> Any:
    value: Any = row
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def test_without_a_word_for_a_dictionary_a_row_shows_a_key_with_dots_as_the_export_spells_it(home: Home) -> None:
    history = History(home, [some("dotted", LOGGED)])
    assert comparable(history.rows()) == comparable([flat(row) for row in LOGGED])
    assert comparable(history.rows(["deep.a.b"])[0]) == {"_step": 0, "deep.a.b": 0.5}
    assert comparable(history.rows(["deep"])[0]) == {"_step": 0, "deep": {"a": {"b": 0.5}, "n": 1}}


def test_a_key_that_was_logged_with_a_dot_stays_one_where_something_spells_it_so(home: Home) -> None:
    rows = [{"_step": 0, "a.b": 1, "val": {"x": 2}}, {"_step": 1, "a.b": 3, "val": {"x": 4}}]
    summary = {"a.b": 3, "val": {"x": 4}}
    for history in (
        History(home, [some("dotted", rows)], (), summary),
        History(home, [some("struct", rows)], (), summary),
        History(home, [some("dotted", rows[:1])], as_wire(rows[1:])),
        History(home, [], as_wire(rows)),
    ):
        assert history.rows() == rows
        assert history.rows(["a"]) == [{"_step": 0, "a": {"b": 1}}, {"_step": 1, "a": {"b": 3}}]
        assert history.metrics() == expected_metrics(rows)


def test_a_number_and_a_dictionary_under_one_name_do_not_hide_each_other(home: Home) -> None:
    rows: list[Row] = [{"_step": 0, "a": 5}, {"_step": 1, "a": {"b": 1}}, {"_step": 2, "a": 6, "a.b": 2}]
    history = History(home, [some("dotted", rows)], (), {"a": {"b": 1}})
    assert history.rows() == rows
    assert history.rows(["a.b"]) == [{"_step": 1, "a.b": 1}, {"_step": 2, "a.b": 2}]


def test_bytes_that_are_no_json_are_texts_and_those_that_are_no_text_base64(home: Home, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    values = [b"plain", b"\xff\x00", b"NaN", b"null", b"[1, 2", b'"text"', b'{"x": 1}']
    path = tmp_path / "bytes.parquet"
    pq.write_table(pa.table({"_step": list(range(7)), "a": pa.array(values)}), path)
    history = History(home, [path.read_bytes()])
    expected = ["plain", {"base64": "/wA="}, math.nan, None, "[1, 2", "text", {"x": 1}]
    assert comparable([row.get("a") for row in history.rows()]) == comparable(expected)
    assert history.metrics() == {
        ("a", 0): ("None", "plain"), ("a", 1): ("None", {"base64": "/wA="}), ("a", 2): ("nan", None),
        ("a", 4): ("None", "[1, 2"), ("a", 5): ("None", "text"), ("a.x", 6): ("1.0", None),
    }  # fmt: skip


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.integers(-(2**70), 2**70),
    st.floats(width=64), st.sampled_from(["", "x", "{}", "[1]", "null", "é☃", '"q"']),
)  # fmt: skip
NAMES = st.sampled_from(["a", "b", "é/x", "_x"])


def nested(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and dictionaries, some of them of W&B's kinds, around other values."""
    things = st.dictionaries(NAMES, inside, max_size=2).map(lambda value: {"_type": "thing", **value})
    return st.lists(inside, max_size=3) | st.dictionaries(NAMES, inside, max_size=3) | things


VALUES = SCALARS | nested(SCALARS | nested(SCALARS))
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=5).map(
    lambda rows: [{"_step": 3 * place, **row} for place, row in enumerate(rows)]
)


@settings(suppress_health_check=list(HealthCheck))
@given(rows=ROWS, data=st.data())
def test_random_values_are_those_that_were_logged_in_random_forms(
    home: Home, rows: list[Row], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=2)))
    pieces = [rows[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    live = pieces.pop() if data.draw(st.booleans()) else []
    exports = [some(data.draw(st.sampled_from(STYLES)), piece) for piece in pieces]
    dictionaries = {
        key: value
        for row in rows
        for key, value in row.items()
        if isinstance(value, dict) and set(leaves(key, value)) != {key}
    }
    history = History(home, exports, as_wire(live), dictionaries)
    assert comparable(history.rows()) == comparable(rows)
    assert tabled(history.rows_held.sample_table(None, 100)) == [comparable(strict(row)) for row in rows]
    assert rounded(history.metrics()) == rounded(expected_metrics(rows))
    for name in sorted({name for row in rows for name in flat(row)} - {"_step"}):
        asked = {row["_step"]: comparable(row[name]) for row in history.rows([name])}
        for row in rows:
            leaf = flat(row).get(name)
            if leaf is not None and not isinstance(leaf, dict):
                assert asked[row["_step"]] == comparable(leaf)


def rounded(metrics: dict[tuple[str, int], Any]) -> dict[tuple[str, int], Any]:
    return {place: (value, comparable(text)) for place, (value, text) in metrics.items()}


def put(objects: Objects, content: bytes) -> ExportRow:
    digest = objects.put_bytes(content)
    facts = facts_of(objects.path(digest))
    return ExportRow(
        object=digest, size=len(content), rows=facts.rows, min_step=facts.min_step, max_step=facts.max_step
    )


def test_a_compaction_changes_nothing_that_was_held(home: Home) -> None:
    numbers = [
        {"_step": n, "n": n, "big": WIDE + n, "huge": 2**70 + n, "some": WIDE if n else 0.5,
         "deep": {"n": WIDE - n, "f": 1.0}, "f": float(n), "u": 2**63 + n}
        for n in range(4)
    ]  # fmt: skip
    before: dict[str, tuple[list[bytes], list[str]]] = {
        "live": ([], as_wire(numbers)),
        "struct": ([some("struct", numbers)], []),
        "parts": ([some("dotted", numbers[:2]), some("json", numbers[2:])], []),
        "half": ([some("struct", numbers[:2])], as_wire(numbers[2:])),
    }
    objects = Objects(home)
    with Lake(home, deployment="d") as lake:

        def change(histories: dict[str, HistoryChange]) -> None:
            contents = [ContentChanges(run_id=run_id, history=change) for run_id, change in histories.items()]
            commit(lake, Changes(key=KEY, at=AT), contents, objects=objects)

        change(
            {
                name: HistoryChange(
                    exports=tuple(put(objects, content) for content in exports),
                    tail=tuple(TailRow(step=json.loads(row)["_step"], row=row) for row in tail),
                    replaces_tail=True,
                )
                for name, (exports, tail) in before.items()
            }
        )
        for style in ("dotted", "struct", "dotted"):
            compacted = some(style, numbers, doubles=True, step=pa.float64())
            change({name: HistoryChange(exports=(put(objects, compacted),), replaces_tail=True) for name in before})
            with connect(home) as engine, Reader(home) as reader:
                for name in before:
                    stored = stored_history(reader, RunPath("e", "p", name))
                    assert repr(read_rows(objects, stored)) == repr(numbers), (style, name)
                    metrics = engine.execute(
                        "SELECT key, step, value, text FROM metrics WHERE run_id = ?", [name]
                    ).fetchall()
                    assert read_metrics(metrics) == expected_metrics(numbers), (style, name)


def test_digits_whose_object_is_lost_are_missed_until_a_repair_lets_them_go(home: Home) -> None:
    numbers: list[Row] = [{"_step": 0, "big": WIDE}, {"_step": 1, "big": 2}]
    objects = Objects(home)
    with Lake(home, deployment="d") as lake:
        for doubles in (False, True):
            change = HistoryChange(
                exports=(put(objects, some("struct", numbers, doubles=doubles)),), replaces_tail=True
            )
            commit(lake, Changes(key=KEY, at=AT), [ContentChanges(run_id="r", history=change)], objects=objects)
        with lake.reading() as engine:
            stored = stored_history(lake, RunPath("e", "p", "r"))
            (lost,) = stored.earlier.values()
            named = referrers(engine, ["runs", "exports", "earlier_forms"], [lost])
        assert named[lost].shown == ("e/p/r: digits that exports of its history lost",)
        assert read_rows(objects, stored) == numbers
        objects.path(lost).unlink()
        with pytest.raises(StoreError, match=lost):
            HistoryRows(objects, stored)
        with lake.transaction() as engine:
            assert mark_lost(engine, [lost], AT) == 0
        assert read_rows(objects, stored_history(lake, RunPath("e", "p", "r"))) == [
            {"_step": 0, "big": float(WIDE)},
            {"_step": 1, "big": 2.0},
        ]


def test_numbers_that_changed_are_not_taken_for_what_they_were(home: Home) -> None:
    before: list[Row] = [{"_step": 0, "big": WIDE, "n": 1}, {"_step": 1, "big": 2, "n": 2}]
    after: list[Row] = [{"_step": 0, "big": 2.0**61, "n": 1.5}, {"_step": 1, "big": 2, "n": 2}]
    objects = Objects(home)
    with Lake(home, deployment="d") as lake:
        for rows, doubles in ((before, False), (after, True)):
            change = HistoryChange(exports=(put(objects, some("struct", rows, doubles=doubles)),), replaces_tail=True)
            commit(lake, Changes(key=KEY, at=AT), [ContentChanges(run_id="r", history=change)], objects=objects)
        found = read_rows(objects, stored_history(lake, RunPath("e", "p", "r")))
    assert repr(found) == repr([{"_step": 0, "big": 2**61, "n": 1.5}, {"_step": 1, "big": 2, "n": 2.0}])


def test_a_lake_that_keeps_nothing_beside_exports_yet_is_read(home: Home) -> None:
    objects = Objects(home)
    with Lake(home, deployment="d") as lake:
        change = HistoryChange(exports=(put(objects, some("dotted", LOGGED)),))
        contents = [ContentChanges(run_id="r", history=change)]
        commit(lake, Changes(key=KEY, at=AT), contents, objects=objects)
        with lake.transaction() as engine:  # as a lake of the version before is
            engine.execute("DROP TABLE lake.earlier_forms")
    with Reader(home) as lake:
        assert len(read_rows(objects, stored_history(lake, RunPath("e", "p", "r")))) == len(LOGGED)


def read_rows(objects: Objects, stored: StoredHistory) -> list[Row]:
    return [row for batch in HistoryRows(objects, stored).batches(None, 0, 99, "any") for row in batch]
