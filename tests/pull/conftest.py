"""What all tests of pulls share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mirroring import lakes_stay_open


@pytest.fixture(autouse=True)
def _lakes(request: pytest.FixtureRequest) -> Iterator[None]:
    """A lake is opened once for a test, but where processes die."""
    if request.node.get_closest_marker("crash"):
        yield
        return
    with lakes_stay_open():
        yield
