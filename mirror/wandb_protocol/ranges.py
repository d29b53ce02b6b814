"""The one byte range that a request may ask for."""

from __future__ import annotations

import re

_RANGE = re.compile(r"^bytes=([0-9]*)-([0-9]*)$")
_LONGEST = 19  # digits of a place in a file; what has more lies behind the end of any


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last; None where all is asked for, or nothing that is understood.

    A range that lies outside comes back empty: its start is not before its stop.
    """
    match = _RANGE.match(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    start = _place(first) if first else max(0, size - _place(last))
    stop = min(_place(last) + 1, size) if first and last else size
    return start, stop


def _place(digits: str) -> int:
    """A number, however many digits it has: Python reads no more than 4300."""
    digits = digits.lstrip("0")
    return 10**_LONGEST if len(digits) > _LONGEST else int(digits or "0")
