"""Records of a log so that what comes to the same in any order is taken together: rows, and values of the summary."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mirror.offline.log.items import Items, Path, contradict, items_of, of_ascii
from mirror.offline.log.messages import parse_record
from mirror.offline.log.row_batch import RowBatch, sound_rows

Some = TypeVar("Some", Items, RowBatch)
FEW = 32  # records of a kind that are not worth to be taken together
_AMONG_ROWS = {"history", "run", "alert"}  # kinds of records whose place among the rows matters
_AMONG_VALUES = {"summary", "run"}


class Values(NamedTuple):
    """What records of a summary come to: for each path, in the order in which they come first, the last JSON text."""

    last: tuple[tuple[Path, str], ...]


class _Other(NamedTuple):
    """A record that is taken by itself."""

    number: int
    kind: str | None
    record: Any  # a `Record`; None: it cannot be read


def in_turn(contents: Sequence[bytes]) -> Iterator[RowBatch | Values | Any]:
    """What records come to, in an order that comes to the same as theirs: `RowBatch`, `Values`, or a `Record`; None for
    one that cannot be read.

    Args:
        contents: bytes of records, in order; one or more. None of them is the first row of its log.
    """
    histories, summaries = items_of(contents)
    rows, values = _many(sound_rows(histories)), _many(summaries.chosen(of_ascii(summaries)))
    if contradict([values.paths[key] for key in np.flatnonzero(np.bincount(values.keys)).tolist()]):
        values = _none_of(values)
    others = _others(contents, rows, values)
    rows, values = _in_long_parts(rows, others, _AMONG_ROWS), _in_long_parts(values, others, _AMONG_VALUES)
    if len(rows.records) + len(values.records) + len(others) < len(contents):
        others = _others(contents, rows, values)
    for other in others:
        if other.kind in _AMONG_ROWS and _begin_before(rows, other.number):
            before, rows = _split(rows, other.number)
            yield before
        if other.kind in _AMONG_VALUES and _begin_before(values, other.number):
            earlier, values = _split(values, other.number)
            yield from _last_values(earlier)
        yield other.record
    if len(rows.records):
        yield rows
    yield from _last_values(values)


def _others(contents: Sequence[bytes], *taken: Items | RowBatch) -> list[_Other]:
    is_other = np.ones(len(contents), np.bool_)
    for items in taken:
        is_other[items.records] = False
    return [_other(number, contents[number]) for number in np.flatnonzero(is_other).tolist()]


def _other(number: int, content: bytes) -> _Other:
    try:
        record = parse_record(content)
    except ValueError:
        return _Other(number, None, None)
    return _Other(number, record.WhichOneof("kind"), record)


def _in_long_parts(items: Some, others: Sequence[_Other], among: Collection[str]) -> Some:
    """The records, if those that have a place among them leave enough of them together."""
    places = np.searchsorted(items.records, [other.number for other in others if other.kind in among])
    return items if len(np.unique(places)) * FEW <= len(items.records) else _none_of(items)


def _many(items: Some) -> Some:
    return items if len(items.records) >= FEW else _none_of(items)


def _none_of(items: Some) -> Some:
    return items.chosen(np.zeros(len(items.records), np.bool_))


def _begin_before(items: Items | RowBatch, number: int) -> bool:
    return len(items.records) > 0 and bool(items.records[0] < number)


def _split(items: Some, number: int) -> tuple[Some, Some]:
    """The records before one, and the others."""
    before = items.records < number
    return items.chosen(before), items.chosen(~before)


def _last_values(items: Items) -> Iterator[Values]:
    if len(items.records):
        firsts, lasts = np.full(len(items.paths), -1), np.zeros(len(items.paths), np.int64)
        numbers = np.arange(len(items.keys))
        firsts[items.keys[::-1]], lasts[items.keys] = numbers[::-1], numbers  # the last one stays
        there = np.flatnonzero(firsts >= 0)
        chosen = there[np.argsort(firsts[there])].tolist()
        yield Values(tuple((items.paths[key], items.text(int(lasts[key]))) for key in chosen))
