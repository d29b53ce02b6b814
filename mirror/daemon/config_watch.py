"""Notice that the configuration file changed: watchfiles as a hint over a look at the file, as for the outbox."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import watchfiles

LOOK_S = 2.0
DEBOUNCE_MS = 400  # an editor writes, renames and sets permissions: that is one change


Stamp = tuple[int, int, int] | None


async def watch_config(path: Path, seen: Stamp, changed: Callable[[], None]) -> None:
    """Call `changed` in the event loop whenever the file is another one than before, until cancelled.

    Args:
        path: the file; it need not exist.
        seen: its stamp from before it was read.
        changed: reads it again.
    """
    async with anyio.create_task_group() as group:
        hint = anyio.Event()

        async def listen() -> None:
            try:  # the folder, for editors put a new file in the place of the old one
                async for _ in watchfiles.awatch(
                    path.parent, watch_filter=lambda _, name: Path(name).name == path.name, debounce=DEBOUNCE_MS,
                    step=50, recursive=False, rust_timeout=1000,
                ):  # fmt: skip
                    hint.set()
            except (OSError, RuntimeError):  # no notifications here: the look goes on
                return

        group.start_soon(listen)
        while True:
            if (now := stamp_of(path)) != seen:
                seen = now
                changed()
            with anyio.move_on_after(LOOK_S):
                await hint.wait()
            hint = anyio.Event()


def stamp_of(path: Path) -> Stamp:
    """What changes with the file; None when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- of a link, what it leads to
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
