"""Where DuckDB puts what does not fit in memory: inside the home, where nobody else may look, and gone afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

from mirror.layout import Home

_PREFIX = ".spill-"
_NAME = re.compile(re.escape(_PREFIX) + r"(\d{1,10})-[0-9a-f]{16}")


def spill_folder(home: Home | None) -> tuple[Path, bool]:
    """A folder that nobody can have prepared.

    Args:
        home: whose data it is about; None, or one that cannot be written: the folder is the system's temporary one's.

    Returns:
        The folder, and whether it was made and is to be removed; DuckDB makes and removes the other kind itself, and
        only if it needs it.
    """
    if home is not None and os.access(home.root, os.W_OK):
        return home.root / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}", False
    return Path(tempfile.mkdtemp(prefix="wandb-mirror-spill-")), True


def remove_stale_spills(home: Home) -> None:
    """Remove what processes left that were killed; those that live keep theirs."""
    for folder in home.root.iterdir():
        found = _NAME.fullmatch(folder.name)
        if found is not None and not _lives(int(found[1])):
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
