"""Fixtures that every folder of tests shares. The other side is always the sandbox, never a mock of our own classes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mirror.sandbox import Sandbox


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the program runs on."""
    return "asyncio"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A W&B-compatible server of this test's own."""
    with Sandbox.start() as server:
        yield server
