"""Whose fault it is when run after run fails alike: a run that the server cannot serve, or the server.

Failures count against runs, and each takes some requests. So pages that blame a run are kept back while they all say
the same. After a few of them the newest run is asked for: where it fails, too, no run is blamed and the pass ends.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol, TypeVar

from mirror.errors import FailsForAll, MirrorError

ALIKE_MAX = 5  # failures in a row
_CHANGING = re.compile(r"\S*\d\S*|'[^']*'|\"[^\"]*\"")  # ids, times and names in a message


class Blaming(Protocol):
    """A page."""

    @property
    def blames(self) -> MirrorError | None:
        """Why a run on it is counted as failed; None: it is a good one."""

    @property
    def last(self) -> bool:
        """Whether none follows."""


P = TypeVar("P", bound=Blaming)


async def judged(
    pages: AsyncGenerator[P, None], fails_for_all: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[P, None]:
    """The pages, once it is clear whether they blame the right one.

    Args:
        pages: as the listing gives them.
        fails_for_all: whether the server fails at a run that has nothing to do with those that failed.

    Raises:
        FailsForAll: it does.
        MirrorError: the listing's own.
    """
    doubted: list[P] = []
    async with aclosing(pages):
        async for page in pages:
            if doubted and not _alike(doubted[-1].blames, page.blames):
                for good in doubted:
                    yield good
                doubted.clear()
            doubted.append(page)
            if page.blames is not None and not page.last:
                if len(doubted) < ALIKE_MAX:
                    continue
                if await fails_for_all():
                    raise FailsForAll(f"run after run fails alike: {page.blames.message}")
            for good in doubted:
                yield good
            doubted.clear()


def _alike(one: MirrorError | None, other: MirrorError | None) -> bool:
    """Whether two failures say the same, but for ids and names."""
    if one is None or other is None:
        return False
    return type(one) is type(other) and _CHANGING.sub("", one.message) == _CHANGING.sub("", other.message)
