"""SQL's LIKE over names, in time that grows with the length of a name alone, whatever the pattern."""

from __future__ import annotations

import re
from collections.abc import Callable

_FLAGS = re.DOTALL | re.IGNORECASE


def like(pattern: str) -> Callable[[str], bool]:
    """A test of whole names: `%` stands for any text, `_` for one character, a backslash takes the next one as it is.

    Args:
        pattern: upper and lower case are one, as in MySQL.
    """
    pieces: list[list[str]] = [[]]  # the regular expressions between the `%`
    marks = iter(pattern)
    for mark in marks:
        if mark == "%":
            pieces.append([])
        elif mark == "\\":
            pieces[-1].append(re.escape(next(marks, "\\")))
        else:
            pieces[-1].append("." if mark == "_" else re.escape(mark))
    first, *between = ["".join(piece) for piece in pieces]
    if not between:
        whole = re.compile(first, _FLAGS)
        return lambda name: whole.fullmatch(name) is not None
    *middle, last = between
    head = re.compile(first, _FLAGS)
    parts = [re.compile(part, _FLAGS) for part in middle if part]
    tail = re.compile(last, _FLAGS)
    tail_length = len(pieces[-1])

    def matches(name: str) -> bool:
        found = head.match(name)
        for part in parts:  # each at the first place that it fits leaves the most room for those behind it
            if found is None:
                return False
            found = part.search(name, found.end())
        rest = len(name) - tail_length
        return found is not None and rest >= found.end() and tail.fullmatch(name, rest) is not None

    return matches
