"""Bytes of the mirror written out under names from a server: whole, verified, never outside of the target folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import msgspec

from mirror.errors import CommError, NotMirrored, StoreError
from mirror.store.objects.checkout import HeldBytes, check_out
from mirror.store.objects.objects import Objects, hash_file
from mirror.texts.paths import why_refused


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of one file, or why they are not here."""

    name: str  # slash path, untrusted
    object: str | None  # digest of the bytes; None: not held
    missing: str = ""  # what is not here, and why
    hint: str = ""  # how to have it

    def held(self) -> str:
        """The digest of the bytes.

        Raises:
            NotMirrored: they are not held.
        """
        if self.object is None:
            raise NotMirrored(self.missing, hint=self.hint)
        return self.object


def check_name(name: str, what: str = "path") -> None:
    """Refuse a name that cannot be written below a folder.

    Args:
        name: as the server has it.
        what: it is, for the message.

    Raises:
        ValueError: in the SDK's words.
    """
    on_windows = PureWindowsPath(name)  # refused everywhere, so that a script does the same everywhere
    if why_refused(name) is not None or on_windows.anchor or ".." in on_windows.parts:
        raise ValueError(f"Invalid {what}: {name!r}")


def write_out(objects: Objects, contents: Sequence[Content], root: str | os.PathLike[str], *, replace: bool) -> None:
    """Write files below a folder, each whole under its name or not at all; equal ones that are there are left alone.

    Args:
        objects: where the bytes are.
        contents: what to write; all must be held and have good names before the first is written.
        root: the folder; what else is in it stays.
        replace: let go of files with other bytes.

    Raises:
        ValueError: a name would leave the folder.
        NotMirrored: bytes are not held.
        StoreError: bytes of the mirror are damaged, or the disk is full.
        CommError: something is in the way; files before it are written.
    """
    for content in contents:
        check_name(content.name)
    held = [HeldBytes(name=content.name, object=content.held()) for content in contents]
    for written in check_out(objects, _whole(objects, held), Path(root), force=replace):
        if written.outcome == "skipped":
            raise CommError(f"{written.name!r} was not written: {written.reason}")


def has_equal(objects: Objects, content: Content, path: Path) -> bool:
    """Whether a file holds exactly the bytes that it should."""
    digest = content.held()
    return path.is_file() and path.stat().st_size == objects.size(digest) and hash_file(path) == digest


def _whole(objects: Objects, held: Sequence[HeldBytes]) -> Sequence[HeldBytes]:
    """The same, once their bytes are known to be what was mirrored: a copy may share blocks and so never look at them.

    Raises:
        StoreError: bytes are damaged or lost.
    """
    for digest in dict.fromkeys(file.object for file in held):
        if hash_file(objects.path(digest)) != digest:
            raise StoreError(
                f"object {digest} is damaged: its bytes are not the ones that were mirrored",
                hint="`wandb-mirror verify` lists all that are, and the next pull fetches what it can",
            )
    return held
