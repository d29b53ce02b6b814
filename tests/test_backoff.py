"""The one back-off doubles from its first wait up to its longest, however often something failed."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from mirror.backoff import JITTER, backoff_s
from mirror.clock import utc_now
from mirror.records.passes import LONGEST_WAIT, SOON_ATTEMPTS, next_attempt


@given(before=st.integers(0, 10**6), first_s=st.floats(0.001, 10), longest_s=st.floats(10, 1e6), draw=st.floats(0, 1))
def test_a_wait_doubles_up_to_its_longest(before: int, first_s: float, longest_s: float, draw: float) -> None:
    wait_s, next_s = (backoff_s(count, first_s=first_s, longest_s=longest_s) for count in (before, before + 1))
    assert first_s <= wait_s <= next_s <= longest_s
    assert next_s in (2 * wait_s, longest_s)
    assert backoff_s(0, first_s=first_s, longest_s=longest_s) == first_s
    assert wait_s <= backoff_s(before, first_s=first_s, longest_s=longest_s, draw=draw) <= wait_s * (1 + JITTER * draw)


def test_what_a_pull_failed_at_is_tried_soon_then_in_minutes_and_at_last_once_a_day() -> None:
    now = utc_now()
    waits = [next_attempt(attempts, now) - now for attempts in range(1, 40)]
    assert waits[:SOON_ATTEMPTS] == [dt.timedelta()] * SOON_ATTEMPTS
    assert waits[SOON_ATTEMPTS : SOON_ATTEMPTS + 3] == [dt.timedelta(minutes=minutes) for minutes in (5, 10, 20)]
    assert waits[-1] == LONGEST_WAIT
