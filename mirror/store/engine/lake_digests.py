"""The digests of the lake's Parquet files, so that a flipped byte in any of them is found.

DuckDB writes pages without checksums, and the checksums that pyarrow writes cover neither headers nor the footer. So
each file is hashed when it is flushed, and its line is on the disk before the commit that names the file:

    digest (XXH3, 128 bits)  size in bytes  path below lake/data  CRC-32 of what is before it

The last tells damage of a line from damage of a file. A crash leaves lines of files that no snapshot names, or a torn
last line of such a file; neither is asked for. XXH3 finds what rots, at ten times the speed of SHA-256; it is no
protection against somebody who forges both.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import xxhash

from mirror.durable import append, write_replace
from mirror.layout import Home

_CHUNK = 1 << 20
_MOST_STALE = 1000  # lines of files that are gone, beside as many as there are files, before the list is written anew


class LakeDigest(msgspec.Struct, frozen=True, kw_only=True):
    """What a data file was when it was written."""

    digest: str  # hex
    size: int  # bytes


class LakeDigests(msgspec.Struct, frozen=True, kw_only=True):
    """The list."""

    files: dict[str, LakeDigest]  # by path below the data folder, with slashes
    damaged: int  # lines that are not what was written
    lines: int  # all


def read_digests(home: Home) -> LakeDigests:
    """Read the list; one that was never written is empty.

    Raises:
        OSError: it cannot be read.
    """
    try:
        content = home.lake_digests.read_bytes()
    except FileNotFoundError:
        content = b""
    files: dict[str, LakeDigest] = {}
    damaged = 0
    whole, _, torn = content.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    for line in lines:
        found = _parsed(line)
        if found is None:
            damaged += 1
        else:
            files[found[0]] = found[1]
    return LakeDigests(files=files, damaged=damaged + bool(torn), lines=len(lines))


def record_digests(home: Home, files: Iterable[Path]) -> None:
    """Add the digests of files that are flushed.

    Args:
        home: in whose data folder they are.
        files: each with all its bytes.

    Raises:
        OSError: a file cannot be read, or the disk failed; none of them may be named by a commit then.
    """
    lines = [_line(home, path) for path in files]
    if lines:
        append(home.lake_digests, b"".join(lines))


def complete_digests(home: Home, present: Iterable[str]) -> None:
    """Record the files that an older version wrote, as they are; forget those that are gone once they are many.

    Args:
        home: nobody else writes it.
        present: paths of all files of the data folder.

    Raises:
        OSError: a file cannot be read, or the disk failed; what was recorded is.
    """
    known = read_digests(home)
    by_path = {_below(home, Path(name)): Path(name) for name in present}
    record_digests(home, [path for name, path in by_path.items() if name not in known.files])
    if known.lines > 2 * len(by_path) + _MOST_STALE:
        kept = {name: found for name, found in read_digests(home).files.items() if name in by_path}
        write_replace(home.lake_digests, b"".join(_text(name, found) for name, found in kept.items()))


def hash_rot(path: Path, read: Callable[[int], None] = lambda _: None) -> LakeDigest:
    """The digest of a file; memory stays bounded.

    Args:
        path: the file.
        read: called with the number of bytes, as they are read.

    Raises:
        OSError: it cannot be read.
    """
    total = xxhash.xxh3_128()
    size = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
            size += len(chunk)
            read(len(chunk))
    return LakeDigest(digest=total.hexdigest(), size=size)


def _line(home: Home, path: Path) -> bytes:
    return _text(_below(home, path), hash_rot(path))


def _text(name: str, found: LakeDigest) -> bytes:
    said = f"{found.digest}  {found.size}  {name}".encode("utf-8", "surrogateescape")
    return said + f"  {zlib.crc32(said):08x}\n".encode()


def _parsed(line: bytes) -> tuple[str, LakeDigest] | None:
    said, _, check = line.rpartition(b"  ")
    if f"{zlib.crc32(said):08x}".encode() != check:
        return None
    digest, size, name = said.decode("utf-8", "surrogateescape").split("  ", 2)
    return name, LakeDigest(digest=digest, size=int(size))


def _below(home: Home, path: Path) -> str:
    return os.fspath(path.relative_to(home.lake_data)).replace(os.sep, "/")
