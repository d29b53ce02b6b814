"""Tasks side by side: failures that come out as one plain error, and questions that are asked together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from mirror.errors import MirrorError, StoreError

Key = TypeVar("Key")
Value = TypeVar("Value")
_GONE = object()


@asynccontextmanager
async def side_by_side() -> AsyncIterator[TaskGroup]:
    """A task group that lets one plain error out, as its callers expect.

    Raises:
        MirrorError: the first of the tasks' errors; the others are cancelled.
    """
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as raised:
        ours, others = raised.split(MirrorError)
        if ours is None or others is not None:
            raise
        raise first_of(ours) from None


def first_of(group: BaseExceptionGroup[MirrorError]) -> MirrorError:
    """One plain error out of nested groups; what concerns the disk comes first."""
    errors: list[MirrorError] = []
    pending: list[BaseException] = [group]
    while pending:
        one = pending.pop(0)
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
        elif isinstance(one, MirrorError):
            errors.append(one)
    return next((error for error in errors if isinstance(error, StoreError)), errors[0])


class Together(Generic[Key, Value]):
    """Asks together what tasks ask at the same time: those that come while a question is on its way are the next one.

    Keys that are expected are asked for along with others, and their answers kept until somebody wants them.

    Args:
        ask: answers for some keys, each of them.
        most: keys of one question.
    """

    def __init__(self, ask: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]], most: int) -> None:
        self._ask, self._most = ask, most
        self._turn = anyio.Lock()
        self._waiting: list[_Waiting[Key, Value]] = []
        self._expected: dict[Key, None] = {}
        self._known: dict[Key, Value] = {}

    def expect(self, keys: Iterable[Key]) -> None:
        """These are going to be asked for, each once."""
        self._expected |= dict.fromkeys(keys)

    def forget(self) -> None:
        """What was expected does not come any more."""
        self._expected.clear()
        self._known.clear()

    async def of(self, key: Key) -> Value:
        """The answer for a key, as it is after this was called, or after it was expected.

        Raises:
            MirrorError: as `ask` does, to all that asked together.
        """
        if key in self._known:
            return self._known.pop(key)
        self._expected.pop(key, None)
        mine: _Waiting[Key, Value] = _Waiting(key)
        self._waiting.append(mine)
        try:
            while not mine.answers and mine.error is None:
                async with self._turn:
                    if not mine.answers and mine.error is None:
                        await self._next()
        finally:
            if mine in self._waiting:  # cancelled
                self._waiting.remove(mine)
        if mine.error is not None:
            raise mine.error
        return mine.answers[0]

    async def _next(self) -> None:
        some = self._waiting[: self._most]
        keys = dict.fromkeys(one.key for one in some)
        coming = [key for key in self._expected if key not in keys][: self._most - len(keys)]
        try:
            found = await self._ask([*keys, *coming])
        except MirrorError as error:
            for one in some:
                one.error = error
        else:
            for one in some:
                one.answers.append(found[one.key])
            # Whoever has come for one meanwhile waits for the next question.
            self._known |= {key: found[key] for key in coming if self._expected.pop(key, _GONE) is not _GONE}
        self._waiting = [one for one in self._waiting if one not in some]


class _Waiting(Generic[Key, Value]):
    """One who asked."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.answers: list[Value] = []
        self.error: MirrorError | None = None
