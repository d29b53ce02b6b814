"""Which keys a history has, as W&B's server tells it in `historyKeys`: types, how often each, and the last numbers.

Maps are flattened to dotted keys; one with a `_type` is one value of that type, and so is a list.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from math import inf
from operator import itemgetter, le
from typing import Any

from mirror.offline.log.trees import Tree
from mirror.texts.values import dump_strict, parse_lenient
from mirror.typed import decode

NO_NUMBER = -1.7976931348623157e308  # the last number of a key that has none, as W&B has it
_KINDS = {'"': "string", "[": "list", "t": "bool", "f": "bool", "n": "nil"}  # by how a JSON text begins


_AT_ONCE = 1_000  # rows that are counted together


class HistoryKeys:
    """The keys of the rows that were seen."""

    def __init__(self) -> None:
        self._facts: dict[str, _Key] = {}
        self._waiting: list[Tree] = []  # rows that are not counted yet

    def see(self, row: Tree) -> None:
        """Count the values of a row, which stays as it is."""
        self._waiting.append(row)
        if len(self._waiting) >= _AT_ONCE:
            self._count()

    def see_numbers(self, key: str, count: int, first: float, last: float, spelled: str, *, rises: bool) -> None:
        """Count numbers of a key in further rows, one or more, none of them NaN.

        Args:
            key: whose they are.
            count: how many.
            first: the first of them.
            last: the last.
            spelled: the last as JSON.
            rises: whether none is below the one before it.
        """
        self._count()
        self._facts.setdefault(key, _Key()).see_numbers(count, first, last, spelled, rises=rises)

    def see_texts(self, key: str, texts: Iterable[str]) -> None:
        """Count values of a key in further rows, as JSON."""
        self._count()
        for text in texts:
            self._see(key, text)

    def _count(self) -> None:
        """Count key by key: the numbers of one are parsed together, in a tenth of the time."""
        rows, self._waiting = self._waiting, []
        for key, values in _columns(rows).items():
            numbers = _numbers(values)
            if numbers is None:
                for value in values:
                    self._see(key, value)
            else:
                rises = all(map(le, numbers, islice(numbers, 1, None)))
                self._facts.setdefault(key, _Key()).see_numbers(
                    len(numbers), numbers[0], numbers[-1], str(values[-1]), rises=rises
                )

    def over(self, before: str | None, last_step: int) -> str:
        """The document, as JSON text.

        Args:
            before: the one of the rows before those that were seen; None: there are none.
            last_step: the highest step of all.
        """
        self._count()
        held = parse_lenient(before)
        keys = held.get("keys") if isinstance(held, dict) else None
        told: dict[str, Any] = dict(keys) if isinstance(keys, dict) else {}
        for key, facts in self._facts.items():
            told[key] = facts.over(told.get(key))
        return dump_strict({"sets": [], "keys": told, "lastStep": last_step})

    def _see(self, key: str, value: str | Tree) -> None:
        if not isinstance(value, str):
            if isinstance(kind := value.get("_type"), str):
                self._facts.setdefault(key, _Key()).counts[str(parse_lenient(kind))] += 1
                return
            for inner, below in value.items():
                self._see(f"{key}.{inner}", below)
        elif value[0] == "{":
            self._see_map(key, parse_lenient(value))
        else:
            facts = self._facts.setdefault(key, _Key())
            kind = _KINDS.get(value[0])
            if kind is None:
                facts.see_number(value)
            else:
                facts.counts[kind] += 1

    def _see_map(self, key: str, value: Any) -> None:
        kind = value.get("_type") if isinstance(value, dict) else None
        if isinstance(kind, str):
            self._facts.setdefault(key, _Key()).counts[kind] += 1
        elif not value:
            self._facts.setdefault(key, _Key()).counts["map"] += 1
        elif isinstance(value, dict):
            for inner, below in value.items():
                self._see(f"{key}.{inner}", dump_strict(below))


class _Key:
    """What is known of one key."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()  # of what is no number
        self.numbers = 0
        self.rises = True
        self.first: float | None = None
        self.last = -inf
        self.spelled = "null"  # the last one

    def see_numbers(self, count: int, first: float, last: float, spelled: str, *, rises: bool) -> None:
        """Take some, one or more and none of them NaN; the last one as it is spelled."""
        self.numbers += count
        self.rises = self.rises and rises and first >= self.last
        self.last, self.spelled = last, spelled
        if self.first is None:
            self.first = first

    def see_number(self, text: str) -> None:
        self.numbers += 1
        try:
            number = float(text)
        except ValueError:
            return
        if number >= self.last:
            self.last, self.spelled = number, text
        elif number == number:  # NaN is no number here
            self.rises, self.last, self.spelled = False, number, text
        else:
            return
        if self.first is None:
            self.first = number

    def over(self, before: Any) -> dict[str, Any]:
        held = before if isinstance(before, dict) else {"typeCounts": [], "monotonic": True, "previousValue": NO_NUMBER}
        last = _number(held.get("previousValue"))
        counts = self.counts.copy()
        if self.numbers:
            counts["number"] = self.numbers
        others = []
        for counted in _dicts(held.get("typeCounts")):
            kind, count = counted.get("type"), counted.get("count")
            if isinstance(kind, str) and isinstance(count, int):
                counts[kind] += count
            else:
                others.append(counted)
        told: dict[str, Any] = {"typeCounts": [*others, *({"type": kind, "count": counts[kind]} for kind in counts)]}
        if held.get("monotonic") is True and self.rises and (self.first is None or self.first >= last):
            told["monotonic"] = True
        return told | {"previousValue": last if self.first is None else parse_lenient(self.spelled)}


def _columns(rows: Sequence[Tree]) -> Mapping[str, Sequence[str | Tree]]:
    """The values of each key, in order."""
    keys = list(rows[0]) if rows else []
    if len(keys) > 1 and all(len(row) == len(keys) for row in rows):
        with contextlib.suppress(KeyError):  # else rows have the same keys
            return dict(zip(keys, zip(*map(itemgetter(*keys), rows), strict=True), strict=True))
    columns: dict[str, list[str | Tree]] = {}
    for row in rows:
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    return columns


def _numbers(values: Sequence[str | Tree]) -> list[float] | None:
    """JSON texts as numbers; None where one of them is none."""
    try:
        numbers = decode(f"[{','.join(values)}]", list[float])  # type: ignore[arg-type] # a tree is no text
    except (TypeError, ValueError, RecursionError):
        return None
    return numbers if len(numbers) == len(values) else None


def _number(told: Any) -> int | float:
    """A number that may be infinite, which JSON has as a text."""
    if isinstance(told, int | float):
        return told
    return float(told) if told in ("Infinity", "-Infinity") else NO_NUMBER


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
