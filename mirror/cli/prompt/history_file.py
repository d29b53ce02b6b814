"""The file of what was typed at the prompt: its owner's alone, and never larger than it is worth."""

from __future__ import annotations

import os
from pathlib import Path

from mirror.durable import write_replace

MOST_BYTES = 1_000_000
_ENTRY = b"\n# "  # each begins with the line of its time


def prepared(path: Path) -> Path:
    """Make the file ready: there, readable for nobody else, its oldest half taken away when it has grown too large.

    Args:
        path: of the file; its folder must exist.

    Raises:
        OSError: it cannot be written here.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    path.chmod(0o600)
    if path.stat().st_size > MOST_BYTES:
        content = path.read_bytes()
        begin = content.find(_ENTRY, len(content) - MOST_BYTES // 2)
        write_replace(path, content[begin:] if begin >= 0 else b"")
    return path
