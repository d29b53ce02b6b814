"""A plain HTTP client for the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from mirror.sandbox import Sandbox

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        yield sandbox


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=box.url, auth=("api", box.api_key), timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def bare() -> Iterator[httpx.Client]:
    """A client without credentials, for signed URLs."""
    with httpx.Client(timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def ask(http: httpx.Client) -> Ask:
    """Send a GraphQL document; returns the parsed answer, data and errors."""

    def send(query: str, **variables: Any) -> dict[str, Any]:
        answer: dict[str, Any] = http.post("/graphql", json={"query": query, "variables": variables}).json()
        return answer

    return send
