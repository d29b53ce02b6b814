"""Lines up: what a run logs goes to an address of its own, which is no GraphQL (W&B API notes, section 9)."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from mirror.api.limits.host import USER, Limits
from mirror.api.limits.pace import Incoming
from mirror.api.limits.spent import Meter
from mirror.api.transport.connection import not_connected
from mirror.api.transport.credentials import ApiKey, authorization
from mirror.api.transport.deployment import Deployment
from mirror.api.transport.pools import Pools
from mirror.config import ServerSettings
from mirror.errors import AuthError, Forbidden, MirrorError, NotFound, RateLimited, RefusedByServer, Unreachable

MOST_BYTES = 64 * 1024  # of an answer, which says next to nothing


class FileStreams:
    """The file streams of one client.

    Args:
        deployment: the server.
        key: the API key.
        settings: timeouts, how many at once.
        meter: counts what is spent.
        incoming: the bodies that come to the client.
        transport: replaces the network, for tests.
    """

    def __init__(
        self,
        deployment: Deployment,
        key: ApiKey,
        settings: ServerSettings,
        *,
        meter: Meter,
        incoming: Incoming,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._deployment = deployment
        self._settings = settings
        self._meter = meter
        self._incoming = incoming
        self._pools = Pools(settings, deployment.base_url, transport)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            **authorization(deployment, key, f"{deployment.base_url}/files"),
        }
        self._gate = Limits(concurrent=settings.concurrent_transfers, host=deployment.host)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pools.aclose()

    async def send(self, entity: str, project: str, run_id: str, body: Mapping[str, Any], *, compressed: bool) -> None:
        """Send one request; see `Client.stream`."""
        host = self._deployment.host
        place = "/".join(quote(part, safe="") for part in (entity, project, run_id))
        content = msgspec.json.encode(body)
        headers = dict(self._headers)
        if compressed:
            content, headers["Content-Encoding"] = gzip.compress(content, 1), "gzip"
        failed: MirrorError
        async with self._gate.turn() as turn, self._pools.client() as http:
            self._meter.transfer_requests += 1
            self._meter.bytes_up += len(content)
            try:
                url = f"{self._deployment.base_url}/files/{place}/file_stream"
                async with http.stream("POST", url, content=content, headers=headers) as response:
                    await self._incoming.start(response)
            except (httpx.HTTPError, TimeoutError) as error:
                broke = Unreachable(f"the connection to {host} broke while lines were sent", answered=True)
                failed = not_connected(error, host) or broke
            else:
                asked_wait_s = self._gate.learn(response.headers, status=response.status_code, turn=turn)
                if response.is_success:
                    return
                failed = _refusal(response.status_code, host)
                if isinstance(failed, RateLimited):
                    longest_s = self._settings.retry_wait_max_s
                    self._gate.refused(USER, began=turn.began, asked_s=asked_wait_s, longest_s=longest_s)
        try:
            raise failed  # outside of the handler: the foreign error holds the request, and with it the key
        finally:
            del failed  # else it and this frame hold each other, and what was sent


def _refusal(status: int, host: str) -> MirrorError:
    """What a status means; lines that were sent again change nothing, so that whatever may pass is tried again."""
    if status == 401:
        return AuthError(f"{host} refused the API key (HTTP 401)")
    if status == 403:
        return Forbidden(f"{host} lets this key log nothing to the run (HTTP 403)")
    if status == 404:
        return NotFound(f"{host} has no such run to log to (HTTP 404)")
    if status == 429:
        return RateLimited(f"{host} asked for fewer lines (HTTP 429)", answered=True)
    if status in {408, 409, 425} or status >= 500:
        return Unreachable(f"{host} takes no lines now (HTTP {status})", answered=True)
    return RefusedByServer(f"{host} refused lines of a run (HTTP {status})", status=status)
