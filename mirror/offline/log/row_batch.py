"""Rows of a history that are read together: their steps, their texts, and their values key by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirror.offline.log.history_keys import HistoryKeys
from mirror.offline.log.items import Items, Mask, Numbers, joined, of_ascii, plain_size
from mirror.records.contents import KeyColumn, TailColumns
from mirror.texts.steps import STEP
from mirror.typed import decode

_COMMA, _QUOTE, _COLON, _OPENS, _CLOSES, _MINUS, _ZERO, _NINE = b',":{}-09'
_LONGEST_STEP = 15  # digits
_EXACT = 2.0**53  # below, a double holds every integer


class Column(NamedTuple):
    """The values of a key, in the order of the rows that have it."""

    key: str
    rows: Numbers  # of the batch, counted from 0
    numbers: NDArray[np.float64] | None  # None: some are no plain numbers
    texts: Sequence[str]  # as JSON; where there are `numbers`, the last one alone

    def counted(self, keys: HistoryKeys) -> None:
        """Count them among the keys of a history."""
        numbers = self.numbers
        if numbers is None:
            keys.see_texts(self.key, self.texts)
        else:
            rises = bool((numbers[1:] >= numbers[:-1]).all())
            first, last = float(numbers[0]), float(numbers[-1])
            keys.see_numbers(self.key, len(numbers), first, last, self.texts[-1], rises=rises)


class RowBatch(NamedTuple):
    """Rows of a history, in the order of the log."""

    items: Items
    steps: Numbers  # of each row
    text: str  # the rows as JSON, one behind the other: keys and values spelled as in the log, in its order
    starts: Numbers  # of each row, where it begins there
    ends: Numbers  # … and ends

    @property
    def records(self) -> Numbers:
        """Numbers of the records, rising."""
        return self.items.records

    def chosen(self, kept: Mask) -> RowBatch:
        """Some of the rows."""
        return RowBatch(self.items.chosen(kept), self.steps[kept], self.text, self.starts[kept], self.ends[kept])

    def chosen_by(self, kept: Sequence[bool]) -> RowBatch:
        """Some of the rows."""
        return self.chosen(np.array(kept, np.bool_))

    def texts(self) -> list[str]:
        """Of each row its JSON."""
        text = self.text
        return [text[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True)]

    def columns(self) -> Iterator[Column]:
        """The values by key, those of `_step` as well, in the order in which keys come first."""
        items, of_row = self.items, self.items.of_record()
        numbers, is_number = self._numbers()
        order = np.argsort(items.keys, kind="stable")
        counts = np.bincount(items.keys, minlength=len(items.paths))
        ends = np.cumsum(counts)
        there = np.flatnonzero(counts)
        firsts = order[ends[there] - counts[there]]
        for key in there[np.argsort(firsts)].tolist():
            chosen = order[ends[key] - counts[key] : ends[key]]
            is_plain = bool(is_number[key])
            told = chosen[-1:] if is_plain else chosen
            yield Column(
                key=items.paths[key][0],
                rows=of_row[chosen],
                numbers=numbers[chosen] if is_plain else None,
                texts=[items.text(item) for item in told.tolist()],
            )

    def as_tail(self, columns: Sequence[Column], *, first: int) -> TailColumns:
        """The rows as the lake takes them.

        Args:
            columns: the values by key.
            first: the number of the first row among those of a tail.
        """
        return TailColumns(
            first=first,
            steps=self.steps.tobytes(),
            columns=tuple(_key_column(column, len(self.records)) for column in columns if column.key != STEP),
        )

    def _numbers(self) -> tuple[NDArray[np.float64], Mask]:
        """Of each item the number that it is, and of which keys all values are numbers."""
        items = self.items
        heads = items.buffer[items.values]
        may_be = (heads == _MINUS) | (heads >= _ZERO) & (heads <= _NINE)
        is_number = np.ones(len(items.paths), np.bool_)
        is_number[items.keys[~may_be]] = False
        chosen = is_number[items.keys]
        buffer = items.buffer.copy()
        buffer[items.stops] = _COMMA
        text = joined(buffer, items.values[chosen], items.stops[chosen] + 1)
        found = np.zeros(len(items.keys))
        try:
            numbers = decode(b"[" + text[:-1] + b"]", list[float])
        except ValueError:
            numbers = []
        if len(numbers) != int(chosen.sum()):
            return found, np.zeros_like(is_number)
        found[chosen] = np.fromiter(numbers, np.float64, len(numbers))
        inexact = chosen & ((np.abs(found) >= _EXACT) | (found == 0) & np.signbit(found))
        is_number[items.keys[inexact]] = False
        return found, is_number


def sound_rows(items: Items) -> RowBatch:
    """The rows that can be read together: each key once, spelled in the log as in JSON, and a whole step among them."""
    sizes = np.array([plain_size(path) for path in items.paths], np.int64)
    items = items.without(items.tags - items.starts != sizes[items.keys])
    order = np.argsort(items.keys, kind="stable")
    keys, rows = items.keys[order], items.of_record()[order]
    again = np.zeros(len(order), np.bool_)
    again[order[1:]] = (keys[1:] == keys[:-1]) & (rows[1:] == rows[:-1])
    items = items.without(again)
    steps, known = _steps(items)
    items, steps = items.chosen(known), steps[known]
    text, sizes = _text(items)
    if not text.isascii():
        known = of_ascii(items)
        items, steps = items.chosen(known), steps[known]
        text, sizes = _text(items)
    ends = np.cumsum(sizes)
    return RowBatch(items, steps, text.decode("ascii"), ends - sizes, ends)


def _text(items: Items) -> tuple[bytes, Numbers]:
    """Rows as JSON, one behind the other, and the size of each."""
    if not len(items.records):
        return b"", np.zeros(0, np.int64)
    buffer = items.buffer.copy()
    firsts = np.cumsum(items.counts) - items.counts
    buffer[items.starts], buffer[items.starts + 1] = _COMMA, _QUOTE  # the tag and the length of a key …
    buffer[items.tags], buffer[items.tags + 1] = _QUOTE, _COLON  # … and the tag of a value make room
    buffer[items.starts[firsts]], buffer[items.ends] = _OPENS, _CLOSES
    stops = items.stops.copy()
    stops[firsts + items.counts - 1] += 1  # with the brace
    starts = np.stack((items.starts, items.values), 1).ravel()
    text = joined(buffer, starts, np.stack((items.tags + 2, stops), 1).ravel())
    return text, np.add.reduceat(items.tags + 2 - items.starts + stops - items.values, firsts)


def _steps(items: Items) -> tuple[Numbers, Mask]:
    """The steps of rows, and of which rows they are known: whole numbers, spelled as JSON does."""
    steps, known = np.zeros(len(items.records), np.int64), np.zeros(len(items.records), np.bool_)
    if (STEP,) not in items.paths:
        return steps, known
    chosen = np.flatnonzero(items.keys == items.paths.index((STEP,)))
    places, sizes = items.values[chosen], items.stops[chosen] - items.values[chosen]
    found = np.zeros(len(chosen), np.int64)
    fine = (sizes <= _LONGEST_STEP) & ((sizes == 1) | (items.buffer[places] != _ZERO))
    for number in range(_LONGEST_STEP):
        inside = number < sizes
        digits = items.buffer[places + number] - np.uint8(_ZERO)  # what is below wraps around
        fine &= ~inside | (digits <= 9)
        found = np.where(inside, found * 10 + digits, found)
    rows = items.of_record()[chosen]
    steps[rows], known[rows] = found, fine
    return steps, known


def _key_column(column: Column, rows: int) -> KeyColumn:
    numbers = column.numbers
    if numbers is None:
        texts: list[str | None] = [None] * rows
        for row, text in zip(column.rows.tolist(), column.texts, strict=True):
            texts[row] = text
        return KeyColumn(key=column.key, texts=tuple(texts))
    if len(numbers) == rows:
        return KeyColumn(key=column.key, numbers=numbers.tobytes())
    every, there = np.zeros(rows), np.zeros(rows, np.bool_)
    every[column.rows], there[column.rows] = numbers, True
    return KeyColumn(key=column.key, numbers=every.tobytes(), there=np.packbits(there, bitorder="little").tobytes())
