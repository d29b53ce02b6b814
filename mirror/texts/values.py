"""How W&B's JSON texts become queryable values, and back into strict JSON.

The texts W&B serves are JSON with liberties: bare `NaN` and `Infinity`, raw control characters, integers of any
size, sometimes a document that is not an object, or not JSON at all (W&B API notes, sections 4 and 5). What leaves
here is strict JSON: non-finite numbers are the strings `"NaN"`, `"Infinity"`, `"-Infinity"` that W&B itself uses,
integers keep every digit, and text is valid Unicode. A document that nests deeper than `DEEPEST` counts as malformed:
parsers, databases and people give up on one at depths of their own, so one depth is fixed here for all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from mirror.texts.nonfinite import finite
from mirror.typed import decode

# Keys of a config that W&B keeps for itself; `run.config` of the SDK leaves them out.
INTERNAL_CONFIG_KEYS = frozenset({"_wandb", "wandb_version"})

DEEPEST = 200  # levels of lists and objects in a document that can be queried

_UNPARSED = object()


def parse_lenient(text: str | None, otherwise: Any = None) -> Any:
    """Parse a JSON text as the SDK does: control characters and non-finite numbers are accepted.

    Args:
        text: the wire text; None stands for an absent document.
        otherwise: what stands for a document that cannot be parsed; its wire text is kept elsewhere.

    Returns:
        The value; None when the text is absent.
    """
    value = _parse(text)
    return otherwise if value is _UNPARSED else value


def is_malformed(text: str | None) -> bool:
    """Whether a wire text is there but is not JSON even to a lenient parser."""
    return _parse(text) is _UNPARSED


def finite_float(text: str) -> float:
    """A number of a JSON text that has a fraction or an exponent.

    Raises:
        ValueError: it is beyond what a double holds.
    """
    if math.isinf(number := float(text)):
        raise ValueError(f"{text} is too large a number")
    return number


def is_json(text: str) -> bool:
    """Whether a wire text is JSON, however deep; most are found so without building what they are."""
    try:
        decode(text.encode(), msgspec.Raw)
    except (ValueError, RecursionError):
        return not is_malformed(text)
    return True


def is_object(text: str) -> bool:
    """Whether a wire text is a JSON object."""
    return text.lstrip().startswith("{") and is_json(text)


def config_json(text: str | None) -> str | None:
    """The queryable form of a run's config: `{"lr": {"value": 0.1, "desc": null}}` becomes `{"lr":0.1}`.

    A value that is no such pair is kept whole, as the SDK does; a config that is not an object is kept as it is.

    Returns:
        Strict JSON text, or None when the config is absent, null or malformed.
    """
    value = parse_lenient(text)
    if isinstance(value, dict):
        value = unwrap_config(value)
    return None if value is None else dump_strict(value)


def unwrap_config(wire: dict[str, Any]) -> dict[str, Any]:
    """Take the values out of a parsed wire config, without W&B's internal keys."""
    return {
        key: item["value"] if isinstance(item, dict) and "value" in item else item
        for key, item in wire.items()
        if key not in INTERNAL_CONFIG_KEYS
    }


def document_json(text: str | None) -> str | None:
    """The queryable form of a summary, of system metrics or of history keys: strict JSON, or None."""
    value = parse_lenient(text)
    return None if value is None else dump_strict(value)


def dump_strict(value: Any) -> str:
    """Write a parsed value as strict JSON text that every database and parser takes."""
    try:
        dumped = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        dumped = json.dumps(_finite(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return valid_unicode(dumped)


def storable(text: str) -> str:
    """A text as a column can hold it: NUL becomes `␀`. DuckLake's statistics end at a NUL, and then it misses rows."""
    return valid_unicode(text).replace("\0", "␀")


def storable_wire(text: str | None) -> str | None:
    """A wire text as a column can hold it: a raw NUL is spelled as JSON spells it."""
    return None if text is None else valid_unicode(text).replace("\0", "\\u0000")


def valid_unicode(text: str) -> str:
    """Replace lone surrogates, which no UTF-8 store can hold, by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def unique_names(names: Sequence[str]) -> list[str]:
    """Column names made distinct (`a`, `a_1`), so that no value of a row is lost in an object."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 0
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        result.append(candidate)
    return result


def _parse(text: str | None) -> Any:
    if text is None:
        return None
    try:
        value = decode(text, Any)  # a fifth of the time; what it takes, Python's own parser takes for the same value
    except (ValueError, RecursionError):
        try:
            value = json.loads(text, strict=False, parse_int=_exact_int)
        except (ValueError, RecursionError):
            return _UNPARSED
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(value):
        return _UNPARSED
    return value


def _is_deep(value: Any) -> bool:
    """Whether a value nests deeper than `DEEPEST`; level by level, since recursion is what is to be avoided."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for node in level
            for item in (node.values() if isinstance(node, dict) else node)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _exact_int(digits: str) -> int | str:
    """An integer with all its digits; beyond what Python converts (4300 digits) the text itself."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
