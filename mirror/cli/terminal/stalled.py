"""A command that gets nowhere ends: with what it did last, and not for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from mirror.daemon.workers.activity import Activity
from mirror.errors import Unreachable
from mirror.tasks import side_by_side
from mirror.texts.amounts import span

T = TypeVar("T")
LOOK_S = 1.0


async def unless_stalled(
    what: str, work: Callable[[], Awaitable[T]], evidence: Callable[[], object], *, limit_s: float
) -> T:
    """Do something, for as long as it gets on.

    Args:
        what: it is, for the message.
        work: does it.
        evidence: a value that changes whenever it gets on.
        limit_s: how long nothing may change, seconds.

    Raises:
        Unreachable: nothing changed for so long; the work is cancelled.
        MirrorError: the work's own.
    """
    activity = Activity(what, anyio.current_time, evidence)

    async def watch() -> None:
        while True:
            await anyio.sleep(min(LOOK_S, limit_s / 4))
            if activity.stuck_s() > limit_s:
                raise Unreachable(
                    f"the {what} got nowhere for {span(limit_s)}: no answer, no bytes, no commit",
                    hint="`wandb-mirror doctor` looks at server and disk; the same command goes on where it was",
                    answered=True,
                )

    async with side_by_side() as group:
        with activity.busy(what):
            group.start_soon(watch)
            result = await work()
        group.cancel_scope.cancel()
    return result
