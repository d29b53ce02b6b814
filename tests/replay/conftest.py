"""A mirror with an outbox beside the server that it is delivered to."""

from __future__ import annotations

import pytest

from tests.mirroring import Mirror
from tests.replaying import Sender


@pytest.fixture
def sender(mirror: Mirror) -> Sender:
    """Replays the outbox of the mirror's home."""
    return Sender(url=mirror.url, api_key=mirror.api_key, home=mirror.home)
