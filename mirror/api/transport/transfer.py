"""Bytes down: one attempt for one address. The caller owns what is held already, and so the loop around it.

    async with client.download(url, offset=held) as body:
        if body.offset != held: ...            # 0: the server began at the start, so throw away what is held
        async for chunk in body: ...           # 256 KiB to about 1 MiB, the last one shorter

Storage hosts never get the key: it goes to the base URL alone, and not even there after a redirect came from
elsewhere. Nothing here puts the query of an address into a message. W&B API notes, sections 1, 2 and 7.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from types import TracebackType

import anyio
import httpx

from mirror.api.limits.host import TOO_MANY_REQUESTS, USER, Limits, Turn
from mirror.api.limits.pace import Incoming
from mirror.api.limits.spent import Meter
from mirror.api.transport.body import Body
from mirror.api.transport.connection import not_connected
from mirror.api.transport.credentials import ApiKey, authorization
from mirror.api.transport.deployment import Deployment
from mirror.api.transport.pools import Pools
from mirror.api.transport.signed_url import SignedUrl
from mirror.api.transport.transfer_answers import REDIRECTS, extent, host_of, refusal
from mirror.backoff import jittered_backoff_s
from mirror.config import ServerSettings
from mirror.errors import MirrorError, RangeRefused, RateLimited, ServerError, Unreachable, UrlExpired

MOST_REDIRECTS = 5
FIRST_WAIT_S = 1.0  # doubled for each further try
HEAD_FACTOR = 3  # a head that trickles may take so many request timeouts in total
_DEAD_S = 10.0  # an idle connection is given up before storage closes it under a request

# httpx would make credentials of a user name in an address.
_NO_AUTH = httpx.Auth()


class Download:
    """One attempt, as an async context manager; made by `Transfers.download`."""

    def __init__(self, transfers: Transfers, url: str, offset: int, etag: str | None) -> None:
        self._opening = transfers.open(url, offset, etag)

    async def __aenter__(self) -> Body:
        """Send the request and read the answer's head."""
        return await anext(self._opening)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connection; one whose body was not read to its end is closed."""
        await self._opening.aclose()


class Transfers:
    """Downloads of one client: a pool of connections of its own, and one gate for each host.

    Args:
        deployment: relative addresses are on its base URL, which alone gets the key.
        key: the API key.
        settings: timeouts, tries, how many transfers at once for each host.
        meter: counts what is spent.
        incoming: the bodies that come to the client.
        transport: replaces the network, for tests.
        on_retry: told the reason and the wait in seconds when a host asks for fewer downloads.
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
        on_retry: Callable[[str, float], None] | None = None,
    ) -> None:
        self._deployment = deployment
        self._base_host = httpx.URL(deployment.base_url).host
        self._key = key
        self._settings = settings
        self._meter = meter
        self._incoming = incoming
        self._on_retry = on_retry
        self._patience_s = settings.rate_limit_patience_minutes * 60
        self._limits: dict[str, Limits] = {}
        # Each host has its own gate, so the pool itself needs no bound but for idle connections.
        pool = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=4 * settings.concurrent_transfers,
            keepalive_expiry=_DEAD_S,
        )
        # Ranges and lengths are about the stored bytes: compression is not asked for, though undone where it comes.
        self._pools = Pools(settings, deployment.base_url, transport, encoding="identity", pool=pool)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pools.aclose()

    def download(self, url: SignedUrl | str, *, offset: int = 0, etag: str | None = None) -> Download:
        """One attempt; see `Client.download`."""
        return Download(self, url.reveal() if isinstance(url, SignedUrl) else url, offset, etag)

    def retry_wait_s(self, error: MirrorError, tries: int, *, refused_s: float = 0.0) -> float | None:
        """See `Client.retry_wait_s`. A wait that the server asked for is kept by the gate, for every transfer."""
        if not error.transient or isinstance(error, UrlExpired) or tries >= self._settings.retry_attempts:
            return None
        if isinstance(error, RateLimited):
            return None if error.is_waited_out or refused_s >= self._patience_s else 0.0
        if isinstance(error, RangeRefused):
            return 0.0
        longest_s = self._settings.retry_wait_max_s
        return jittered_backoff_s(tries - 1, first_s=FIRST_WAIT_S, longest_s=longest_s)

    async def open(self, url: str, offset: int, etag: str | None) -> AsyncGenerator[Body, None]:
        """Follow an address to its bytes; yields once.

        Raises:
            MirrorError: as `Client.download` says.
        """
        target = self._first(url)
        with_key = True
        for _ in range(MOST_REDIRECTS + 1):
            # Storage is on another host as a rule, and an address is long to parse: only one on this host is looked at.
            with_key = with_key and target.host == self._base_host
            headers = authorization(self._deployment, self._key, target) if with_key else {}
            with_key = bool(headers)
            on_base = with_key
            if offset:
                headers["Range"] = f"bytes={offset}-"
                if etag and not etag.startswith("W/"):
                    headers["If-Range"] = etag
            limits = self._gate(target)
            self._check_refusals(limits, target)
            async with limits.turn(patience_s=self._patience_s) as turn, self._pools.client() as http:
                response = await self._send(http, target, headers)
                try:
                    status = response.status_code
                    asked_wait_s = limits.learn(response.headers, status=status, turn=turn)
                    if status in (200, 206):
                        host = host_of(target.netloc.decode("ascii"))
                        begin, total = extent(status, response.headers, offset, host)
                        yield Body(response, incoming=self._incoming, host=host, offset=begin, total=total)
                        return
                    if status == TOO_MANY_REQUESTS:
                        self._refused(limits, target, turn, asked_wait_s)
                    elif asked_wait_s is not None:
                        limits.check(patience_s=self._patience_s)
                    target = await self._elsewhere(response, target, on_base=on_base)
                finally:
                    await _close(response)
        raise ServerError(f"{self._deployment.host} redirects a file more than {MOST_REDIRECTS} times")

    def _refused(self, limits: Limits, target: httpx.URL, turn: Turn, asked_s: float | None) -> None:
        """Hold a host's transfers after a 429; many are under way, so only a longer hold is told."""
        held_s = limits.held_s()
        longest_s = self._settings.retry_wait_max_s
        wait_s = limits.refused(USER, began=turn.began, asked_s=asked_s, longest_s=longest_s)
        if self._on_retry is not None and wait_s > held_s:
            host = host_of(target.netloc.decode("ascii"))
            self._on_retry(f"{host} asked for fewer downloads (HTTP 429)", wait_s)
        self._check_refusals(limits, target)

    def _check_refusals(self, limits: Limits, target: httpx.URL) -> None:
        """Keep nobody waiting for a host that has refused everything for as long as is allowed.

        Raises:
            RateLimited: it did, or asks for a wait that is too long by itself.
        """
        limits.check(patience_s=self._patience_s)
        if limits.held_s() and limits.refused_for_s() + limits.held_s() >= self._patience_s:
            host = host_of(target.netloc.decode("ascii"))
            raise RateLimited(f"{host} asked for fewer downloads and kept asking (HTTP 429)", is_waited_out=True)

    async def _elsewhere(self, response: httpx.Response, source: httpx.URL, *, on_base: bool) -> httpx.URL:
        """Where a redirect goes.

        Raises:
            MirrorError: it is no redirect, or one that is not followed.
        """
        host = host_of(source.netloc.decode("ascii"))
        start = await self._incoming.start(response)
        location = response.headers.get("location")
        if response.status_code not in REDIRECTS or not location:
            raise refusal(response.status_code, response.headers, start, host, on_base=on_base)
        target: httpx.URL | None
        try:
            target = source.join(location)
        except (httpx.InvalidURL, ValueError):
            target = None
        if target is None or target.scheme not in {"http", "https"} or not target.host:
            raise ServerError(f"{host} redirects a file to an address that cannot be asked")
        if source.scheme == "https" and target.scheme == "http":
            raise ServerError(f"{host} redirects a file from https to http, where anybody could change it")
        return target

    async def _send(self, http: httpx.AsyncClient, target: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        """Send the request and read the answer's head.

        Raises:
            Unreachable: there is none.
        """
        self._meter.transfer_requests += 1
        failed: Unreachable
        try:
            with anyio.fail_after(HEAD_FACTOR * self._settings.timeout_s):
                return await http.send(http.build_request("GET", target, headers=headers), stream=True, auth=_NO_AUTH)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            failed = self._no_answer(error, host_of(target.netloc.decode("ascii")))
        raise failed  # outside of the handler: the foreign error holds the request, and with it key and signature

    def _no_answer(self, error: Exception, host: str) -> Unreachable:
        if (unreachable := not_connected(error, host)) is not None:
            return unreachable
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            return Unreachable(f"{host} did not answer within {self._settings.timeout_s:g} s", answered=True)
        return Unreachable(f"the connection to {host} broke before it gave a file", answered=True)

    def _first(self, url: str) -> httpx.URL:
        """An absolute address; a relative one is on the base URL.

        Raises:
            ServerError: nothing can be asked there over HTTP.
        """
        target: httpx.URL | None
        try:
            target = httpx.URL(url)
            if target.is_relative_url:
                # Below the path prefix that a base URL may have, as the SDK has it.
                on_base = url[:1] == "/" and url[:2] != "//"
                target = httpx.URL(self._deployment.base_url + url) if on_base else None
        except (httpx.InvalidURL, ValueError, TypeError):
            target = None
        if target is None or target.scheme not in {"http", "https"} or not target.host:
            shown = SignedUrl(url).part_key[:200] or "nothing"
            raise ServerError(
                f"{self._deployment.host} lists a file at {host_of(shown)}, which cannot be fetched over HTTP",
                hint="it is a reference to another store, or was never uploaded",
            )
        return target

    def _gate(self, target: httpx.URL) -> Limits:
        """The gate of a host, shared by every transfer of this client."""
        name = f"{target.scheme}://{target.netloc.decode('ascii')}"
        gate = self._limits.get(name)
        if gate is None:
            host = host_of(target.netloc.decode("ascii"))
            gate = self._limits[name] = Limits(concurrent=self._settings.concurrent_transfers, host=host)
        return gate


async def _close(response: httpx.Response) -> None:
    """Let go of a connection, also under cancellation."""
    if response.is_closed:  # as httpx leaves one that was read to its end
        return
    with anyio.CancelScope(shield=True):
        try:
            await response.aclose()
        except httpx.HTTPError:
            return
