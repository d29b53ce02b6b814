"""What is read of many rows at once is what each of them says alone."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from mirror.offline.log.history_keys import HistoryKeys
from mirror.store.history.cells import cells_of
from mirror.texts.values import parse_lenient

KEYS = ("a", "b", "c")
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0, -0.0, 1e308, 5e-324, 2**53, 2**53 + 1, 2**63, 2**64, 10**400]),
)
LEAVES = st.one_of(NUMBERS, st.booleans(), st.none(), st.text(max_size=5), st.sampled_from(["NaN", "Infinity"]))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["b", "_type", "é"]), inner, max_size=2)
    ),
    max_leaves=4,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), max_size=8)
SAME_KEYS = st.lists(st.tuples(VALUES, NUMBERS, NUMBERS), max_size=8).map(
    lambda rows: [dict(zip(("a", "c", "b"), row, strict=True)) for row in rows]
)
# Texts that parsers may take differently, or not at all.
ODD = [
    "", " ", "null", "nul", "NaN", "-Infinity", "1e400", "-0", "-0.0", "01", "+1", "1.", ".5", "1e", "0.1e1", "\ufeff1",
    '"a\tb"', '"\\ud800"', '"\\ud83d\\ude00"', '"\ud800"', '"\\u0000"', '"\x00"', '{"a":1,"a":2}', "[1,]", "[" * 300,
    "[" * 150 + "]" * 150, "[" * 250 + "]" * 250, "1" * 5000, "18446744073709551616", "-9223372036854775809", '"\x7f"',
    "{'a':1}", '{"a":1} {"b":2}', "1 2", "tru", "true", '{"a" :\n1 }', "123456789012345678901234567890.5",
]  # fmt: skip


@given(st.one_of(ROWS, SAME_KEYS))
def test_keys_that_are_counted_together_are_those_that_are_counted_row_by_row(rows: list[dict[str, Any]]) -> None:
    """Types, numbers, whether they rise, and the last one."""
    together, alone = HistoryKeys(), HistoryKeys()
    for row in rows:
        texts = {key: json.dumps(value) for key, value in row.items()}
        together.see(texts)
        alone.see(texts)
        alone.over(None, 0)
    assert _counted(together) == _counted(alone)


@given(st.lists(st.one_of(st.none(), NUMBERS, LEAVES), max_size=8))
@example([2**53, None, 0.5])
@example([2**53 + 1, None, 0.5])
@example([True, 1, 1.0])
def test_cells_of_a_column_are_those_of_its_values(values: list[Any]) -> None:
    """Numbers alone, and mixed with what needs its text."""
    together = list(zip(*(part.to_pylist() for part in cells_of(values)), strict=True))
    alone = [tuple(part[0].as_py() for part in cells_of([value, ""])) for value in values]
    assert [*map(_told, together)] == [*map(_told, alone)]


@given(st.one_of(st.sampled_from(ODD), VALUES.map(json.dumps), st.text(st.sampled_from('{}[]",:-+.eE019 \\ntu'))))
@example(ODD[0])
def test_a_text_is_parsed_as_by_the_parser_of_python(text: str) -> None:
    """Whichever parser takes it; what is deeper than documents may be counts as malformed."""
    try:
        expected = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return
    deep = "[" * 201 in text
    assert repr(parse_lenient(text, "malformed")) == repr("malformed" if deep else expected)


def _counted(keys: HistoryKeys) -> dict[str, Any]:
    counted: dict[str, Any] = json.loads(keys.over(None, 0))["keys"]
    for facts in counted.values():
        facts["typeCounts"].sort(key=lambda one: one["type"])
    return counted


def _told(cell: tuple[float | None, str | None]) -> tuple[str, str | None]:
    value, text = cell
    return ("nan" if value is not None and math.isnan(value) else repr(value)), text
