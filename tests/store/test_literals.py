"""A value that is written into a statement reaches DuckDB as it is."""

from __future__ import annotations

import math
from typing import Any

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from mirror.store.engine.literals import inlined

ENGINE = duckdb.connect(config={"threads": 1})
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(0, 1),  # the digits of a number without an exponent are what DuckDB would take for a DECIMAL
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
)


@given(VALUES)
def test_a_value_arrives_to_its_last_digit(value: Any) -> None:
    (found,) = ENGINE.execute(inlined("SELECT ?", [value])).fetchall()[0]
    assert type(found) is type(value)
    assert found == value or math.isnan(found)
    assert str(found) == str(value), "the sign of a zero"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), VALUES)
def test_a_mark_inside_of_quotes_is_none(text: str, value: Any) -> None:
    quoted, name = "'" + text.replace("'", "''") + "'", '"' + (text.replace('"', '""') or "a") + '"'
    row = ENGINE.execute(inlined(f"SELECT {quoted}, ? AS {name}, '?'", [value])).fetchall()[0]
    assert (row[0], row[2]) == (text, "?")
