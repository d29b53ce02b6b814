"""The daemon with figures of its heap, for SIGUSR1: `python -m tests.daemon.soak.measured_daemon FIGURES`."""

from __future__ import annotations

import collections
import ctypes
import gc
import json
import signal
import sys
from pathlib import Path

import duckdb
import pyarrow as pa

from mirror.cli import main


def duckdb_memory(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Bytes that one engine holds, by what for; its other connections hold the same."""
    try:
        rows = connection.cursor().execute("SELECT tag, memory_usage_bytes FROM duckdb_memory()").fetchall()
    except duckdb.Error:  # closed
        return {}
    return {tag: size for tag, size in rows if size}


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
    types = collections.Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    figures = {
        "blocks": sys.getallocatedblocks(),
        "objects": types.total(),
        "types": dict(types.most_common(60)),
        "arrow_bytes": pa.total_allocated_bytes(),
        "duckdb": [duckdb_memory(one) for one in gc.get_objects() if isinstance(one, duckdb.DuckDBPyConnection)],
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
