"""Counts, and how long something took, in a few words for people."""

from __future__ import annotations

_LONG_S = 100 * 365 * 86400
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def span(seconds: float) -> str:
    """`90 s`, `5 min`, `3 h`, `12 d`: in the largest unit of which there are two; less than nothing is nothing.

    What no clock will ever show has no digits, such as a wait that a server asked for by mistake.
    """
    if seconds > _LONG_S:
        return "more than 100 years"
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 run`, `2,000 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
