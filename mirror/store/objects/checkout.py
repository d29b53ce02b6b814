"""Write files out of the objects into a folder, under names from a server, without ever leaving that folder.

Each file is written beside its target and renamed, so that no half file is visible. Folders are opened one by one from
the target down, never through a symbolic link, and everything below is done relative to the open folder: whoever swaps
a folder for a link meanwhile gains nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from mirror.durable import FULL, TMP_PREFIX, make_folder, rename_inside, sync_descriptor
from mirror.errors import ConfigError, HomeUnusable, LakeAway, StoreError
from mirror.store.objects.objects import Objects
from mirror.store.objects.odd_names import OddNames
from mirror.texts.paths import refusals

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Outcome = Literal["written", "linked", "equal", "skipped"]
_FICLONE = 0x40049409  # ioctl of Linux: share the blocks of another file until one of the two is written
_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


class HeldBytes(msgspec.Struct, frozen=True, kw_only=True):
    """A file to write."""

    name: str  # slash path, untrusted
    object: str  # digest of the bytes


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file."""

    name: str
    outcome: Outcome
    reason: str | None = None  # why it was skipped
    size: int = 0  # bytes
    path: str | None = None  # where it is below the folder; None: it was skipped


class _Skip(Exception):
    """One file cannot be written; the others can."""


def check_out(
    objects: Objects,
    files: Sequence[HeldBytes],
    folder: Path,
    *,
    force: bool = False,
    link: bool = False,
    rename: bool = False,
) -> Iterator[Written]:
    """Write files into a folder, which is made when it is missing.

    Args:
        objects: where the bytes are.
        files: what to write, in any order.
        folder: the target; what else is in it stays.
        force: replace files with other bytes.
        link: hard links to the read-only objects instead of copies, where the file system can.
        rename: write files whose names the folder cannot hold, or a terminal cannot show, under `odd_names`, and a
            table that says which; else the former are skipped.

    Yields:
        One finding a file, as it is done.

    Raises:
        HomeUnusable: the folder cannot be made or written.
        ConfigError: this system has no way to open a folder safely.
        StoreError: the disk is full; what was written before stays.
    """
    if os.open not in os.supports_dir_fd:
        raise ConfigError("checkout needs a POSIX system", hint="copy the bytes with SQL: files.object names them")
    top = _open_target(folder)
    try:
        folds = _folds_case(top) if any(_may_collide(files)) else False
        names = [file.name for file in files]
        refused = refusals(names, windows=sys.platform == "win32", folds_case=folds, shown=rename)
        odd = OddNames(top, names, refused) if rename and refused else None
        if odd is not None:
            with _io(folder / odd.table):
                odd.write_table()
        for file in sorted(files, key=lambda file: file.name):
            path = odd.path(file.name) if odd is not None else None if file.name in refused else file.name
            if path is None:
                yield Written(name=file.name, outcome="skipped", reason=refused[file.name])
            else:
                yield _one(objects, file, path, top, folder, force=force, link=link)
    finally:
        os.close(top)


def _open_target(folder: Path) -> int:
    try:
        make_folder(folder)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # a link to a folder, named by the user, is meant
    except OSError as error:
        raise HomeUnusable(
            f"{folder} cannot be written: {error.strerror}", hint="name another folder, or remove what is there"
        ) from error


def _may_collide(files: Sequence[HeldBytes]) -> Iterator[bool]:
    """Whether the target has to be asked how it sees names."""
    names = [file.name for file in files]
    plainly, folded = refusals(names), refusals(names, folds_case=True)
    yield plainly.keys() != folded.keys()


def _folds_case(top: int) -> bool:
    """Whether the target takes upper and lower case for the same."""
    name = f"{TMP_PREFIX}{secrets.token_hex(8)}-a"
    with _io(Path(name)):
        os.close(os.open(name, _NEW, 0o600, dir_fd=top))
        try:
            os.stat(name.upper(), dir_fd=top)
        except FileNotFoundError:
            return False
        finally:
            os.unlink(name, dir_fd=top)
    return True


def _one(objects: Objects, file: HeldBytes, path: str, top: int, folder: Path, *, force: bool, link: bool) -> Written:
    *parents, leaf = path.split("/")
    try:
        with _io(folder / path), contextlib.ExitStack() as opened:
            place = _descend(top, parents, opened)
            source = opened.enter_context(objects.open(file.object))
            size = os.fstat(source.fileno()).st_size
            if _compare(place, leaf, file.object, size, force=force):
                return Written(name=file.name, outcome="equal", size=size, path=path)
            linked = link and _link(objects.path(file.object), place, leaf)
            if not linked:
                _copy(source.fileno(), place, leaf, file.object)
            return Written(name=file.name, outcome="linked" if linked else "written", size=size, path=path)
    except _Skip as skip:
        return Written(name=file.name, outcome="skipped", reason=str(skip))
    except StoreError as error:
        if isinstance(error, HomeUnusable | LakeAway):
            raise
        return Written(name=file.name, outcome="skipped", reason=error.message)


@contextlib.contextmanager
def _io(path: Path) -> Iterator[None]:
    """Tell a disk that is full, which stops everything, from a name that cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL | {errno.EROFS, errno.EIO}:
            raise HomeUnusable(
                f"{path} cannot be written: {error.strerror}", hint="what was written before stays; make room first"
            ) from error
        raise _Skip(f"it cannot be written: {error.strerror}") from error


def _descend(top: int, parents: Sequence[str], opened: contextlib.ExitStack) -> int:
    """Open the folder of a file, making what is missing; never through a symbolic link."""
    place = top
    for part in parents:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=place)
        try:
            place = os.open(part, _DIRECTORY, dir_fd=place)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise _Skip(f"{part!r} is there and is no folder, or is a symbolic link") from error
            raise
        opened.callback(os.close, place)
    return place


def _compare(place: int, leaf: str, digest: str, size: int, *, force: bool) -> bool:
    """Whether the file is there already with the same bytes.

    Raises:
        _Skip: something else is there, and is not to be replaced.
    """
    try:
        there = os.stat(leaf, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(there.st_mode):
        raise _Skip("a folder of this name is there")
    if stat.S_ISREG(there.st_mode) and there.st_size == size:
        descriptor = os.open(leaf, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place)
        with os.fdopen(descriptor, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == digest:
                return True
    if not force:
        what = "a file with other bytes" if stat.S_ISREG(there.st_mode) else "something that is no file"
        raise _Skip(f"{what} is there; --force replaces it")
    return False


def _link(source: Path, place: int, leaf: str) -> bool:
    """A hard link to the object itself; False where the file system has none between the two."""
    temporary = f"{TMP_PREFIX}{secrets.token_hex(8)}"
    try:
        os.link(source, temporary, dst_dir_fd=place, follow_symlinks=False)
    except OSError:
        return False
    rename_inside(place, temporary, leaf)
    return True


def _copy(source: int, place: int, leaf: str, digest: str) -> None:
    """A file of its own: shared blocks where the file system can, else a copy whose bytes are checked on the way."""
    temporary = f"{TMP_PREFIX}{secrets.token_hex(8)}"
    target = os.open(temporary, _NEW, 0o666, dir_fd=place)
    try:
        try:
            if not _reflink(source, target):
                _copy_bytes(source, target, digest)
            sync_descriptor(target)
        finally:
            os.close(target)
        rename_inside(place, temporary, leaf)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=place)
        raise


def _reflink(source: int, target: int) -> bool:
    if sys.platform != "linux" or fcntl is None:
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _copy_bytes(source: int, target: int, digest: str) -> None:
    total = hashlib.sha256()
    while chunk := os.read(source, _CHUNK):
        total.update(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(target, rest) :]
    if total.hexdigest() != digest:
        raise StoreError(f"object {digest} is damaged: its bytes are not the ones that were mirrored")
