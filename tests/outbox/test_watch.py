"""Whoever waits for the outbox hears of it, with notifications or without."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from mirror.layout import Home
from mirror.outbox.watch import LOOK_S, watch_folder, watch_new

pytestmark = pytest.mark.anyio


async def rung_within(seconds: float, folder: Path, watched: Path) -> int:
    """How often it rings after a file came into `folder`, until the first time."""
    rings = 0
    heard = anyio.Event()

    def ring() -> None:
        nonlocal rings
        rings += 1
        heard.set()

    async with anyio.create_task_group() as group:
        group.start_soon(watch_folder, watched, ring)
        await anyio.wait_all_tasks_blocked()
        assert rings == 1, "it rings in the beginning, for what came before"
        heard = anyio.Event()
        folder.mkdir(exist_ok=True)
        (folder / "entry").write_text("{}")
        with anyio.fail_after(seconds):
            await heard.wait()
        group.cancel_scope.cancel()
    return rings


async def test_a_new_entry_is_noticed(tmp_path: Path) -> None:
    assert await rung_within(10, tmp_path, tmp_path) >= 2


async def test_it_is_noticed_where_nothing_notifies(tmp_path: Path) -> None:
    # A folder that is not there when the watch begins gives no notifications at all.
    late = tmp_path / "late"
    assert await rung_within(10 * LOOK_S, late, late) >= 2


async def test_the_folders_of_an_outbox_are_made(tmp_path: Path) -> None:
    with anyio.move_on_after(0.3):
        await watch_new(Home(tmp_path / "home"), lambda: None)
    assert (tmp_path / "home" / "outbox" / "new").is_dir()
