"""What a user changed in a run's fields and documents, as values that can be queued: pure functions."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from mirror.records.operations import Change
from mirror.texts.nonfinite import places_of
from mirror.texts.values import dump_strict

ARRAY_ITEMS_MAX = 32  # larger arrays are files and not values; the SDK draws the line here, too


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Change]:
    """Keys whose values differ, came or went; equal JSON is no change, but 1, 1.0 and true are three values.

    Raises:
        TypeError: a value has no form in JSON; the message names its key.
    """
    changes: dict[str, Change] = {}
    for key in {**before, **now}:
        old = _jsonable(key, before[key]) if key in before else (UNSET, UNSET)
        value, numbers = _jsonable(key, now[key]) if key in now else (UNSET, UNSET)
        if key not in before or key not in now or _differ(old, (value, numbers)):
            changes[key] = Change(base=old[0], value=value, numbers=numbers)
    return changes


def _differ(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    return one[1] != other[1] or dump_strict(one[0]) != dump_strict(other[0])


def json_plain(value: Any, *, stub: bool = False) -> Any:
    """A value as JSON knows it, NaN and infinities among its numbers: scalars and small arrays of numpy, torch and
    their like become numbers and lists.

    Args:
        value: of a config or a summary.
        stub: larger arrays become what W&B keeps of them, a dictionary with their mean, extremes and percentiles.

    Raises:
        TypeError: it has no such form, or is an array of more than `ARRAY_ITEMS_MAX` numbers.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): json_plain(item, stub=stub) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_plain(item, stub=stub) for item in value]
    size = getattr(value, "numel", getattr(value, "size", None))  # torch counts with numel(), numpy with size
    count = size() if callable(size) else size
    if hasattr(value, "item") and count in (1, None) and not getattr(value, "shape", ()):
        return json_plain(value.item())
    if hasattr(value, "tolist") and isinstance(count, int):
        if count <= ARRAY_ITEMS_MAX:
            return json_plain(value.tolist())
        if stub:
            return _stub(value)
        raise TypeError(f"an array of {count} numbers is too large for a value; upload it as a file")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _stub(value: Any) -> dict[str, Any]:
    """What W&B keeps of a large array of numbers: numpy's figures over all of them."""
    kind = type(value)
    numpy: Any = importlib.import_module("numpy")
    array = numpy.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    try:
        found = {"var": numpy.var(array), "mean": numpy.mean(array), "min": numpy.amin(array), "max": numpy.amax(array)}
        found |= {f"{part}%": numpy.percentile(array, part) for part in (10, 25, 75, 90)}
    except TypeError as error:
        raise TypeError(f"an array of {array.dtype} is no value: {error}") from error
    module = kind.__module__.split(".")[0]
    return {"_type": f"{module}.{kind.__name__}", **{k: v.item() for k, v in found.items()}, "size": int(array.size)}


def _jsonable(key: str, value: Any) -> tuple[Any, tuple[str, ...] | UnsetType]:
    """A value in strict JSON, and where texts in it stand for numbers that JSON lacks."""
    try:
        made = json_plain(value)
        return json.loads(dump_strict(made)), tuple(places_of(made)) or UNSET
    except (TypeError, ValueError) as error:
        raise TypeError(f"{key!r}: {error}") from error
