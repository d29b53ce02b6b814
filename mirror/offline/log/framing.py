"""The frames of a `.wandb` file: a header of W&B's, then LevelDB's log format with CRC-32 of zlib's kind.

The file is divided into blocks of 32 KiB. A block holds chunks, each with a header of seven bytes: a checksum over the
chunk's type and its bytes, their length, and the type, which says whether the chunk is a whole record, or the first, a
middle or the last part of one. Fewer than seven bytes at the end of a block are zero.

A file that is still written ends anywhere. What ends in the middle of a record is left for the next time, unless the
file is known to be whole. A damaged chunk costs its record: the reader goes on with the next chunk if that one is
sound, else with the next sound one of the block, else with the next block.

Source: core/pkg/leveldb/record.go and core/internal/transactionlog of W&B's SDK.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from mirror.errors import MirrorError

BLOCK = 32 * 1024
HEADER = b":W&B\xe1\xbe\x00"  # identity, magic number 0xBEE1, version 0
MOST = 512 * 1024 * 1024  # bytes of one record; W&B's own limit for a message is 2 GiB
RECORDS_TOGETHER = 4_096  # that are taken together by whoever reads a log, and …
BYTES_TOGETHER = 1024 * 1024  # … their bytes, about
_CHUNK = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_KINDS = re.compile(b"[\1-\4]")
_CHECKS = [zlib.crc32(bytes((kind,))) for kind in range(256)]  # of the byte that every checksum begins with
_AT_ONCE = 32 * BLOCK  # bytes that are read at once


class NoLog(MirrorError):
    """The file does not begin as W&B's logs do."""


class Frame(msgspec.Struct, frozen=True):
    """A whole record."""

    end: int  # offset behind it, where reading may begin again
    content: bytes


class Damage(msgspec.Struct, frozen=True):
    """Bytes that are no records: what was in them is lost. What one cause damaged may come in several, end to start."""

    end: int  # offset behind them
    start: int
    reason: str


class _Chunk(msgspec.Struct, frozen=True):
    start: int
    end: int
    kind: int
    content: bytes


class _Whole(msgspec.Struct, frozen=True):
    """Chunks that are records, one behind the other."""

    start: int
    frames: list[Frame]


def framed(contents: Iterable[bytes], at: int) -> Iterator[bytes]:
    """Records as they stand in a log; a piece each.

    Args:
        contents: of the records, in order.
        at: how long the log is so far; 0 writes the header of a new one before the first record.
    """
    if at == 0:
        yield HEADER
        at = len(HEADER)
    for content in contents:
        pieces: list[bytes | memoryview] = []
        rest, kind_before = memoryview(content), 0
        while rest or not kind_before:
            room = BLOCK - at % BLOCK
            if room < _CHUNK.size:
                pieces.append(bytes(room))
                at, room = at + room, BLOCK
            part, rest = rest[: room - _CHUNK.size], rest[room - _CHUNK.size :]
            kind = (_MIDDLE if rest else _LAST) if kind_before else (_FIRST if rest else _FULL)
            check = zlib.crc32(part, zlib.crc32(bytes((kind,))))
            pieces += (_CHUNK.pack(check, len(part), kind), part)
            at, kind_before = at + _CHUNK.size + len(part), kind
        yield b"".join(pieces)


def read_frames(file: BinaryIO, start: int = 0, *, is_whole: bool) -> Iterator[Frame | Damage]:
    """The records of a log, in order, from an offset on.

    Args:
        file: opened for reading, seekable.
        start: 0, or the `end` of what was read before.
        is_whole: whether nobody writes the file any more: then what ends in the middle of a record is damage.

    Raises:
        NoLog: the file begins as something else.
        OSError: it cannot be read.
    """
    if start == 0:
        file.seek(0)
        head = file.read(len(HEADER))
        if head != HEADER[: len(head)] or (is_whole and len(head) < len(HEADER)):
            raise NoLog("it does not begin as a log of W&B's does", hint="name the folder or the .wandb file of a run")
        if len(head) < len(HEADER):
            return
        start = len(HEADER)
    parts: list[bytes] = []
    begun = start  # of the record that is collected
    for chunk in _chunks(file, start, is_whole=is_whole):
        if isinstance(chunk, Damage):
            yield Damage(chunk.end, begun, chunk.reason)
            parts, begun = [], chunk.end
            continue
        if parts and (isinstance(chunk, _Whole) or chunk.kind == _FIRST):
            yield Damage(chunk.start, begun, "the end of a record is missing")
            parts, begun = [], chunk.start
        if isinstance(chunk, _Whole):
            yield from chunk.frames
            begun = chunk.frames[-1].end
            continue
        if not parts and chunk.kind in (_MIDDLE, _LAST):
            yield Damage(chunk.end, begun, "the beginning of a record is missing")
            begun = chunk.end
            continue
        parts.append(chunk.content)
        if chunk.kind == _LAST:
            yield Frame(chunk.end, b"".join(parts))
            parts, begun = [], chunk.end
        elif chunk.end - begun > MOST:
            yield Damage(chunk.end, begun, f"a record is larger than {MOST} bytes")
            parts, begun = [], chunk.end
    if parts and is_whole:
        yield Damage(file.seek(0, 2), begun, "the last record was cut")


def _chunks(file: BinaryIO, start: int, *, is_whole: bool) -> Iterator[_Whole | _Chunk | Damage]:
    """The chunks from an offset on; ends at what is not whole yet."""
    base = start - start % BLOCK
    file.seek(base)
    at = start
    while window := file.read(_AT_ONCE):
        is_last = len(window) < _AT_ONCE
        end = base + len(window)
        while at < end:
            block_end = at - at % BLOCK + BLOCK
            if block_end - at < _CHUNK.size:
                at = block_end
                continue
            if frames := _frames(window, base, at, min(block_end, end)):
                yield _Whole(at, frames)
                at = frames[-1].end
                continue
            found = _chunk(window, base, at, min(block_end, end))
            if isinstance(found, _Chunk):
                at = found.end
                yield found
                continue
            if is_last and not is_whole and block_end >= end:
                return  # in the block that is being written: look again when there is more
            if found == _EMPTY and block_end <= end:
                at = block_end  # zeros of a file that was made larger before it was written
                continue
            resumed = _behind(window, base, at, min(block_end, end))
            yield Damage(resumed, at, found)
            at = resumed
        base = end
        if is_last:
            return


_EMPTY = "a block is empty"


def _frames(window: bytes, base: int, at: int, limit: int) -> list[Frame]:
    """The sound chunks from an offset on that are records, up to something else; `limit` as for `_chunk`."""
    frames: list[Frame] = []
    place, limit = at - base, limit - base
    unpack, size, seed, crc32 = _CHUNK.unpack_from, _CHUNK.size, _CHECKS[_FULL], zlib.crc32
    while (begin := place + size) <= limit:
        check, length, kind = unpack(window, place)
        place = begin + length
        if kind != _FULL or place > limit:
            break
        content = window[begin:place]
        if crc32(content, seed) != check:
            break
        frames.append(Frame(base + place, content))
    return frames


def _chunk(window: bytes, base: int, at: int, limit: int) -> _Chunk | str:
    """The chunk at an offset, or why there is none; `limit` is where its block, or the file, ends."""
    place = at - base
    if at + _CHUNK.size > limit:
        return "it was cut"
    check, length, kind = _CHUNK.unpack_from(window, place)
    if check == length == kind == 0:
        return _EMPTY
    end = at + _CHUNK.size + length
    if end > limit:
        return "a length is damaged, or the record was cut"
    content = window[place + _CHUNK.size : place + _CHUNK.size + length]
    if zlib.crc32(content, _CHECKS[kind]) != check:
        return "a checksum does not fit"
    if not _FULL <= kind <= _LAST:
        return "a record has an unknown type"
    return _Chunk(at, end, kind, content)


def _behind(window: bytes, base: int, at: int, limit: int) -> int:
    """Where to go on behind damage: behind the chunk, if it is sound but for a bit of its length; with the chunk that
    its length leads to, if that is sound; else, since the length may be what is damaged, with the next place of the
    block where a sound one begins; else with the next block.
    """
    if at + _CHUNK.size > limit:
        return limit
    if (end := _end_by_checksum(window, base, at, limit)) is not None:
        return end
    place = at - base
    following = at + _CHUNK.size + int.from_bytes(window[place + 4 : place + 6], "little")
    if following <= limit < following + _CHUNK.size and not any(window[following - base : limit - base]):
        return limit
    if following < limit and isinstance(_chunk(window, base, following, limit), _Chunk):
        return following
    for kind in _KINDS.finditer(window, place + _CHUNK.size, limit - base):
        begin = base + kind.start() - _CHUNK.size + 1
        if begin > at and isinstance(_chunk(window, base, begin, limit), _Chunk):
            return begin
    return limit


def _end_by_checksum(window: bytes, base: int, at: int, limit: int) -> int | None:
    """Where a chunk ends of whose length one bit was flipped; such a length may lead to another sound chunk."""
    place = at - base
    check, length, kind = _CHUNK.unpack_from(window, place)
    for bit in range(16):
        end: int = place + _CHUNK.size + (length ^ 1 << bit)
        if end + base <= limit and zlib.crc32(window[place + _CHUNK.size : end], _CHECKS[kind]) == check:
            return base + end
    return None
