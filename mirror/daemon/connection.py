"""Whether the server can be reached. Offline is a state: entered once, left once; the job `probe` asks meanwhile.

When the server is back, and at the start, the replay goes first; pulls wait until it had its turn.
"""

from __future__ import annotations

import datetime as dt

import anyio

from mirror.errors import AuthError, MirrorError, ServerError, Unreachable

REPLAY_HEAD_START_S = 300.0  # pulls do not wait any longer for a replay of a large backlog


def may_be_outage(error: MirrorError | None) -> bool:
    """Whether an error is worth a probe, since it could be met by every request."""
    return isinstance(error, Unreachable | AuthError | ServerError)


class Connection:
    """The state that all workers share."""

    def __init__(self) -> None:
        self._up = anyio.Event()
        self._up.set()
        self._replayed = anyio.Event()
        self.since: dt.datetime | None = None  # UTC; None while the server is there
        self.reason: str | None = None
        self.is_refused = False  # it is there, and refuses the key

    @property
    def is_up(self) -> bool:
        """Whether nobody found the server away."""
        return self.since is None

    def lost(self, error: MirrorError, at: dt.datetime) -> bool:
        """The server is away, or refuses the key; True when that is news."""
        was_up, was_refused = self.is_up, self.is_refused
        self.reason, self.is_refused = error.message, isinstance(error, AuthError)
        if was_up:
            self._up, self._replayed = anyio.Event(), anyio.Event()
        elif was_refused == self.is_refused:
            return False
        self.since = at
        return True

    def found(self) -> None:
        """The server is there again."""
        self.since = self.reason = None
        self.is_refused = False
        self._up.set()

    def replayed(self) -> None:
        """The replay had its turn since the server is there."""
        if self.is_up:
            self._replayed.set()

    async def wait_up(self) -> None:
        """Until the server is there."""
        await self._up.wait()

    async def wait_for_pull(self) -> None:
        """Until the server is there and the replay had its turn, or had long enough."""
        while True:
            await self._up.wait()
            with anyio.move_on_after(REPLAY_HEAD_START_S):
                await self._replayed.wait()
            if self.is_up:
                return
