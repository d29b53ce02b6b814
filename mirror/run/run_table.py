"""Runs as rows: their facts, and each key of config and summary as a column `config.lr`, `summary.loss`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mirror.errors import CommError
from mirror.run.facts import RunFacts
from mirror.run.frames import Framed
from mirror.texts.nonfinite import NUMBERS

# Columns that every run has, and the server's fields that they show.
FACTS = {
    "entity": "entity", "project": "project", "run_id": "id", "display_name": "name", "state": "state", "tags": "tags",
    "group": "group", "job_type": "jobType", "sweep": "sweepName", "user": "user", "created_at": "createdAt",
    "heartbeat_at": "heartbeatAt", "notes": "notes",
}  # fmt: skip
MOST_CELLS = 20_000_000
_DEEPEST = 16  # levels that are flattened; what lies below stays a dictionary


Place = tuple[str, ...]  # a fact, or `config` or `summary` and the keys that lead to a value


class RunTable(Framed):
    """A row a run, a column a fact or a key.

    `config.a.b` is the key `a.b`, or else `b` of the dictionary `a`, as filters and SQL have it. Where a run has both,
    the other one is a column of its own, in Python's words: `config["a"]["b"]`.

    Args:
        runs: in order.
        columns: which columns, in order; None: all facts, then each key of config and summary that any run has.

    Raises:
        CommError: it would have more than `MOST_CELLS`.
    """

    def __init__(self, runs: Iterable[RunFacts], columns: Sequence[str] | None = None) -> None:
        self._rows: list[dict[Place, Any]] = []
        wanted = None if columns is None else frozenset(columns)
        seen: dict[Place, tuple[Place, str] | None] = {}  # with its name; None: not wanted
        known: set[Place] = set()
        apart: set[Place] = set()  # whose value another one hides in a row
        for run in runs:
            row: dict[Place, Any] = {}
            by_name: dict[str, Place] = {}
            for found, value in _row(run):
                if found not in seen:
                    names = (_dotted(found), _in_words(found))
                    seen[found] = (found, names[0]) if wanted is None or not wanted.isdisjoint(names) else None
                if (named := seen[found]) is None:
                    continue
                place, name = named
                row[place] = value
                if (other := by_name.setdefault(name, place)) is not place:
                    by_name[name], hidden = sorted((other, place), key=_by_rank)
                    apart.add(hidden)
            self._rows.append(row)
            known.update(row)
            if len(self._rows) * len(known) > MOST_CELLS:
                raise CommError(
                    f"a table of these runs has more than {MOST_CELLS:,} cells",
                    hint='name the columns that you need: columns=["run_id", "config.lr"]',
                )
        self._places: dict[str, list[Place]] = {}  # of each column, the one that counts first
        for place in sorted(known, key=_by_rank):
            self._places.setdefault(_dotted(place), []).append(place)
            if place in apart or (wanted is not None and _in_words(place) in wanted):
                self._places[_in_words(place)] = [place]
        rest = sorted(name for name in self._places if name not in FACTS)
        self.names = list(dict.fromkeys(columns)) if columns is not None else [*FACTS, *rest]

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self._rows)

    def rows(self, names: Sequence[str]) -> list[list[Any]]:
        """The values of some columns, a list for each run; None where it has none."""
        return [[self._value(row, name) for name in names] for row in self._rows]

    def _columns(self) -> Mapping[str, Sequence[Any]]:
        return {name: _numbers([self._value(row, name) for row in self._rows]) for name in self.names}

    def _value(self, row: Mapping[Place, Any], name: str) -> Any:
        return next((row[place] for place in self._places.get(name, ()) if place in row), None)


def places_of(prefix: Place, document: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    """The values of a document, those of dictionaries by the keys that lead there. What has a `_type` is W&B's, and
    stays whole.
    """
    for key, value in document.items():
        if isinstance(value, dict) and value and "_type" not in value and len(prefix) <= _DEEPEST:
            yield from places_of((*prefix, key), value)
        else:
            yield (*prefix, key), value


def _dotted(place: Place) -> str:
    return ".".join(place)


def _in_words(place: Place) -> str:
    return place[0] + "".join(f"[{json.dumps(key, ensure_ascii=False)}]" for key in place[1:])


def _by_rank(place: Place) -> tuple[int, ...]:
    """Of places of one name a key that is spelled with its dots comes first."""
    return tuple(-len(key) for key in place)


def _row(run: RunFacts) -> Iterator[tuple[Place, Any]]:
    for name, field in FACTS.items():
        if name == "user":
            yield (name,), run.user.username if run.user is not None else None
        else:
            yield (name,), getattr(run, field) if field in _MEMBERS else run._attrs.get(field)
    yield from places_of(("config",), run._known_document("config") or {})
    summary = {key: value for key, value in run._known_summary().items() if key != "_wandb"}
    yield from places_of(("summary",), summary)


_MEMBERS = frozenset({"entity", "project", "id", "name", "state"})


def _numbers(values: list[Any]) -> list[Any]:
    """W&B's words for what is not finite as floats, where all else in the column is numbers."""
    spoken = [value for value in values if isinstance(value, str)]
    if not spoken or not NUMBERS.keys() >= set(spoken):
        return values
    rest = [value for value in values if value is not None and not isinstance(value, str)]
    if not rest or any(isinstance(value, bool) or not isinstance(value, int | float) for value in rest):
        return values
    return [NUMBERS[value] if isinstance(value, str) else value for value in values]
