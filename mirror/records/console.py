"""Console output of a run, line by line."""

from __future__ import annotations

import datetime as dt

import msgspec


class ConsoleLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line; later output of a running run may rewrite it (progress bars)."""

    number: int  # from 0
    at: dt.datetime | None  # UTC; digits beyond the microsecond are cut
    at_text: str | None
    level: str  # "error" for stderr, else ""
    label: str
    line: str
    untold: frozenset[str] = frozenset()  # fields that the server did not tell: what is held of them stays
