"""Names in the order in which people count: `layer 2` before `layer 10`."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"([0-9]{1,18})")


def natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """A key to sort texts by: digits by their number, the rest whatever its case."""
    parts = _DIGITS.split(text)
    return tuple(
        (True, int(part), "") if place % 2 else (False, 0, part.casefold()) for place, part in enumerate(parts) if part
    )


def shallow_first(key: str) -> tuple[int, tuple[tuple[bool, int, str], ...]]:
    """A key to sort metrics by: how deep they are, then as people count."""
    return key.count("/") + key.count("."), natural(key)
