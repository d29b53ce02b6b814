"""Timestamps as W&B writes them: UTC, often without a zone, fractions of any length."""

from __future__ import annotations

import datetime as dt
import re

# W&B API notes, section 4: `2023-11-05T17:46:35` and `2023-11-05T17:46:35Z` both occur, fractions vary.
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?\s*(?:([Zz])|([+-])(\d\d):?(\d\d)?)?", re.ASCII
)


def parse_time(text: str) -> dt.datetime:
    """The moment that `text` names, aware and in UTC; a text without a zone is UTC.

    Digits beyond the microsecond are cut, not rounded, so that the order of two texts is kept.

    Raises:
        ValueError: it is not a timestamp, or outside the years 1 to 9999.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError("not a timestamp")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, _, sign, offset_hours, offset_minutes = found.groups()[6:]
    microsecond = int(fraction[:6].ljust(6, "0")) if fraction else 0
    moment = dt.datetime(year, month, day, hour, minute, second, microsecond, tzinfo=dt.UTC)
    if sign is None:
        return moment
    offset = dt.timedelta(hours=int(offset_hours), minutes=int(offset_minutes or 0))
    try:
        return moment - offset if sign == "+" else moment + offset
    except OverflowError:
        raise ValueError("outside the years 1 to 9999") from None


def time_or_none(text: str | None) -> dt.datetime | None:
    """`parse_time`, with None for what is no timestamp; its raw text is kept beside it by the caller."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        return None
