"""Many records of a log at once: where the keys and the values of histories and summaries stand in their bytes.

W&B's SDK writes a record for each row of a history and two for its summary, each a list of items in an order that
differs from record to record (a Go map has none). So nothing is guessed of one record from another: the first items of
all records are found together, then the second ones, and what is inside of items is looked at for all of them together.

What is read here is a part of protobuf's wire format, the part that the SDK writes:

    record    [num] history or summary, and nothing behind it
    history   items, then the step
    summary   items
    item      keys, then a value that is not empty

A record that is anything else, or very long, is left to protobuf (`messages`), and so is one that is damaged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from mirror.offline.log.messages import Item
from mirror.offline.log.trees import path_of

Numbers = NDArray[np.int64]
Keys = NDArray[np.int64] | NDArray[np.uint16]
Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Path = tuple[str, ...]

_NUM, _HISTORY, _SUMMARY = 0x08, 0x12, 0x1A  # tags of fields of a record
_ITEM, _STEP, _STEP_NUM = 0x0A, 0x12, 0x08  # … of a history
_KEY, _NESTED_KEY, _VALUE = 0x0A, 0x12, (0x82, 0x01)  # … of an item
_LONGEST_NUM, _LONGEST_STEP = 5, 6  # bytes of a number of a record; of a history's step with its tag
_LONG = 2**21  # bytes of a record that is left to protobuf: what is made of each byte here is many
_MOST_ITEMS = 1_000  # of a record
_DEEPEST = 4  # keys of an item beyond the first
_LONGEST_KEYS = 128  # bytes of them, with tags and lengths, each of which is one byte then
_BEYOND = bytes(512)  # behind the records, so that no place that is looked at lies outside
_MOST_KEPT = 2**20
_SOME = 2_000  # items of which nearly always all keys are
_MIX, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)
_LOW_BYTES = np.array([2 ** (8 * count) - 1 for count in range(9)], np.uint64)


class Items(NamedTuple):
    """Items of some records, in the order of the log. Places are offsets in `content`."""

    content: bytes
    buffer: Bytes  # the same
    records: Numbers  # numbers of the records, rising
    ends: Numbers  # of each record: the place behind its last item
    counts: Numbers  # of each record: its items, one or more
    starts: Numbers  # of each item: where its keys begin
    tags: Numbers  # … where its keys end, and the tag of its value begins
    values: Numbers  # … where its value begins
    stops: Numbers  # … and ends
    keys: Keys  # … its keys, as a place in `paths`
    paths: tuple[Path, ...]  # () for what is no text

    def chosen(self, kept: Mask) -> Items:
        """Those of some records."""
        if kept.all():
            return self
        inside = np.repeat(kept, self.counts)
        return self._replace(
            records=self.records[kept], ends=self.ends[kept], counts=self.counts[kept],
            starts=self.starts[inside], tags=self.tags[inside], values=self.values[inside], stops=self.stops[inside],
            keys=self.keys[inside],
        )  # fmt: skip

    def of_record(self) -> Numbers:
        """Of each item, which of the records it is in, counted from 0."""
        return np.repeat(np.arange(len(self.records)), self.counts)

    def without(self, bad: Mask) -> Items:
        """The records none of whose items is bad."""
        return self.chosen(~self.any_of(bad)) if bad.any() else self

    def any_of(self, found: Mask) -> Mask:
        """Which records have an item of these."""
        return np.bincount(self.of_record()[found], minlength=len(self.records)) > 0

    def text(self, item: int) -> str:
        """The value of an item."""
        return self.content[self.values[item] : self.stops[item]].decode()


def items_of(contents: Sequence[bytes]) -> tuple[Items, Items]:
    """The items of histories, and those of summaries; records that are not in either are left to protobuf.

    Args:
        contents: bytes of records, in order; one or more.
    """
    short = [content if len(content) < _LONG else b"" for content in contents]
    content = b"".join((*short, _BEYOND))
    buffer = np.frombuffer(content, np.uint8)
    lengths = np.fromiter(map(len, short), np.int64, len(short))
    ends = np.cumsum(lengths)
    kinds, begins, is_whole = _headers(buffer, ends - lengths, ends)
    records = np.flatnonzero(is_whole)
    histories = kinds[records] == _HISTORY
    item_ends, counts, starts, stops = _found(buffer, begins[records], ends[records], histories)
    tags, values, fine = _inside(buffer, starts, stops)
    keys, paths = _named(content, starts, np.where(fine, tags, starts))
    items = Items(content, buffer, records, item_ends, counts, starts, tags, values, stops, keys, paths)
    if paths:
        fine &= np.array([bool(path) for path in paths])[keys]
    sound = (counts > 0) & ~items.any_of(~fine)
    return items.chosen(sound & histories), items.chosen(sound & ~histories)


def _headers(buffer: Bytes, starts: Numbers, ends: Numbers) -> tuple[Bytes, Numbers, Mask]:
    """The tags of what records are, where that begins, and whether it ends with the record."""
    places = starts.copy()
    more = buffer[places] == _NUM
    places += more
    for _ in range(_LONGEST_NUM):
        goes_on = buffer[places] >= 0x80
        places += more
        more &= goes_on
    kinds = buffer[places]
    lengths, begins, known = _lengths(buffer, places + 1)
    known &= ~more & (begins + lengths == ends) & ((kinds == _HISTORY) | (kinds == _SUMMARY))
    return kinds, begins, known


def _lengths(buffer: Bytes, places: Numbers) -> tuple[Numbers, Numbers, Mask]:
    """Lengths that stand at places, where each ends, and whether it is one of three bytes at most."""
    first = buffer[places].astype(np.int64)
    if not (first >= 0x80).any():
        return first, places + 1, np.ones(len(places), np.bool_)
    second, third = buffer[places + 1].astype(np.int64), buffer[places + 2].astype(np.int64)
    has_second = first >= 0x80
    has_third = has_second & (second >= 0x80)
    lengths = np.where(has_second, first & 0x7F | (second & 0x7F) << 7, first)
    lengths = np.where(has_third, lengths | third << 14, lengths)
    return lengths, places + 1 + has_second + has_third, ~(has_third & (third >= 0x80))


def _found(buffer: Bytes, begins: Numbers, ends: Numbers, histories: Mask) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Of each record where its items end and how many they are, 0 if it is left to protobuf; where each begins and
    ends, by record."""
    item_ends, counts = ends.copy(), np.zeros(len(begins), np.int64)
    bad = histories.copy()  # until their step is found
    live, places = np.arange(len(begins)), begins
    found: list[tuple[Numbers, Numbers, Numbers]] = []
    while len(live) and len(found) < _MOST_ITEMS:
        kinds, limits = buffer[places], ends[live]
        lengths, starts, known = _lengths(buffer, places + 1)
        stops = starts + lengths
        known &= stops <= limits
        is_item = known & (kinds == _ITEM)
        if not is_item.all():
            rest = np.flatnonzero(~is_item)
            others = live[rest]
            is_step = known[rest] & (kinds[rest] == _STEP) & (stops[rest] == limits[rest]) & histories[others]
            bad[others] = ~(is_step & _is_step(buffer, starts[rest], lengths[rest]))
            item_ends[others] = places[rest]
            live, starts, stops, limits = live[is_item], starts[is_item], stops[is_item], limits[is_item]
        found.append((live, starts, stops))
        counts[live] += 1
        goes_on = stops < limits
        live, places = live[goes_on], stops[goes_on]
    bad[live] = True
    firsts = np.cumsum(counts) - counts
    all_starts, all_stops = np.empty(counts.sum(), np.int64), np.empty(counts.sum(), np.int64)
    for number, (live, starts, stops) in enumerate(found):
        all_starts[firsts[live] + number], all_stops[firsts[live] + number] = starts, stops
    kept = np.repeat(~bad, counts)
    return item_ends, np.where(bad, 0, counts), all_starts[kept], all_stops[kept]


def _is_step(buffer: Bytes, starts: Numbers, lengths: Numbers) -> Mask:
    """Whether there are steps, with a number or without."""
    fine: Mask = (buffer[starts] == _STEP_NUM) & (lengths >= 2) & (lengths <= _LONGEST_STEP)
    for place in range(1, _LONGEST_STEP):
        fine &= (place >= lengths) | ((buffer[starts + place] >= 0x80) == (place < lengths - 1))
    fine |= lengths == 0
    return fine


def _inside(buffer: Bytes, starts: Numbers, stops: Numbers) -> tuple[Numbers, Numbers, Mask]:
    """Of items the tags and the beginnings of their values, and whether they are keys and a value."""
    fine = (buffer[starts] == _KEY) | (buffer[starts] == _NESTED_KEY)
    tags = starts + 2 + buffer[starts + 1]
    more = np.flatnonzero(fine & (buffer[tags] == _NESTED_KEY) & (tags < stops))
    for _ in range(_DEEPEST):
        tags[more] += 2 + buffer[tags[more] + 1].astype(np.int64)
        more = more[tags[more] < stops[more]]
        more = more[buffer[tags[more]] == _NESTED_KEY]
    fine &= np.less_equal(tags - starts, _LONGEST_KEYS)
    tags = np.where(fine, tags, starts)
    fine &= (buffer[tags] == _VALUE[0]) & (buffer[tags + 1] == _VALUE[1])
    lengths, values, known = _lengths(buffer, tags + 2)
    fine &= known & (lengths > 0) & (values + lengths == stops)
    return tags, values, fine


def _named(content: bytes, starts: Numbers, stops: Numbers) -> tuple[Keys, tuple[Path, ...]]:
    """Of items their keys, as places among the distinct ones: found by the bytes that they are spelled with."""
    if not len(starts):
        return np.zeros(0, np.int64), ()
    sizes = stops - starts
    words: NDArray[np.uint64] = np.ndarray((len(content) - 7,), "<u8", content, 0, (1,))  # at each place
    spelled = []
    for place in range(0, int(sizes.max()), 8):
        left = sizes - place
        word = words[starts + place]
        spelled.append(word if left.min() >= 8 else word & _LOW_BYTES[np.minimum(np.maximum(left, 0), 8)])
    mixed = sizes.astype(np.uint64)
    for word in spelled:
        mixed = (mixed ^ word) * _MIX
        mixed ^= mixed >> _SHIFT
    examples, keys = _distinct(mixed)
    same = (sizes == sizes[examples][keys]).all() and all((word == word[examples][keys]).all() for word in spelled)
    if not same:  # two spellings came to one number: nothing is known then
        return np.zeros(len(starts), np.int64), ((),)
    paths = [_path(content[starts[one] : stops[one]]) for one in examples]
    known = {path: place for place, path in enumerate(dict.fromkeys(paths))}
    places = np.array([known[path] for path in paths], np.int64)
    found: Keys = places.astype(np.uint16)[keys] if len(known) < 2**16 else places[keys]  # sorted much faster
    return found, tuple(known)


def _distinct(numbers: NDArray[np.uint64]) -> tuple[Numbers, Numbers]:
    """Where each of the distinct numbers is first, and of each number its place among them."""
    known, examples = np.unique(numbers[:_SOME], return_index=True)
    places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    if not (known[places] == numbers).all():
        _, examples, places = np.unique(numbers, return_index=True, return_inverse=True)
    return examples, places


@lru_cache(maxsize=100_000)
def _path(spelled: bytes) -> Path:
    try:
        return path_of(Item.FromString(spelled))
    except DecodeError:
        return ()


def plain_size(path: Path) -> int:
    """How long a key is with its tag and its length, if it stands in a record as in JSON; else no size."""
    key = path[0] if len(path) == 1 else ""
    return len(key) + 2 if key and key.isascii() and json.dumps(key) == f'"{key}"' else -1


def of_ascii(items: Items) -> Mask:
    """Which records have values of ASCII alone."""
    if joined(items.buffer, items.values, items.stops).isascii():
        return np.ones(len(items.records), np.bool_)
    before = np.concatenate((np.zeros(1, np.int32), np.cumsum(items.buffer >= 0x80, dtype=np.int32)))
    return ~items.any_of(np.greater(before[items.stops], before[items.values]))


def joined(buffer: Bytes, starts: Numbers, stops: Numbers) -> bytes:
    """What stands from each start to its stop, one behind the other."""
    sizes = stops - starts
    places = np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
    places += counted(len(places))
    return bytes(buffer[places].tobytes())


class _Counted:
    """The numbers from 0 on; they are kept, since new memory costs more than what is done with it."""

    def __init__(self) -> None:
        self._numbers: Numbers = np.arange(0)

    def __call__(self, count: int) -> Numbers:
        numbers = self._numbers
        if len(numbers) < count:
            numbers = np.arange(count)
            if count <= _MOST_KEPT:
                self._numbers = numbers
        return numbers[:count]


counted = _Counted()


def contradict(paths: Sequence[Path]) -> bool:
    """Whether one of some paths leads through another one, so that it matters which is set first."""
    return any(path == below[: len(path)] for path, below in pairwise(sorted(set(paths))))
