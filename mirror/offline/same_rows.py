"""Whether two rows are one, whoever wrote them down: no two rows of a step are logged at one time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mirror.texts.values import dump_strict, parse_lenient

TIME = "_timestamp"
SAME_S = 1e-3  # times that differ by less are one: servers and clients spell floats as they like
CLOCKS_S = 60.0  # by so much clocks of two machines may differ


def is_same(left: Mapping[str, Any], right: Any) -> bool:
    """Whether two rows were logged at one time; rows of which one tells none have to be equal."""
    if not isinstance(right, dict):
        return False
    at, also = number(left.get(TIME)), number(right.get(TIME))
    if at is None or also is None:
        return left == right
    return abs(at - also) < SAME_S


def is_same_at_its_step(left: Mapping[str, Any], right: Any) -> bool:
    """The same of rows of one step, of which a server may tell the time in seconds, or none: then by their values."""
    if not isinstance(right, dict):
        return False
    at, also = number(left.get(TIME)), number(right.get(TIME))
    if at is not None and also is not None and (abs(at - also) < SAME_S or not _is_cut(at, also)):
        return abs(at - also) < SAME_S
    logged = _logged(left)
    return bool(logged) and logged == _logged(right)


def number(value: Any) -> float | None:
    """A number of a row; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def numbers_of(row: str) -> dict[str, float]:
    """The finite numbers of a row, a JSON object in a text, by key."""
    found = {key: number(value) for key, value in parse_lenient(row).items()}
    return {key: value for key, value in found.items() if value is not None and math.isfinite(value)}


def _is_cut(at: float, also: float) -> bool:
    return abs(at - also) < 1 and (at.is_integer() or also.is_integer())


def _logged(row: Mapping[str, Any]) -> dict[str, str]:
    """What a script logged of a row, comparable: NaN is itself."""
    return {key: dump_strict(value) for key, value in row.items() if not key.startswith("_")}
