"""What a user changed in a run's fields and documents, as values that can be queued: pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from mirror.records.operations import Change
from mirror.records.texts import dump_strict

ARRAY_ITEMS_MAX = 32  # larger arrays are files and not values; the SDK draws the line here, too


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Change]:
    """Keys whose values differ, came or went; equal JSON is no change, but 1, 1.0 and true are three values.

    Raises:
        TypeError: a value has no form in JSON; the message names its key.
    """
    changes: dict[str, Change] = {}
    for key in {**before, **now}:
        old = _jsonable(key, before[key]) if key in before else None
        new = _jsonable(key, now[key]) if key in now else None
        if key not in now:
            changes[key] = Change(base=old)
        elif key not in before:
            changes[key] = Change(value=new)
        elif dump_strict(old) != dump_strict(new):
            changes[key] = Change(base=old, value=new)
    return changes


def plain(value: Any) -> Any:
    """A value as JSON knows it: scalars and small arrays of numpy, torch and their like become numbers and lists.

    Raises:
        TypeError: it has no such form, or is an array of more than `ARRAY_ITEMS_MAX` numbers.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _spoken(float(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    size = getattr(value, "numel", getattr(value, "size", None))  # torch counts with numel(), numpy with size
    count = size() if callable(size) else size
    if hasattr(value, "item") and count in (1, None) and not getattr(value, "shape", ()):
        return plain(value.item())
    if hasattr(value, "tolist") and isinstance(count, int):
        if count > ARRAY_ITEMS_MAX:
            raise TypeError(f"an array of {count} numbers is too large for a value; upload it as a file")
        return plain(value.tolist())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _jsonable(key: str, value: Any) -> Any:
    try:
        return json.loads(dump_strict(plain(value)))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{key!r}: {error}") from error


def _spoken(number: float) -> float | str:
    """W&B's text for a number that JSON lacks."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
