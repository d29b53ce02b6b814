"""What deliveries ask at the same time is asked together, and each gets the answer to its own question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import pytest

from mirror.errors import Unreachable
from mirror.tasks import Together


class Server:
    """Answers each key with the number of the question, and the key."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.is_away = False

    async def ask(self, keys: Sequence[int]) -> Mapping[int, tuple[int, int]]:
        self.asked.append(list(keys))
        await anyio.sleep(0.01)
        if self.is_away:
            raise Unreachable("it is away")
        return {key: (len(self.asked), key) for key in keys}


async def ask_all(together: Together[int, tuple[int, int]], keys: Sequence[int]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}

    async def one(key: int) -> None:
        found[key] = await together.of(key)

    async with anyio.create_task_group() as group:
        for key in keys:
            group.start_soon(one, key)
    return found


@pytest.mark.anyio
async def test_those_that_ask_at_the_same_time_are_answered_together() -> None:
    server = Server()
    found = await ask_all(Together(server.ask, 4), range(8))
    assert {key: told for key, (_, told) in found.items()} == {key: key for key in range(8)}
    assert [len(keys) for keys in server.asked] == [4, 4]


@pytest.mark.anyio
async def test_what_is_expected_is_asked_along_and_is_good_once() -> None:
    server = Server()
    together = Together(server.ask, 4)
    together.expect([1, 2, 3, 4, 5])
    assert await together.of(1) == (1, 1)
    assert await together.of(3) == (1, 3)
    assert await together.of(3) == (2, 3)
    assert server.asked == [[1, 2, 3, 4], [3, 5]]
    together.forget()
    assert await together.of(5) == (3, 5)


@pytest.mark.anyio
async def test_an_error_is_that_of_all_who_asked_and_of_nobody_later() -> None:
    server = Server()
    together = Together(server.ask, 4)
    server.is_away = True
    together.expect([1, 2])
    with pytest.raises(Unreachable):
        await together.of(1)
    server.is_away = False
    assert await together.of(2) == (2, 2)


@pytest.mark.anyio
async def test_one_that_is_cancelled_costs_the_others_nothing() -> None:
    server = Server()
    together = Together(server.ask, 4)
    async with anyio.create_task_group() as group:

        async def cancelled() -> None:
            with anyio.move_on_after(0.002):
                await together.of(0)

        group.start_soon(cancelled)
        await anyio.sleep(0)
        assert await ask_all(together, [1, 2]) == {1: (2, 1), 2: (2, 2)}
