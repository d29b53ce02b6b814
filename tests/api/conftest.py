"""A client of this test's own sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mirror.api.client import Client
from mirror.sandbox import Sandbox
from tests.api.clients import client_on


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with client_on(sandbox) as client:
        yield client
