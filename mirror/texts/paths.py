"""Which names from a server may become files in a folder: rules of names alone, no I/O.

A name is a slash path and untrusted. Nothing is repaired: a name that cannot be written as it is, inside the folder and
beside all others, is refused with a reason that people can read. `safe_name` is what may stand for it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from mirror.texts.visible import visible

COMPONENT_BYTES = 255  # what Linux, macOS and Windows file systems take (Windows: characters)
PATH_BYTES = 4000  # below PATH_MAX, with room for nothing but the name
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_KEPT_OF_LONG = 150  # characters of a long name that stay readable
_DRIVE = re.compile(r"[A-Za-z]:")
_WINDOWS_MARKS = re.compile(r'[<>:"|?*\\\x00-\x1f]')
_WINDOWS_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$)\s*(\..*)?$", re.IGNORECASE)


def why_refused(name: str, *, windows: bool = False, shown: bool = False) -> str | None:
    """Why a name cannot be written below a folder; None when it can.

    Args:
        name: as the server has it.
        windows: the folder is on Windows, where more names are special.
        shown: people list the folder, so that a name may hold nothing that a terminal acts on, or that nobody sees.
    """
    if not name:
        return "its name is empty"
    if "\0" in name or "␀" in name:  # the lake spells NUL so
        return "its name holds a NUL"
    if name.startswith("/"):
        return "its name is an absolute path"
    if _DRIVE.match(name):
        return "its name begins with a drive letter"
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "its name is not valid Unicode"
    if len(encoded) > PATH_BYTES:
        return f"its name is longer than {PATH_BYTES} bytes"
    if shown and visible(name) != name:
        return "its name holds control characters, or some that nobody sees"
    for part in name.split("/"):
        if reason := _why_part(part, windows):
            return reason
    return None


def _why_part(part: str, windows: bool) -> str | None:
    if part == "..":
        return "its name would leave the folder"
    if part in {"", "."}:
        return "its name has an empty part"
    if len(part.encode()) > COMPONENT_BYTES:
        return f"a part of its name is longer than {COMPONENT_BYTES} bytes"
    if windows and _WINDOWS_MARKS.search(part):
        return "its name holds a character that Windows does not allow"
    if windows and (part != part.rstrip(". ") or _WINDOWS_DEVICES.match(part)):
        return "its name means something else on Windows"
    return None


def refusals(
    names: Iterable[str], *, windows: bool = False, folds_case: bool = False, shown: bool = False
) -> dict[str, str]:
    """Which of the names cannot be written side by side, and why.

    Of names that the target cannot tell apart the first in order is written; a file never takes the place of a folder
    that another file needs.

    Args:
        names: all that are to be written.
        windows: as for `why_refused`.
        folds_case: the target does not tell upper from lower case, or composed letters from decomposed ones.
        shown: as for `why_refused`.
    """
    refused: dict[str, str] = {}
    taken: dict[str, str] = {}  # what the target sees → the name that has it
    folders: dict[str, str] = {}  # the same, of folders → a file in them
    for name in sorted(set(names)):
        if reason := why_refused(name, windows=windows, shown=shown):
            refused[name] = reason
            continue
        seen = casefold_path(name) if folds_case else name
        parents = [seen[:place] for place, mark in enumerate(seen) if mark == "/"]
        blocking = next((taken[parent] for parent in parents if parent in taken), None)
        if seen in taken:
            refused[name] = f"the folder cannot tell its name from {taken[seen]!r}"
        elif blocking is not None:
            refused[name] = f"{blocking!r} is a file, where this one needs a folder"
        elif seen in folders:
            refused[name] = f"{folders[seen]!r} needs a folder of this name"
        else:
            taken[seen] = name
            folders.update(dict.fromkeys(parents, name))
    return refused


def casefold_path(name: str) -> str:
    """A name as a file system sees it that folds case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def safe_name(name: str) -> str:
    """One part of a path that stands for a name, whatever it is, on every file system; no two names have the same.

    Percent-encoded as in addresses, and so are upper-case letters, which a file system may not tell from others, and
    dots at an end: `urllib.parse.unquote` gives the name back. One that is too long for that ends with `%~` and its
    digest, and only a table knows it.
    """
    encoded = "".join(
        chr(byte) if chr(byte) in _SAFE else f"%{byte:02X}" for byte in name.encode(errors="surrogatepass")
    )
    for end in ("^\\.", "\\.$"):
        encoded = re.sub(end, "%2E", encoded)
    if _WINDOWS_DEVICES.match(encoded):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if len(encoded) > COMPONENT_BYTES:
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
        encoded = f"{encoded[:_KEPT_OF_LONG].rstrip('%.')}%~{digest}"
    return encoded or "%"
