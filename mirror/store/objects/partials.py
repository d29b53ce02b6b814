"""Downloads under way: bytes below `partial/` that go on where they stopped, checked before they become an object.

A partial's name is a digest of everything that says which bytes are meant: the run, the kind, the name, and the size,
MD5 and time that the server listed. So a file that changed upstream never goes on from old bytes. Where the server
gave no MD5, the name holds the machine's boot as well: after a power cut the end of a file may be torn, and without an
MD5 nothing would tell.

The first bytes wait in memory: most files are small, and whole before they would need a file here. When a download is
cut off they are written after all; a kill costs the bytes that waited.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import json
import os
import shutil
from functools import cache
from pathlib import Path
from types import TracebackType

import msgspec

from mirror.store.engine.connection import store_errors
from mirror.store.objects.objects import Adopted, Objects

_CHUNK = 1 << 20
IN_MEMORY_BYTES = 1 << 20  # of one download
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class PartialKey(msgspec.Struct, frozen=True, kw_only=True):
    """Which bytes a download is after."""

    entity: str
    project: str
    run_id: str
    kind: str  # `file`, `export`, `artifact`
    name: str  # the file's name as the server has it; a digest for an artifact's entry
    size: int | None = None  # bytes, as listed
    md5: str | None = None  # as listed
    updated_at: str | None = None  # as listed, or any other version mark such as an ETag


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """Why complete-looking bytes were not taken."""

    what: str  # `size` or `md5`
    expected: str
    found: str
    resumable: bool  # the bytes so far are kept, since more may follow

    def __str__(self) -> str:
        """For a person."""
        return f"{self.what} is {self.found}, the server said {self.expected}"


class Partial:
    """One download: open it, write from `offset` on, finish. A context manager; leaving it keeps the bytes.

    Args:
        objects: where the bytes go when they are whole.
        key: which bytes.

    Raises:
        StoreError: the disk cannot be written.
    """

    def __init__(self, objects: Objects, key: PartialKey) -> None:
        objects.prepare()
        self._objects = objects
        self._path = objects.home.partial / _name(key)
        self._wanted_md5 = _md5_bytes(key.md5)
        self._file: io.FileIO | None = None  # none while all bytes are in memory
        self._forget()
        with store_errors(objects.home), contextlib.suppress(FileNotFoundError):
            self._file = io.FileIO(self._path, "r+")
            while chunk := self._file.read(_CHUNK):
                self._hash(chunk)
                self._offset += len(chunk)

    @property
    def offset(self) -> int:
        """How many bytes are there: where the next `Range` request starts."""
        return self._offset

    @property
    def is_small(self) -> bool:
        """Whether `finish` is quick and leaves the disk alone, so that it needs no thread."""
        return self._file is None and self._objects.has_room(self._offset)

    def fits(self, count: int) -> bool:
        """Whether `write` only notes so many more bytes in memory, so that it needs no thread."""
        return self._file is None and self._offset + count <= IN_MEMORY_BYTES

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            StoreError: the disk is full or failed; what was written before stays and is resumed.
        """
        if self.fits(len(chunk)):
            self._waiting.append(chunk)
            self._offset += len(chunk)
            return
        with store_errors(self._objects.home):
            self._append(self._written(), chunk)

    def free_bytes(self) -> int:
        """Room on the disk.

        Raises:
            StoreError: the disk failed.
        """
        with store_errors(self._objects.home):
            return shutil.disk_usage(self._path.parent).free

    def restart(self) -> None:
        """Forget the bytes so far: the server would not go on from `offset`."""
        if self._file is not None:
            with store_errors(self._objects.home):
                self._file.seek(0)
                self._file.truncate()
        self._forget()

    def finish(self, expected_size: int | None = None) -> Adopted | Mismatch:
        """Check the bytes and make them an object; `Objects.sync` makes it durable.

        Args:
            expected_size: bytes the server announced; None when it did not say.

        Returns:
            The object; or what does not agree. Too few bytes are kept to be resumed, wrong ones are removed.

        Raises:
            StoreError: the disk failed.
        """
        size = self._offset
        if expected_size is not None and expected_size != size:
            resumable = size < expected_size
            if not resumable:
                self.discard()
            return Mismatch(what="size", expected=str(expected_size), found=str(size), resumable=resumable)
        content = b"".join(self._waiting)
        if self._file is None:
            self._hash(content)
        wanted, found = self._wanted_md5, self._md5.digest()
        if wanted is not None and wanted != found:
            self.discard()
            return Mismatch(
                what="md5", expected=base64.b64encode(wanted).decode(), found=base64.b64encode(found).decode(),
                resumable=False,
            )  # fmt: skip
        digest = self._sha256.hexdigest()
        if self._file is not None:
            self.close()
            self._objects.adopt(self._path, digest)
        elif not self._objects.keep(content, digest):
            self._objects.put_bytes(content)
        self._waiting.clear()
        return Adopted(digest=digest, size=size, md5_checked=wanted is not None)

    def discard(self) -> None:
        """Remove the bytes."""
        with store_errors(self._objects.home):
            if self._file is not None:
                self._file.close()
                self._path.unlink(missing_ok=True)
        self._waiting.clear()

    def close(self) -> None:
        """Keep the bytes for a later process."""
        with store_errors(self._objects.home):
            if self._waiting:
                self._written()
            if self._file is not None:
                self._file.close()

    def __enter__(self) -> Partial:
        """The partial itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _written(self) -> io.FileIO:
        """The file, with everything in it that waited in memory."""
        if self._file is None:
            waiting = self._waiting
            self._file = io.FileIO(self._path, "w")
            self._forget()
            for chunk in waiting:
                self._append(self._file, chunk)
        return self._file

    def _append(self, file: io.FileIO, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            written = file.write(view) or 0
            self._hash(view[:written])
            self._offset += written
            view = view[written:]

    def _hash(self, chunk: bytes | memoryview) -> None:
        self._sha256.update(chunk)
        if self._wanted_md5 is not None:
            self._md5.update(chunk)

    def _forget(self) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._waiting: list[bytes] = []
        self._offset = 0


def _name(key: PartialKey) -> str:
    boot = None if _md5_bytes(key.md5) else _boot()
    parts = json.dumps([*msgspec.structs.astuple(key), boot])  # not msgspec: a name may hold lone surrogates
    return hashlib.sha256(parts.encode()).hexdigest()


@cache
def _boot() -> str:
    """This boot of the machine; where nothing says it, this process, so that nothing is resumed after it."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return f"pid {os.getpid()}"


def _md5_bytes(text: str | None) -> bytes | None:
    """The 16 bytes of an MD5 in base64, or in hex as some storages spell it; None for anything else."""
    if text is None:
        return None
    try:
        digest = bytes.fromhex(text) if len(text) == 32 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return digest if len(digest) == 16 else None
