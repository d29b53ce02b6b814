"""What the lake answered, remembered until a commit may have changed it.

DuckLake needs 2 to 4 ms for whatever it is asked. Passes ask what they need where they need it, some of it twice; and
what a daemon's pass asks of a project in which nothing moved, the pass before asked as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mirror.store.engine.connection import LAKE
from mirror.store.schema.tables import TABLES

Rows = list[tuple[Any, ...]]

MOST_CHARACTERS = 4_000_000  # of what is remembered, about
SHARE = 50  # one answer is at most so small a part of that
_VALUE = 40  # characters that a value counts for beside its text
_NAMES = frozenset(table.name for table in TABLES)
_NAMED = re.compile(rf"\b{LAKE}\.(\w*)")  # a name in quotes is none of these: such an answer is not kept


class Answers:
    """Answers by question, those that were put first are forgotten first."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Rows, int]] = {}
        self._characters = 0

    def get(self, question: str) -> Rows | None:
        """The rows; None: it is not known."""
        known = self._known.get(question)
        return None if known is None else known[0]

    def put(self, question: str, rows: Rows) -> None:
        """Remember an answer, if it is small."""
        size = len(question) + _characters(rows)
        if size * SHARE > MOST_CHARACTERS or question in self._known:
            return
        self._known[question] = rows, size
        self._characters += size
        while self._characters > MOST_CHARACTERS:
            self._drop(next(iter(self._known)))

    def clear(self) -> None:
        """Forget all of them."""
        self._known.clear()
        self._characters = 0

    def forget(self, table: str) -> None:
        """Forget those that a commit changed which wrote nothing but this table; those about the lake's files, too."""
        for question in [question for question in self._known if not _is_without(table, question)]:
            self._drop(question)

    def _drop(self, question: str) -> None:
        self._characters -= self._known.pop(question)[1]


def _is_without(table: str, question: str) -> bool:
    """Whether a question is about other tables of the lake's alone."""
    named = _NAMED.findall(question)
    return bool(named) and table not in named and _NAMES.issuperset(named) and "ducklake" not in question


def _characters(value: Any) -> int:
    if isinstance(value, str | bytes):
        return _VALUE + len(value)
    if isinstance(value, Mapping):
        return _characters([*value, *value.values()])
    return _VALUE + sum(map(_characters, value)) if isinstance(value, list | tuple) else _VALUE
