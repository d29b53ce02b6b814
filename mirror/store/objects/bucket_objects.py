"""Objects of a shared lake: they lie in the bucket, and a machine keeps those that it read or wrote lately.

What is in the cache is in the bucket, so that any of it may go at any time; the folder of the objects holds what this
machine alone has: bytes of uploads that wait in its outbox. A file from the bucket is hashed before it gets its name.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from mirror.cluster.bucket import Bucket, Stored
from mirror.cluster.outbox_rows import keep_from_handing_over
from mirror.cluster.postgres import connected
from mirror.cluster.schema import HOLD
from mirror.durable import TMP_PREFIX, file_names
from mirror.errors import LeaseLost, StoreError
from mirror.layout import Home
from mirror.store_settings import StoreSettings

_WORKERS = 16
_MOST_KNOWN = 100_000  # digests in memory
IN_USE_S = 600.0  # for so long what was asked for stays, beyond the bound, too: whoever asked opens it by its name
_AT_ONCE = 20  # objects that are removed under one lock


class BucketObjects:
    """The objects in the bucket of a shared lake, and this home's cache of them. For any thread.

    Args:
        home: whose cache.
        place: where the lake stands.
    """

    def __init__(self, home: Home, place: StoreSettings) -> None:
        self._home, self._place = home, place
        self._most = place.cache_mb * 1_000_000
        self.bucket = Bucket(place.objects_address, place)
        self._trimming = threading.Lock()
        self._written: float | None = None  # bytes since the cache was measured; None: never
        self._known: set[str] = set()  # digests that this process saw in the bucket

    def cached(self, digest: str) -> Path | None:
        """Where the bytes lie in the cache; None where they do not."""
        path = self._path(digest)
        try:
            if time.time() - path.stat().st_mtime > IN_USE_S / 2:
                os.utime(path)
        except OSError:
            return None
        return path

    def has(self, digest: str) -> bool:
        """Whether the bytes are in the bucket.

        Raises:
            LakeAway, StoreError: it cannot be asked.
        """
        if digest in self._known or self.cached(digest) is not None:
            return True
        is_there = self.bucket.look(_name(digest)) is not None
        if is_there:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known.add(digest)
        return is_there

    def fetch(self, digest: str) -> Path | None:
        """Bring an object into the cache; None where the bucket has none.

        Raises:
            LakeAway, StoreError: it cannot be read, or its bytes are others.
            OSError: the disk is full or failed.
        """
        temporary = self._temporary()
        try:
            with temporary.open("xb") as file:
                hashed = _Hashed(file)
                if not self.bucket.get_into(_name(digest), hashed):
                    return None
            if hashed.digest != digest:
                raise StoreError(
                    f"object {digest} in {self.bucket.address} has other bytes",
                    hint="`wandb-mirror verify` lists all; restore the bucket from a backup, or pull with --reconcile",
                )
            return self._keep(temporary, digest)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def store(self, files: Sequence[tuple[str, Path]]) -> None:
        """Put objects into the bucket; their files go into the cache.

        Args:
            files: digests, each with the whole file that it is the SHA-256 of.

        Raises:
            LakeAway, StoreError: some may be in the bucket; none may be named by a commit then.
        """

        def one(item: tuple[str, Path]) -> None:
            digest, path = item
            self.put(digest, path)
            self._keep(path, digest, asked_s=IN_USE_S)  # nobody asked for it yet

        if len(files) == 1:
            one(files[0])
        elif files:
            with ThreadPoolExecutor(min(_WORKERS, len(files)), thread_name_prefix="bucket") as pool:
                list(pool.map(one, files))

    def put(self, digest: str, path: Path) -> None:
        """Put an object into the bucket, anew if it is there: so it is young for whoever removes what nobody needs.

        Raises:
            LakeAway, StoreError: it is not there.
            OSError: the file cannot be read.
        """
        self.bucket.put(_name(digest), path)

    def sha256(self, digest: str, read: Callable[[int], None] = lambda _: None) -> str | None:
        """The digest of the bytes that the bucket has under a digest's name; None when there are none.

        Raises:
            LakeAway, StoreError: they cannot be read.
        """
        hashed = _Hashed(None, read)
        return hashed.digest if self.bucket.get_into(_name(digest), hashed) else None

    def set_aside(self, digest: str, name: str) -> None:
        """Move an object whose bytes are others out of the way, to `damaged/NAME` beside the objects.

        Raises:
            LakeAway, StoreError: it may be at both places.
        """
        self._known.discard(digest)
        self.bucket.copy(_name(digest), f"damaged/{name}")
        self._remove([digest])

    def listed(self) -> Iterator[tuple[str, Stored]]:
        """All objects of the bucket: digest, size and time.

        Raises:
            LakeAway, StoreError: they cannot be listed.
        """
        for name, stored in self.bucket.listed():
            digest = name.rpartition("/")[2]
            if name == _name(digest):
                yield digest, stored

    def remove_older(self, digests: Sequence[str], before: dt.datetime, option: str) -> tuple[int, int]:
        """Remove objects, here and there, but for those that came anew since a moment; their number and bytes.

        Nobody else commits rows meanwhile, that might name one of them. Whoever hands work over to the group's outbox
        holds the same lock while the bytes and the row are on their way; where that takes longer, the rest goes another
        time.

        Args:
            digests: that no row named when the holder of the lease looked.
            before: younger bytes stay.
            option: with which a connection is that holder's.

        Raises:
            LeaseLost: it is the holder no more; the rest stays.
            LakeAway, StoreError: some may be gone.
        """
        removed, size = 0, 0
        for start in range(0, len(digests), _AT_ONCE):
            with connected(self._place, option) as database, database.transaction():
                if database.execute(HOLD).fetchone() is None:
                    raise LeaseLost("this process has lost the lease of the shared lake")
                if not keep_from_handing_over(database):
                    break
                looked = [(digest, self.bucket.look(_name(digest))) for digest in digests[start : start + _AT_ONCE]]
                old = {digest: found.size for digest, found in looked if found and found.written_at < before}
                self._remove(list(old))
            removed += len(old)
            size += sum(old.values())
        return removed, size

    def _remove(self, digests: Sequence[str]) -> None:
        self._known.difference_update(digests)
        self.bucket.remove([_name(digest) for digest in digests])
        for digest in digests:
            self._path(digest).unlink(missing_ok=True)

    def copies(self) -> list[Path]:
        """The files of the cache."""
        return [path for path in map(Path, sorted(file_names(self._home.cache))) if path.parent.name == path.name[:2]]

    def _path(self, digest: str) -> Path:
        return self._home.cache / digest[:2] / digest

    def _temporary(self) -> Path:
        self._home.cache.mkdir(0o700, parents=True, exist_ok=True)
        return self._home.cache / f"{TMP_PREFIX}{secrets.token_hex(8)}"

    def _keep(self, path: Path, digest: str, asked_s: float = 0.0) -> Path:
        """Move a whole file into the cache, asked for so long ago. It need not last: the bucket has it."""
        target = self._path(digest)
        target.parent.mkdir(0o700, parents=True, exist_ok=True)
        size = path.stat().st_size
        path.chmod(0o400)
        asked_at = time.time() - asked_s
        with contextlib.suppress(OSError):  # equal bytes that somebody has asked for since
            asked_at = max(asked_at, target.stat().st_mtime)
        os.utime(path, (asked_at, asked_at))
        path.replace(target)
        self._trim(size)
        return target

    def _trim(self, size: int) -> None:
        """Let go of what was not used for longest, once there is more than may be kept."""
        with self._trimming:
            if self._written is not None:
                self._written += size
                if self._written < self._most / 10:
                    return
            self._written = 0.0
            files: list[tuple[float, int, str]] = []
            total, now = 0, time.time()
            for name in file_names(self._home.cache):
                with contextlib.suppress(OSError):
                    found = os.stat(name)  # noqa: PTH116 -- no Path for each of a million names
                    files.append((found.st_mtime, found.st_size, name))
                    total += found.st_size
            for used, length, name in sorted(files):
                if total <= self._most or now - used < IN_USE_S:
                    return
                with contextlib.suppress(OSError):
                    Path(name).unlink()
                total -= length


class _Hashed:
    """Bytes that are hashed while they come, in order, and written where there is a file."""

    def __init__(self, file: IO[bytes] | None, read: Callable[[int], None] = lambda _: None) -> None:
        self._file, self._read = file, read
        self._total = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._total.hexdigest()

    def write(self, chunk: bytes) -> int:
        self._total.update(chunk)
        self._read(len(chunk))
        return len(chunk) if self._file is None else self._file.write(chunk)


def _name(digest: str) -> str:
    return f"{digest[:2]}/{digest}"
