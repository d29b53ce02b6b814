"""The one back-off: how long to wait before something that failed is tried again."""

from __future__ import annotations

import random

JITTER = 0.25  # up to this share is added to a wait, so that many do not come back at one moment
_DOUBLINGS = 64  # more of them are beyond every longest wait, and would overflow


def backoff_s(before: int, *, first_s: float, longest_s: float, draw: float = 0.0) -> float:
    """Seconds to wait: doubled for each try that failed before, up to a longest.

    Args:
        before: waits that came before this one; 0: this is the first.
        first_s: the first wait, seconds.
        longest_s: no wait is longer, but for the jitter; seconds.
        draw: from 0 to 1: how much of the jitter is added. W&B API notes, section 2.
    """
    return min(longest_s, first_s * 2.0 ** min(before, _DOUBLINGS)) * (1 + JITTER * draw)


def jittered_backoff_s(before: int, *, first_s: float, longest_s: float) -> float:
    """`backoff_s` with a draw of its own."""
    return backoff_s(before, first_s=first_s, longest_s=longest_s, draw=random.random())  # noqa: S311 - no secret
