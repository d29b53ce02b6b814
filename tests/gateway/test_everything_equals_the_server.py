"""The judge: each read of the SDK's public API on hostile runs gives what it gave at the server, which is gone.

What differs is named in `DIFFERENT` with its reason, and asserted to differ.
"""

from __future__ import annotations

import pytest

from tests.gateway.calls import API_CALLS, RUN_CALLS
from tests.gateway.conftest import Recorded

_IN_EXPORTS_ALONE = "a key that an export holds and no row that was logged is in the rows of the gateway, too"
DIFFERENT: dict[str, str] = {
    "scan": _IN_EXPORTS_ALONE,
    "scan of steps": _IN_EXPORTS_ALONE,
    "history": _IN_EXPORTS_ALONE,
    "history sampled": _IN_EXPORTS_ALONE,
    "exports": "rows that this server tells by history alone are live ones at the gateway, which tells them at once",
    "exports, if complete": "the same: the SDK takes the exports of such a run for complete",
    "system metrics": "latest values without a row of events: the mirror cannot tell an empty answer from a lost one",
    "runs of a missing project": "what is not mirrored is an error that names the command, and never null",
    "iterating a missing project": "the same",
}


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
