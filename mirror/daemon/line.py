"""Whether the server can be reached. Offline is a state: entered once, probed with growing waits, left once.

When the server is back, and at the start, the replay goes first; pulls wait until it had its turn.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import anyio

from mirror.config import DaemonSettings
from mirror.errors import AuthError, MirrorError, ServerError, Unreachable

JITTER = 0.25  # of a probe's wait, so that many mirrors do not come back at one moment
REPLAY_HEAD_START_S = 300.0  # pulls do not wait any longer for a replay of a large backlog


def probe_wait_s(settings: DaemonSettings, probes: int, random: float) -> float:
    """Seconds before the next probe, after so many in vain; `random` is a number from 0 to 1."""
    wait_s = min(settings.probe_longest_s, settings.probe_first_s * 2.0 ** min(probes, 20))
    return wait_s * (1 + JITTER * random)


def may_be_outage(error: MirrorError | None) -> bool:
    """Whether an error is worth a probe, since it could be met by every request."""
    return isinstance(error, Unreachable | AuthError | ServerError)


class Line:
    """The state that all workers share.

    Args:
        settings: how often to probe.
        random: gives numbers from 0 to 1.
    """

    def __init__(self, settings: DaemonSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        self._up = anyio.Event()
        self._up.set()
        self._down = anyio.Event()
        self._replayed = anyio.Event()
        self._nudged = anyio.Event()
        self._probes = 0
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
            self._probes = 0
            self._up, self._replayed = anyio.Event(), anyio.Event()
            self._down.set()
        elif was_refused == self.is_refused:
            return False
        self.since = at
        return True

    def found(self) -> None:
        """The server is there again."""
        self.since = self.reason = None
        self.is_refused = False
        self._down = anyio.Event()
        self._up.set()

    def replayed(self) -> None:
        """The replay had its turn since the server is there."""
        if self.is_up:
            self._replayed.set()

    def nudge(self) -> None:
        """Probe soon: the machine woke up, or the configuration changed."""
        self._probes = 0
        self._nudged.set()

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

    async def wait_to_probe(self) -> None:
        """Until the server is away and it is time for the next probe."""
        await self._down.wait()
        wait_s = probe_wait_s(self._settings, self._probes, self._random())
        self._probes += 1
        self._nudged = anyio.Event()
        with anyio.move_on_after(wait_s):
            await self._nudged.wait()
