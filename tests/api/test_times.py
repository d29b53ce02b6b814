"""Timestamps in every spelling of W&B's."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.api.rows.times import parse_time, time_or_none

MOMENT = dt.datetime(2023, 11, 5, 17, 46, 35, tzinfo=dt.UTC)
zones = st.timedeltas(min_value=dt.timedelta(hours=-14), max_value=dt.timedelta(hours=14)).map(
    lambda offset: dt.timezone(dt.timedelta(minutes=offset // dt.timedelta(minutes=1)))
)


@pytest.mark.parametrize(
    "text",
    [
        "2023-11-05T17:46:35",
        "2023-11-05T17:46:35Z",
        "2023-11-05 17:46:35",
        "2023-11-05T17:46:35.0000000000",
        "2023-11-05T18:46:35+01:00",
        "2023-11-05T18:46:35+0100",
        "2023-11-05T16:46:35-01",
    ],
)
def test_every_spelling_names_the_same_moment(text: str) -> None:
    assert parse_time(text) == MOMENT
    assert parse_time(text).tzinfo is dt.UTC


@given(st.datetimes(dt.datetime.fromisoformat("0002-01-01"), dt.datetime.fromisoformat("9998-12-31"), timezones=zones))
def test_a_moment_survives_its_text(moment: dt.datetime) -> None:
    assert parse_time(moment.isoformat()) == moment
    naive = moment.astimezone(dt.UTC).replace(tzinfo=None)
    assert parse_time(naive.isoformat()) == moment
    assert parse_time(naive.isoformat() + "Z") == moment


@given(st.text(alphabet="0123456789", min_size=1, max_size=30), st.text(alphabet="0123456789", min_size=1, max_size=30))
def test_fractions_of_any_length_keep_their_order(one: str, other: str) -> None:
    low, high = sorted((one, other), key=lambda digits: digits.ljust(30, "0"))
    assert parse_time(f"2023-11-05T17:46:35.{low}") <= parse_time(f"2023-11-05T17:46:35.{high}Z")


@given(st.text(max_size=40))
def test_any_other_text_is_a_value_error(text: str) -> None:
    moment = time_or_none(text)
    if moment is None:
        with pytest.raises(ValueError):
            parse_time(text)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2023-02-30T00:00:00", "0001-01-01T00:00:00+14:00", "١٢٣٤-01-01T00:00:00"]
)
def test_what_is_no_moment_is_none(text: str) -> None:
    assert time_or_none(text) is None
