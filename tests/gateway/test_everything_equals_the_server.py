"""The judge: each read of the SDK's public API on hostile runs gives what it gave at the server, which is gone.

What differs is named in `differences` with its reason, and asserted to differ.
"""

from __future__ import annotations

import pytest

from tests.gateway.calls import API_CALLS, RUN_CALLS
from tests.gateway.conftest import Recorded
from tests.gateway.differences import DIFFERENT


@pytest.mark.parametrize("name", [*RUN_CALLS, *API_CALLS])
def test_a_read_answers_what_it_answered_at_the_server(name: str, recorded: Recorded, answered: Recorded) -> None:
    found = [
        f"{key[1]}\n gateway {_short(answer)}\n server  {_short(recorded[key])}"
        for key, answer in answered.items()
        if key[0] == name and (answer.value, answer.error) != (recorded[key].value, recorded[key].error)
    ]
    if name in DIFFERENT:
        assert found, f"{name} differs no more: {DIFFERENT[name]}"
    else:
        assert not found, f"{len(found)} differ, the first: {found[0]}"


def _short(outcome: object) -> str:
    text = repr(outcome)
    return text if len(text) < 900 else f"{text[:900]}…"
