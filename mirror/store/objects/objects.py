"""Objects: immutable bytes named by their SHA-256. Equal bytes are held once.

The folder is the state, the rename is the transition, and the order of writes is

    1. partial/…, memory    bytes come in               crash: they are there to be resumed, and are hashed again
    2. objects/staged/D     whole, digest known         crash: `recover` hashes it; what is torn is removed
    3. staged bytes flushed                             crash: the same
    4. objects/sha256/ab/D  renamed, folders flushed    crash: there with all its bytes, or not there; named by no row
    5. the lake commits a row that names D              only now does anybody ask for it

Some small objects wait in memory, until more come or until their `sync`: files are created where nobody waits for
them. A crash costs a request for each, and no row names them yet.

So an object under its final name had its bytes on the disk before it got that name: a power cut cannot leave a torn
one there, and no marker or check of unnamed objects is needed. What rots later is found by `verify`.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import msgspec

from mirror.cluster.place import place_of
from mirror.durable import TMP_PREFIX, make_folder, sync_file, sync_files, sync_folder
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.locks import locked
from mirror.store.engine.connection import store_errors

if TYPE_CHECKING:
    from mirror.store.objects.bucket_objects import BucketObjects

T = TypeVar("T")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
SMALL_BYTES = 64 * 1024  # an object of at most so many may wait in memory
MOST_WAITING = 64  # objects; creating a file takes up to a millisecond, so that their `sync` waits for few


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that became an object."""

    digest: str  # SHA-256, hex
    size: int  # bytes
    md5_checked: bool  # the server gave an MD5 and it agreed


class Objects:
    """The objects of one home. One instance a process writes; its methods may be called from any thread.

    Args:
        home: whose objects; folders are created by the first write.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._staged: set[str] = set()  # staged by this very process, so that their bytes are known to be whole
        self._waiting: dict[str, bytes] = {}  # small objects that are not written yet
        self._writing = threading.Lock()  # of those
        self._guard = threading.Lock()  # of the names; never held over a flush, so that downloads go on meanwhile
        self._flushing = threading.Lock()
        self._ready = False

    @cached_property
    def shared(self) -> BucketObjects | None:
        """The bucket of a lake that the home shares; None: all objects are in the home."""
        place = place_of(self.home)
        if place is None:
            return None
        from mirror.store.objects.bucket_objects import BucketObjects  # brings what only a shared lake needs

        return BucketObjects(self.home, place)

    def has(self, digest: str) -> bool:
        """Whether the bytes are held, on the disk for certain, in the bucket, or staged by this process.

        Raises:
            LakeAway: a bucket does not answer.
        """
        if digest in self._waiting or digest in self._staged or self._final(digest).exists():
            return True
        return self.shared is not None and self.shared.has(digest)

    def path(self, digest: str) -> Path:
        """Where the bytes lie now, written out if they waited in memory, fetched if the bucket alone has them.

        `sync` moves what is staged; what came from a bucket stays for some minutes at least.

        Raises:
            StoreError: no such object is held, or the disk is full.
            LakeAway: a bucket does not answer.
        """
        if digest in self._waiting:
            self._write_out([digest])
        final = self._final(digest)
        if final.exists():
            return final
        if digest in self._staged and (staged := self.home.staged / digest).exists():
            return staged
        if final.exists():  # moved by a `sync` between the two looks
            return final
        if self.shared is not None:
            with store_errors(self.home):
                if (kept := self.shared.cached(digest) or self.shared.fetch(digest)) is not None:
                    return kept
        raise StoreError(f"object {digest} is missing from {self.home.root}", hint="`wandb-mirror verify` lists all")

    def read_with(self, digest: str, function: Callable[[Path], T]) -> T:
        """Call a function with the place of an object; once more where a `sync` moved it under its hands.

        Raises:
            StoreError: no such object is held.
        """
        path = self.path(digest)
        try:
            return function(path)
        except (OSError, StoreError):
            if path.exists():
                raise
            return function(self.path(digest))

    def open(self, digest: str) -> BinaryIO:
        """The bytes, for reading.

        Raises:
            StoreError: no such object is held, or it cannot be read.
        """
        with store_errors(self.home):
            try:
                return self.path(digest).open("rb")
            except FileNotFoundError:  # `sync` moved it
                return self.path(digest).open("rb")

    def size(self, digest: str) -> int:
        """Length in bytes.

        Raises:
            StoreError: no such object is held.
        """
        with self.open(digest) as file:
            return os.fstat(file.fileno()).st_size

    def put_bytes(self, content: bytes) -> str:
        """Hold these bytes; `sync` makes them durable.

        Returns:
            Their digest.

        Raises:
            StoreError: the disk is full or read-only; nothing is held.
        """
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._waiting:
            self._stage(content, digest)
        if len(self._waiting) >= MOST_WAITING:
            self._write_out(list(self._waiting))
        return digest

    def has_room(self, size: int) -> bool:
        """Whether `keep` would take so many bytes."""
        return size <= SMALL_BYTES and len(self._waiting) < MOST_WAITING

    def keep(self, content: bytes, digest: str) -> bool:
        """Hold small bytes in memory for now. Neither looks at the disk nor waits, so that an event loop may call it.

        Args:
            content: of this very digest.
            digest: SHA-256, hex.

        Returns:
            Whether they are held; False when `put_bytes` has to write them, and those that waited with them.
        """
        if not self.has_room(len(content)):
            return False
        self._waiting[digest] = content
        return True

    def adopt(self, whole: Path, digest: str) -> str:
        """Take over a file below `partial/` whose bytes are complete and were hashed by the caller.

        Raises:
            StoreError: the file stays where it is.
        """
        with store_errors(self.home):
            whole.chmod(0o400)
            self._stage_file(whole, digest)
        return digest

    def take(self, whole: Path, digest: str) -> None:
        """Take over a complete file of this digest, durably, beside a pull of another process that stages its own.

        Args:
            whole: on the file system of the home; it is gone afterwards.
            digest: SHA-256, hex, as the caller computed it.

        Raises:
            StoreError: the file stays where it is.
        """
        with store_errors(self.home):
            final = self._final(digest)
            make_folder(final.parent)
            whole.chmod(0o400)
            sync_file(whole)
            with locked(self.home.objects_lock):  # of equal bytes, those that maintenance is about to remove
                whole.replace(final)
            sync_folder(final.parent)

    def sync(self, digests: Iterable[str]) -> int:
        """Make a batch durable, before a commit names it.

        Returns:
            How many objects were flushed.

        Raises:
            StoreError: one of them is not held, or the disk failed; none may be named by a commit then.
        """
        wanted = set(digests)
        with self._flushing, store_errors(self.home):
            self._write_out(wanted)
            if self.shared is not None:
                return self._store(wanted, self.shared)
            moving = sorted(wanted & self._staged)
            for digest in wanted - self._staged:
                if not self._final(digest).exists():
                    raise StoreError(f"object {digest} is missing from {self.home.root}")
            if not moving:
                return 0
            sync_files([self.home.staged / digest for digest in moving], self.home.staged)
            finals = [self._final(digest) for digest in moving]
            for folder in {final.parent for final in finals}:
                folder.mkdir(0o700, exist_ok=True)
            for digest, final in zip(moving, finals, strict=True):
                (self.home.staged / digest).replace(final)
            sync_files(finals, self.home.objects)
            with self._guard:
                self._staged.difference_update(moving)
        return len(moving)

    def _store(self, wanted: set[str], shared: BucketObjects) -> int:
        """Put what this machine alone has into the bucket."""
        moving: list[tuple[str, Path]] = []
        for digest in sorted(wanted):
            if digest in self._staged:
                moving.append((digest, self.home.staged / digest))
            elif (own := self._final(digest)).exists():
                moving.append((digest, own))
            elif not shared.has(digest):
                raise StoreError(f"object {digest} is missing from {shared.bucket.address}")
        shared.store(moving)
        with self._guard:
            self._staged.difference_update(digest for digest, _ in moving)
        return len(moving)

    def recover(self) -> int:
        """Look through what an earlier process staged and never synced: keep what is whole, remove what is torn.

        Returns:
            How many objects were kept; they are staged again.
        """
        self.prepare()
        kept = 0
        with store_errors(self.home), self._guard:
            for path in sorted(self.home.staged.iterdir()):
                if path.name in self._staged:
                    continue
                if _DIGEST.fullmatch(path.name) and hash_file(path) == path.name and not self.has(path.name):
                    self._staged.add(path.name)
                    kept += 1
                else:
                    path.unlink()
            for path in self.home.partial.glob(f"{TMP_PREFIX}*"):
                path.unlink()
        return kept

    def prepare(self) -> None:
        """Create the folders, once."""
        if self._ready:
            return
        with store_errors(self.home):
            for folder in (self.home.objects, self.home.staged, self.home.partial):
                make_folder(folder)
        self._ready = True

    def _stage(self, content: bytes, digest: str) -> None:
        self.prepare()
        if digest in self._staged or self._final(digest).exists():
            return
        temporary = self.home.partial / f"{TMP_PREFIX}{secrets.token_hex(8)}"
        with store_errors(self.home):
            try:
                with open(temporary, "xb", opener=_read_only) as file:
                    file.write(content)
                self._stage_file(temporary, digest)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def _stage_file(self, whole: Path, digest: str) -> None:
        """Give a file its place, unless another thread was first."""
        with self._guard:
            if digest in self._staged or self._final(digest).exists():
                whole.unlink()
                return
            whole.replace(self.home.staged / _checked(digest))
            self._staged.add(digest)

    def _write_out(self, digests: Iterable[str]) -> None:
        """Stage those that wait in memory; they wait no more once they are there."""
        with self._writing:
            for digest in digests:
                content = self._waiting.get(digest)
                if content is not None:
                    self._stage(content, digest)
                    del self._waiting[digest]

    def _final(self, digest: str) -> Path:
        return self.home.objects / _checked(digest)[:2] / digest


def _read_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o400)


def hash_file(path: Path) -> str:
    """SHA-256 of a file, hex; memory stays bounded."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def _checked(digest: str) -> str:
    """A digest as the only thing that becomes a file name here."""
    if not _DIGEST.fullmatch(digest):
        raise StoreError(f"{digest!r} is no SHA-256")
    return digest
