"""Pulls go beside one another, maintenance alone; neither keeps the other waiting for ever."""

from __future__ import annotations

import anyio
import pytest

from mirror.daemon.workers.alone import Turns

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The one that the daemon runs on."""
    return "asyncio"


async def test_pulls_go_beside_one_another_and_maintenance_waits_for_a_moment_without_them() -> None:
    turns, order = Turns(), []
    first_may_end, second_may_end = anyio.Event(), anyio.Event()

    async def pull(name: str, may_end: anyio.Event) -> None:
        async with turns.beside():
            order.append(name)
            await may_end.wait()

    async def maintain() -> None:
        async with turns.alone(patience_s=3600):
            order.append("maintenance")

    async with anyio.create_task_group() as group:
        group.start_soon(pull, "first", first_may_end)
        group.start_soon(maintain)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(pull, "second", second_may_end)
        await anyio.wait_all_tasks_blocked()
        assert order == ["first", "second"], "it does not keep others waiting as long as it has patience"
        first_may_end.set()
        await anyio.wait_all_tasks_blocked()
        assert order == ["first", "second"]
        second_may_end.set()
    assert order == ["first", "second", "maintenance"]


async def test_maintenance_without_patience_lets_no_further_pull_in() -> None:
    turns, order = Turns(), []
    may_end = anyio.Event()

    async def pull(name: str, ending: anyio.Event | None) -> None:
        async with turns.beside():
            order.append(name)
            if ending is not None:
                await ending.wait()

    async def maintain() -> None:
        async with turns.alone(patience_s=0.0):
            order.append("maintenance")

    async with anyio.create_task_group() as group:
        group.start_soon(pull, "first", may_end)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(maintain)
        await anyio.sleep(0.01)
        group.start_soon(pull, "second", None)
        await anyio.wait_all_tasks_blocked()
        assert order == ["first"]
        may_end.set()
    assert order == ["first", "maintenance", "second"]
