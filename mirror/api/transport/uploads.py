"""Bytes up: one PUT for one address. The key goes along to the base URL alone; storage hosts never see it.

W&B API notes, sections 1 and 7. Nothing here puts the query of an address into a message.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import anyio
import anyio.to_thread
import httpx

from mirror.api.limits.host import USER, Limits
from mirror.api.limits.pace import Incoming
from mirror.api.limits.spent import Meter
from mirror.api.transport.connection import not_connected
from mirror.api.transport.credentials import ApiKey, authorization
from mirror.api.transport.deployment import Deployment
from mirror.api.transport.pools import Pools
from mirror.api.transport.transfer_answers import host_of
from mirror.config import ServerSettings
from mirror.errors import (
    AuthError,
    MirrorError,
    NotWandb,
    RateLimited,
    RefusedByServer,
    ServerError,
    StoreError,
    Unreachable,
    UrlExpired,
)

_CHUNK = 1 << 18
# What the system has taken of a file may be on its way for so long before more is taken, or an answer comes.
_UNSENT_BYTES = 1 << 20
_SLOW_LINK_BYTES_PER_S = 4096
_NEVER = frozenset({501, 505})  # of the 5xx, those that asking again does not help
_NO_AUTH = httpx.Auth()  # httpx would make credentials of a user name in an address


class Uploads:
    """Uploads of one client.

    Args:
        deployment: relative addresses are on its base URL, which alone gets the key.
        key: the API key.
        settings: timeouts, how many transfers at once.
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
        self._key = key
        self._settings = settings
        self._meter = meter
        self._incoming = incoming
        self._pools = Pools(settings, deployment.base_url, transport)
        self._limits: dict[str, Limits] = {}

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pools.aclose()

    async def put(self, url: str, headers: Mapping[str, str], source: Path, size: int) -> None:
        """Send a file; see `Client.upload`."""
        target = self._target(url)
        host = host_of(target.netloc.decode("ascii"))
        sent = {**headers, "Content-Length": str(size), **authorization(self._deployment, self._key, target)}
        gate = self._limits.setdefault(host, Limits(concurrent=self._settings.concurrent_transfers, host=host))
        failed: MirrorError
        async with gate.turn() as turn, self._pools.client() as http:
            self._meter.transfer_requests += 1
            try:
                response = await self._send(http, target, sent, source, size)
            except (httpx.HTTPError, TimeoutError) as error:
                broke = Unreachable(f"the connection to {host} broke during an upload", answered=True)
                failed = not_connected(error, host) or broke
            except OSError as error:
                failed = StoreError(f"the bytes of an upload cannot be read: {error.strerror or error}")
            except ValueError:
                failed = ServerError(f"{self._deployment.host} gave headers for an upload that cannot be sent")
            else:
                asked_wait_s = gate.learn(response.headers, status=response.status_code, turn=turn)
                if response.is_success:
                    return
                failed = _refusal(response.status_code, host, with_key="Authorization" in sent)
                if isinstance(failed, RateLimited):
                    longest_s = self._settings.retry_wait_max_s
                    gate.refused(USER, began=turn.began, asked_s=asked_wait_s, longest_s=longest_s)
        raise failed  # outside of the handler: the foreign error holds the request, and with it key and signature

    async def _send(
        self, http: httpx.AsyncClient, target: httpx.URL, headers: Mapping[str, str], source: Path, size: int
    ) -> httpx.Response:
        """Send the file and read the answer's head; its body says nothing more."""
        timeout_s = self._settings.timeout_s
        patience_s = timeout_s + min(size, _UNSENT_BYTES) / _SLOW_LINK_BYTES_PER_S
        timeout = httpx.Timeout(patience_s, connect=http.timeout.connect, pool=None)
        with anyio.fail_after(math.inf) as answer:

            async def chunks() -> AsyncIterator[bytes]:
                if size <= _CHUNK:  # a thread is asked once for all of it
                    yield (content := await anyio.to_thread.run_sync(source.read_bytes))
                    self._meter.bytes_up += len(content)
                else:
                    async with await anyio.open_file(source, "rb") as file:
                        while chunk := await file.read(_CHUNK):
                            yield chunk
                            self._meter.bytes_up += len(chunk)
                answer.deadline = anyio.current_time() + patience_s + timeout_s

            sending = http.stream("PUT", target, content=chunks(), headers=headers, auth=_NO_AUTH, timeout=timeout)
            async with sending as response:
                await self._incoming.start(response)
                return response

    def _target(self, url: str) -> httpx.URL:
        on_base = url[:1] == "/" and url[:2] != "//"
        try:
            target = httpx.URL(self._deployment.base_url + url if on_base else url)
        except (httpx.InvalidURL, ValueError):
            target = httpx.URL()
        if target.scheme not in {"http", "https"} or not target.host:
            raise ServerError(f"{self._deployment.host} gave an upload address that is none")
        return target


def _refusal(status: int, host: str, *, with_key: bool) -> MirrorError:
    if status == 401 and with_key:
        return AuthError(f"{host} refused the API key (HTTP 401)")
    if status in {400, 401, 403}:  # a signature that is over answers either
        return UrlExpired(f"{host} refused an upload address (HTTP {status}): it may have expired", status=status)
    if 300 <= status < 400:
        return NotWandb(f"{host} redirects instead of taking an upload (HTTP {status})", status=status)
    if status == 429:
        return RateLimited(f"{host} asked for fewer uploads (HTTP 429)", answered=True)
    if status in {408, 425} or (status >= 500 and status not in _NEVER):
        return Unreachable(f"{host} is not available now (HTTP {status})", answered=True)
    if status == 413:
        return RefusedByServer(f"{host} does not take a file of this size (HTTP 413)", status=status)
    return RefusedByServer(f"{host} refused an upload (HTTP {status})", status=status)
