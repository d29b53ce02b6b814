"""A worker is stuck when nothing moves that should; waiting is not being stuck."""

from __future__ import annotations

import anyio
import pytest

from mirror.cli.terminal.stalled import unless_stalled
from mirror.daemon.workers.activity import Activity
from mirror.errors import ServerError, Unreachable

pytestmark = pytest.mark.anyio


class Hand:
    """A clock and a counter that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.requests = 0
        self.activity = Activity("pull", lambda: self.now, lambda: self.requests)


async def test_a_worker_that_waits_as_it_said_is_not_stuck() -> None:
    hand = Hand()
    hand.activity.idle(None)
    hand.now = 1e6
    assert hand.activity.stuck_s() == 0
    hand.activity.idle(600)
    hand.now += 600
    assert hand.activity.stuck_s() == 0
    hand.now += 50
    assert hand.activity.stuck_s() == 50, "it should have looked"


async def test_a_busy_worker_moves_as_long_as_its_requests_do() -> None:
    hand = Hand()
    with hand.activity.busy("pulling e/p"):
        for _ in range(100):
            hand.now += 60
            hand.requests += 1
            assert hand.activity.stuck_s() == 0
        hand.now += 1801
        assert hand.activity.stuck_s() == 1801
    assert (hand.activity.state, hand.activity.stuck_s()) == ("idle", 0)


async def test_it_settles_however_its_work_ends() -> None:
    hand = Hand()
    with pytest.raises(RuntimeError), hand.activity.busy("pulling e/p"):
        raise RuntimeError
    await hand.activity.wait_settled()
    hand.activity.crashed("it broke")
    hand.now = 1e6
    assert (hand.activity.state, hand.activity.crashes, hand.activity.last_error) == ("restarting", 1, "it broke")
    assert hand.activity.stuck_s() == 0


async def test_time_in_which_the_whole_process_stood_still_is_held_against_no_worker() -> None:
    hand = Hand()
    hand.activity.idle(600)
    hand.now += 7200
    hand.activity.forgive(7000)
    assert hand.activity.stuck_s() == 0
    hand.now += 500
    assert hand.activity.stuck_s() == 100, "from then on it counts again"
    with hand.activity.busy("pulling e/p"):
        hand.now += 7200
        hand.activity.forgive(7000)
        assert hand.activity.stuck_s() == 200


async def test_it_says_what_it_does_and_for_how_long() -> None:
    hand = Hand()
    with hand.activity.busy("pulling e/p"):
        hand.now += 90
        assert (hand.activity.doing, hand.activity.busy_s, hand.activity.stuck_s()) == ("pulling e/p", 90, 90)
    assert (hand.activity.doing, hand.activity.busy_s) == (None, 0)


async def test_a_command_that_gets_nowhere_ends_and_one_that_moves_does_not() -> None:
    moves = 0

    async def move() -> int:
        nonlocal moves
        for _ in range(10):
            await anyio.sleep(0.05)
            moves += 1
        return moves

    assert await unless_stalled("pull", move, lambda: moves, limit_s=0.3) == 10
    with pytest.raises(Unreachable, match="the pull got nowhere for"):
        await unless_stalled("pull", anyio.sleep_forever, lambda: moves, limit_s=0.1)

    async def fail() -> None:
        raise ServerError("its own")

    with pytest.raises(ServerError, match="its own"):
        await unless_stalled("pull", fail, lambda: moves, limit_s=10)
