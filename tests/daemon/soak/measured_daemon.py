"""The daemon with figures of its heap, for SIGUSR1: `python -m tests.daemon.soak.measured_daemon FIGURES`."""

from __future__ import annotations

import ctypes
import gc
import json
import signal
import sys
from pathlib import Path

import pyarrow as pa

from mirror.cli import main


class Mallinfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def malloc_bytes() -> dict[str, int]:
    """What the C library's allocator gave out, and what it keeps for later, bytes."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo
    info = libc.mallinfo2()
    return {"used": info.uordblks + info.hblkhd, "free": info.fordblks}


def tell(path: Path) -> None:
    """Write what Python and the libraries below it hold now; the file appears whole."""
    gc.collect()
    figures = {
        "blocks": sys.getallocatedblocks(),
        "arrow_bytes": pa.total_allocated_bytes(),
        "malloc": malloc_bytes(),
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(figures))
    part.rename(path)


if __name__ == "__main__":
    figures_path = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, lambda *_: tell(figures_path))
    sys.argv[1:] = ["daemon"]
    main()
