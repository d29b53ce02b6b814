"""Tasks side by side whose failures come out as one plain error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from mirror.errors import MirrorError, StoreError


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
