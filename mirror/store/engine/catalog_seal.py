"""The seal of a catalog: its digest between two commits, so that a byte that flips while nothing is written is found.

SQLite has no checksums in its database file, and its own check looks at the structure, not at the values.

    before a commit    the seal is compared; one that fits is removed, durably, before anything is written
    after it           a new one, unless a reader's log keeps the last commits out of the database file
    crash in between   no seal: nothing is claimed before the next commit

A new seal is not flushed, since that costs two more waits for the disk: a power cut may leave none, or an empty file,
and then nothing is claimed either. A seal that does not fit is kept, with the time when that was seen, until a person
put the catalog in order: else the next commit would seal the damage.

So whatever changes the catalog does so inside `unsealed`, as `Lake.transaction` does.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mirror.clock import utc_now
from mirror.durable import sync_folder, write_replace
from mirror.layout import Home
from mirror.store.engine.lake_digests import hash_rot
from mirror.typed import decode


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalog was after the last commit."""

    digest: str  # XXH3, 128 bits, hex
    size: int  # bytes
    check: str  # CRC-32 of the two, hex: tells damage of the seal from damage of the catalog
    broken_at: str | None = None  # when the writer found another catalog under it: ISO 8601, UTC

    @property
    def is_whole(self) -> bool:
        """Whether the seal itself is what was written."""
        return self.check == _check(self.digest, self.size)


_NONE = Seal(digest="", size=0, check="")


def log_of(catalog: Path) -> Path:
    """SQLite's write-ahead log of a catalog."""
    return catalog.with_name(f"{catalog.name}-wal")


def has_log(catalog: Path) -> bool:
    """Whether commits may lie in the log alone."""
    try:
        return log_of(catalog).stat().st_size > 0
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def unsealed(home: Home) -> Iterator[None]:
    """The writer changes the catalog.

    Raises:
        OSError: the disk failed; nothing was changed.
    """
    break_seal(home)
    try:
        yield
    finally:
        seal(home)


def seal(home: Home) -> None:
    """Seal the catalog as it is. Where there is none, and on a failing disk, nothing is claimed."""
    with contextlib.suppress(OSError):
        if has_log(home.catalog) or home.catalog_seal.exists():
            return
        found = hash_rot(home.catalog)
        if found.size:
            made = Seal(digest=found.digest, size=found.size, check=_check(found.digest, found.size))
            home.catalog_seal.write_bytes(msgspec.json.encode(made))  # not flushed: see above


def break_seal(home: Home) -> None:
    """Compare and remove the seal, before the catalog is changed.

    Raises:
        OSError: the disk failed; nothing may be written.
    """
    found = read_seal(home)
    if found is None:
        return
    if found.is_whole and found.broken_at is not None:
        return
    if found.is_whole and not fits(found, home.catalog):
        now = utc_now().isoformat(timespec="seconds")
        write_replace(home.catalog_seal, msgspec.json.encode(msgspec.structs.replace(found, broken_at=now)))
    else:
        home.catalog_seal.unlink()
        sync_folder(home.lake)


def fits(found: Seal, catalog: Path) -> bool:
    """Whether a catalog is the one that was sealed; so is one that nothing can be said of, since it has a log.

    Raises:
        OSError: it cannot be read.
    """
    if has_log(catalog):
        return True
    now = hash_rot(catalog)
    return (now.digest, now.size) == (found.digest, found.size)


def read_seal(home: Home) -> Seal | None:
    """The seal, perhaps damaged itself; None when nothing is claimed of the catalog.

    Raises:
        OSError: it cannot be read.
    """
    try:
        content = home.catalog_seal.read_bytes()
    except FileNotFoundError:
        return None
    if not content.strip(b"\0"):  # a power cut came before its bytes were on the disk
        return None
    try:
        found = decode(content, Seal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NONE
    return found if msgspec.json.encode(found) == content else _NONE


def _check(digest: str, size: int) -> str:
    return f"{zlib.crc32(f'{digest} {size}'.encode()):08x}"
