"""A file of the user's becomes an object, before the operation that uploads it exists."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import mimetypes
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from mirror.durable import make_folder
from mirror.layout import Home
from mirror.store.engine.connection import store_errors
from mirror.store.objects.objects import Objects

_CHUNK = 1 << 20


class TakenIn(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of a file as they were when it was read."""

    object: str  # SHA-256, hex
    size: int  # bytes
    md5: str  # base64, as W&B lists it
    mimetype: str | None


def take_in(objects: Objects, source: str | os.PathLike[str]) -> TakenIn:
    """Copy a file into the objects, durably; memory stays bounded.

    Args:
        objects: of the home.
        source: the file; what happens to it afterwards does not matter.

    Raises:
        OSError: the source cannot be read.
        HomeUnusable: the disk is full or failing; nothing was kept.
    """
    with open_regular(source) as file:
        return take_in_open(objects, file, Path(source).name)


def open_regular(source: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to be read; a pipe or a device, which may never end, is refused.

    Raises:
        OSError: it is none, or cannot be read.
    """
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(source))
    return os.fdopen(descriptor, "rb")


def take_in_open(
    objects: Objects, file: BinaryIO, name: str, passed: Callable[[int], None] = lambda _: None
) -> TakenIn:
    """The same with a file that is open.

    Args:
        objects: of the home.
        file: what it holds from here on is copied.
        name: tells its type.
        passed: told how many bytes were copied, again and again; what it raises ends the copy, and nothing is kept.

    Raises:
        OSError: the source cannot be read.
        HomeUnusable: the disk is full or failing; nothing was kept.
    """
    copy = objects.home.partial / f"upload-{secrets.token_hex(8)}"
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    try:
        with _to_be_written(objects.home, copy) as write:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
                md5.update(chunk)
                size += len(chunk)
                write(chunk)
                passed(len(chunk))
        digest = sha256.hexdigest()
        objects.take(copy, digest)
    finally:
        with store_errors(objects.home):
            copy.unlink(missing_ok=True)
    return TakenIn(
        object=digest,
        size=size,
        md5=base64.b64encode(md5.digest()).decode(),
        mimetype=mimetypes.guess_type(name)[0],
    )


@contextlib.contextmanager
def _to_be_written(home: Home, path: Path) -> Iterator[Callable[[bytes], None]]:
    """A new file; only what goes wrong with writing it is an error of the home, not what its caller reads."""

    def write(content: bytes) -> None:
        with store_errors(home):
            target.write(content)

    with store_errors(home):
        make_folder(path.parent)
        target = path.open("xb")
    try:
        yield write
    finally:
        with store_errors(home):
            target.close()


def md5_of(file: BinaryIO, passed: Callable[[int], None] = lambda _: None) -> str:
    """The MD5 of what a file holds from here on, base64; `passed` as for `take_in_open`.

    Raises:
        OSError: it cannot be read.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    while chunk := file.read(_CHUNK):
        md5.update(chunk)
        passed(len(chunk))
    return base64.b64encode(md5.digest()).decode()
