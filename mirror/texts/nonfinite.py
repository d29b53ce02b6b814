"""NaN and infinities, for which JSON has no words: W&B's texts stand for them, and their places are noted."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # by W&B's texts


def finite(value: float) -> float | str:
    """A number as JSON can hold it: itself, or W&B's text for it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def places_of(value: Any, place: str = "") -> Iterator[str]:
    """JSON pointers to the numbers in a value that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield place
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from places_of(item, f"{place}/{_escaped(key)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places_of(item, f"{place}/{index}")


def with_numbers(value: Any, places: Collection[str], place: str = "") -> Any:
    """A value with numbers again where texts stand for them; anything else at such a place stays as it is."""
    if not places:
        return value
    if isinstance(value, str):
        return NUMBERS.get(value, value) if place in places else value
    if isinstance(value, dict):
        return {key: with_numbers(item, places, f"{place}/{_escaped(key)}") for key, item in value.items()}
    if isinstance(value, list):
        return [with_numbers(item, places, f"{place}/{index}") for index, item in enumerate(value)]
    return value


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
