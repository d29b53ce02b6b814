"""Steps of a history, in all the ways that W&B spells them."""

from __future__ import annotations

import contextlib
from typing import Any

from mirror.texts.values import parse_lenient

STEP = "_step"
LEAST, MOST = -(2**63), 2**63  # a step is at least the one and below the other
_LONGEST_STEP = 30  # characters of one that is a text


def step_of_row(row: str) -> int | None:
    """The step of a row of W&B's `history`; None when it has none that can be read."""
    parsed = parse_lenient(row)
    return step_of(parsed.get(STEP)) if isinstance(parsed, dict) else None


def step_of(value: Any) -> int | None:
    """A step as W&B spells it: an integer, a float such as `12.0`, or a text with one of them.

    A row between two steps, at 1.5, has none: it takes the place of neither.
    """
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not (LEAST <= value < MOST and value.is_integer()):  # NaN is neither
        return None
    whole = int(value)
    return whole if LEAST <= whole < MOST else None


def _number(text: str) -> int | float | None:
    if len(text) > _LONGEST_STEP:
        return None
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return None
