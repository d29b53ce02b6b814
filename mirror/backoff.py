"""The one back-off: how long to wait before something that failed is tried again."""

from __future__ import annotations

_DOUBLINGS = 64  # more of them are beyond every longest wait, and would overflow


def backoff_s(before: int, *, first_s: float, longest_s: float, jitter: float = 0.0) -> float:
    """Seconds to wait: doubled for each try that failed before, up to a longest.

    Args:
        before: waits that came before this one; 0: this is the first.
        first_s: the first wait, seconds.
        longest_s: no wait is longer, but for the jitter; seconds.
        jitter: share of the wait that is added, so that many do not come back at one moment; the caller draws it.
    """
    return min(longest_s, first_s * 2.0 ** min(before, _DOUBLINGS)) * (1 + jitter)
