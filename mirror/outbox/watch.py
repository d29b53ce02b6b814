"""Notice that something was queued: watchfiles as a hint, over a look at the folder that needs no help.

A notification may be lost, and some file systems give none. So the time of the last change of `new/` is read every
second as well, which costs one call of the system. Either way a hint means no more than "list `new/`".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio
import watchfiles

from mirror.layout import Home
from mirror.outbox.folders import Folders

LOOK_S = 1.0
DEBOUNCE_MS = 100  # many entries that are queued together are one hint
STEP_MS = 20


async def watch_new(home: Home, ring: Callable[[], None]) -> None:
    """Call `ring` at once and whenever something may have been queued, until cancelled.

    Args:
        home: whose outbox; its folders are created.
        ring: called in the event loop.
    """
    folders = Folders(home, lambda _: None)
    folders.prepare()
    await watch_folder(folders.path("new", "x").parent, ring)


async def watch_folder(folder: Path, ring: Callable[[], None]) -> None:
    """Call `ring` at once and whenever names in a folder may have changed, until cancelled."""
    async with anyio.create_task_group() as group:
        group.start_soon(notified, [folder], ring)
        seen = _stamp(folder)
        ring()  # for what came before
        while True:
            await anyio.sleep(LOOK_S)
            if (now := _stamp(folder)) != seen:
                seen = now
                ring()


async def notified(folders: Iterable[Path | str], ring: Callable[[], None]) -> None:
    """Call `ring` when something in these very folders changes, until cancelled or until nothing notifies any more."""
    try:
        async for _ in watchfiles.awatch(
            *folders, watch_filter=None, debounce=DEBOUNCE_MS, step=STEP_MS, recursive=False, rust_timeout=1000
        ):
            ring()
    except (OSError, RuntimeError):  # no inotify here, no watch left, or the folder went away: the look goes on
        return


def _stamp(folder: Path) -> tuple[int, int] | None:
    """When names in the folder changed last, and which folder it is."""
    try:
        found = os.stat(folder)  # noqa: PTH116 -- every second, without an object for it
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
