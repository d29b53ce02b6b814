"""A clock that tests move, and a server on it that counts budgets as W&B says that it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio
import httpx

from mirror.api.limits.charge import charge_of
from mirror.api.limits.host import Limits
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.api.transport.session import OnRetry, Session
from mirror.config import ServerSettings

URL = "https://w.example.com"

REFUSED = httpx.ByteStream(b'{"error": "rate limit exceeded"}')  # a body of a 429


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._wakes: list[float] = []

    def now(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Of several sleepers each wakes when its time has come; the next one moves the time once all others wait."""
        until = self.now_s + seconds
        self._wakes.append(until)
        try:
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            while self.now_s < until:
                if until <= min(self._wakes):
                    self.now_s = until
                await anyio.lowlevel.checkpoint()
        finally:
            self._wakes.remove(until)


def limits_on(clock: Clock, concurrent: int = 4, requests_per_second: float | None = None) -> Limits:
    return Limits(
        concurrent=concurrent,
        host="w.example.com",
        requests_per_second=requests_per_second,
        now=clock.now,
        sleep=clock.sleep,
    )


@dataclass(kw_only=True)
class Counting(httpx.AsyncBaseTransport):
    """A server that takes from the user's budget or from a project's, and answers 429 when that is spent."""

    clock: Clock
    cost: Callable[[str], float]  # units of 1000 by operation
    window_s: float = 60.0
    limit: float = 1000.0
    retry_after: bool = False
    refuse: int = 0  # so many requests are refused, whatever the budget
    spent: dict[tuple[str | None, int], float] = field(default_factory=dict)  # by project and number of the window
    taken: list[tuple[float, str, str | None]] = field(default_factory=list)  # seconds, operation, project
    refused: list[float] = field(default_factory=list)  # seconds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        operation = asked["operationName"]
        project = charge_of(operation, asked["variables"]).project
        at = self.clock.now_s - 1000.0
        window = (project, int(at // self.window_s))
        left = self.limit - self.spent.get(window, 0.0)
        reset_s = self.window_s - at % self.window_s
        over = left <= 0 or self.refuse > 0
        if over:
            self.refuse -= 1
            self.refused.append(at)
        else:
            self.taken.append((at, operation, project))
            left -= self.cost(operation)
            self.spent[window] = self.limit - left
        headers = {
            "ratelimit-limit": f"{self.limit:g}",
            "ratelimit-remaining": f"{max(0.0, left):.0f}",
            "ratelimit-reset": f"{reset_s + 0.001:.3f}",  # an answer is some time on its way
        }
        if over and self.retry_after:
            headers["retry-after"] = f"{reset_s:.3f}"
        if over:
            return httpx.Response(429, headers=headers, stream=REFUSED)
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b'{"data": {}}'))


def session_on(
    server: httpx.AsyncBaseTransport,
    limits: Limits,
    *,
    on_retry: OnRetry | None = None,
    **settings: float,
) -> Session:
    """A session with the usual settings."""
    chosen = ServerSettings(base_url=URL, **settings)  # type: ignore[arg-type]
    return Session(
        deployment_of(URL),
        ApiKey("k" * 40, "a test"),
        chosen,
        limits=limits,
        on_retry=on_retry,
        transport=server,
    )


def project(name: str, **more: object) -> Mapping[str, object]:
    """Variables that name a project."""
    return {"entity": "team", "project": name, **more}
