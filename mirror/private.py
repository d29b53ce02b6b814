"""A home is its owner's alone: it holds unpublished results, and perhaps a key.

The folder itself is what keeps others out: nobody passes it, whatever is below. What is below is private as well, so
that a folder that somebody opens later does not show everything at once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mirror.layout import Home

OTHERS = 0o077  # permission bits of group and others
UMASK = OTHERS  # of a process that writes nothing but a home


def tighten(home: Home) -> bool:
    """Take the permissions of a home away from everybody but its owner, as far as this user may.

    Returns:
        Whether the home itself was open to others.
    """
    if os.name == "nt":
        return False
    was_open = is_open(home)
    for path in _kept(home):
        try:
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & OTHERS and not path.is_symlink():
                path.chmod(mode & ~OTHERS)
        except OSError:  # another user's, or gone
            continue
    return was_open and not is_open(home)


def is_open(home: Home) -> bool:
    """Whether others than its owner may pass into a home."""
    try:
        return os.name != "nt" and bool(home.root.stat().st_mode & OTHERS)
    except OSError:
        return False


def _kept(home: Home) -> Iterator[Path]:
    """The home, what lies directly in it, and the files that tell most; the first keeps others from all of it."""
    yield home.root
    try:
        yield from home.root.iterdir()
        yield from home.lake.iterdir()
        yield from home.outbox.iterdir()
    except OSError:
        return
