"""Whether SQLite's write-ahead log of a catalog is whole.

SQLite takes the first frame whose checksum is wrong for the end of the log: commits behind a flipped byte vanish
without a word. But each checksum goes on from that of the frame before, so that a frame behind the damage still proves
itself by the number that its predecessor bears. A wrong frame with a proven commit behind it is damage; without one it
may be the torn end that a power cut leaves, or what an abandoned transaction left, and is not spoken of.

The format is SQLite's (sqlite.org/fileformat2.html, section 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct(">8I")  # magic, version, page size, sequence, two salts, two checksums
_FRAME = struct.Struct(">6I")  # page, pages of the database after a commit or 0, two salts, two checksums
_MAGIC = 0x377F0682  # with little-endian checksums; one more: big-endian
_LARGEST_PAGE = 65536
_MASK = 0xFFFFFFFF

_Sums = tuple[int, int]


class _Frame(NamedTuple):
    begin: bytes  # the part of its header that is summed
    page: bytes
    commits: bool
    salts: tuple[int, int]
    sums: _Sums


def damage_of_log(log: Path) -> str | None:
    """What is wrong with a log; None when nothing is, or there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with log.open("rb") as file:
            return _damage(file)
    except FileNotFoundError:
        return None


def _damage(file: BinaryIO) -> str | None:
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    magic, _, page_size, _, salt1, salt2, *sums = _HEADER.unpack(head)
    order = ">" if magic & 1 else "<"
    if magic & ~1 != _MAGIC or _summed((0, 0), head[:24], order) != tuple(sums) or page_size > _LARGEST_PAGE:
        return "the beginning of the log is damaged: SQLite would not read any of it"
    before: _Sums = (sums[0], sums[1])
    wrong: int | None = None
    for number, frame in enumerate(_frames(file, page_size), start=1):
        if frame.salts != (salt1, salt2):
            if wrong is None:
                return None  # left from before the log was begun anew, or a damaged salt of the last frame
            before = frame.sums
            continue
        fits = _summed(_summed(before, frame.begin, order), frame.page, order) == frame.sums
        if not fits and wrong is None:
            wrong = number
        elif fits and wrong is not None and frame.commits:
            return f"page {wrong} of the log is damaged: SQLite would not see the commits behind it"
        before = frame.sums
    return None


def _frames(file: BinaryIO, page_size: int) -> Iterator[_Frame]:
    while len(head := file.read(_FRAME.size)) == _FRAME.size and len(page := file.read(page_size)) == page_size:
        _, pages, salt1, salt2, sum1, sum2 = _FRAME.unpack(head)
        yield _Frame(head[:8], page, pages != 0, (salt1, salt2), (sum1, sum2))


def _summed(sums: _Sums, content: bytes, order: str) -> _Sums:
    first, second = sums
    for even, odd in struct.iter_unpack(f"{order}2I", content):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
