"""`writer.lock`: one process writes a home, and whoever has to wait is told who holds it."""

from __future__ import annotations

from mirror.layout import Home
from mirror.locks import Holder, ProcessLock, holder_of

__all__ = ["Holder", "WriterLock", "current_holder"]


class WriterLock(ProcessLock):
    """Held by the one process that writes the lake.

    Args:
        home: whose lake.
        brief: whether it is held for one change; others wait for it.
    """

    def __init__(self, home: Home, *, brief: bool = False) -> None:
        super().__init__(
            home.writer_lock,
            home.writer_holder,
            busy=f"writing {home.root}",
            hint="wait until it is done, or stop that process; reading works meanwhile",
            brief=brief,
        )


def current_holder(home: Home) -> Holder | None:
    """The process that writes the home now; None when nobody does."""
    return holder_of(home.writer_lock, home.writer_holder)
