"""A mirror with an outbox beside the server that it is delivered to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mirroring import Mirror, lakes_stay_open
from tests.replaying import Sender


@pytest.fixture
def sender(mirror: Mirror) -> Sender:
    """Replays the outbox of the mirror's home."""
    return Sender(url=mirror.url, api_key=mirror.api_key, home=mirror.home)


@pytest.fixture(autouse=True)
def _lakes(request: pytest.FixtureRequest) -> Iterator[None]:
    """A lake is opened once for a test, but where processes die."""
    if request.node.get_closest_marker("crash"):
        yield
        return
    with lakes_stay_open():
        yield
