"""What was not reached a moment ago: of the tries that a command makes one after the other, only the first waits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from mirror.errors import LakeAway

REMEMBER_S = 3.0
_away: dict[str, tuple[float, str]] = {}  # until when that is remembered (monotonic), and what was said


@contextlib.contextmanager
def reached(server: str) -> Iterator[None]:
    """Around a try to reach a server.

    Raises:
        LakeAway: it failed, or another one did within `REMEMBER_S`.
    """
    until, said = _away.get(server, (0.0, ""))
    if time.monotonic() < until:
        raise LakeAway(said)
    try:
        yield
    except LakeAway as error:
        _away[server] = time.monotonic() + REMEMBER_S, error.message
        raise
