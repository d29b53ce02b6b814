"""A sandbox for each file of pulls, and a project of it for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from mirror.sandbox import Sandbox

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """One sandbox for a file."""
    with Sandbox.start() as sandbox:
        yield sandbox


@pytest.fixture
def project(server: Sandbox) -> Iterator[str]:
    """A project that no other test uses; what a test made of the server ends with it."""
    server.requests.clear()
    yield f"project-{next(_numbers)}"
    server.faults.clear()
    server.state.history_includes_exported = True
