"""In what runs differ: pure functions of their fields and documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

DEEPEST = 8  # levels of a document that are compared key by key; what lies deeper is compared whole
_OWN = ("_wandb", "_timestamp")  # of a summary: they differ between any two runs


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A value, and what it is in each run."""

    part: str  # "run", "config", "summary", "metadata"
    key: str  # dotted where it is nested
    values: tuple[Any, ...]  # in the order of the runs; UNSET where a run lacks it

    @property
    def is_one(self) -> bool:
        """Whether all runs have the same value."""
        return all(_same(self.values[0], value) for value in self.values[1:])


def compared(part: str, documents: Sequence[Mapping[str, Any] | None]) -> list[Difference]:
    """All values of a part of some runs, by key, in the order in which the runs name them.

    Args:
        part: its name.
        documents: one of each run; None where a run has none.
    """
    flat = [dict(_flat(document or {}, "", 0)) for document in documents]
    keys = dict.fromkeys(key for one in flat for key in one if part != "summary" or key.split(".")[0] not in _OWN)
    return [Difference(part=part, key=key, values=tuple(one.get(key, UNSET) for one in flat)) for key in keys]


def _flat(document: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping) and value and depth < DEEPEST:
            yield from _flat(value, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}", value


def _same(one: Any, other: Any) -> bool:
    """Equal as people read it: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
