"""The W&B API in methods named for what they are for. No retries and no limits in here: those are the session's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from mirror.api.fitting.known_server import KnownServer
from mirror.api.limits.host import Limits
from mirror.api.limits.pace import Incoming
from mirror.api.limits.spent import Meter, Spent
from mirror.api.questions.artifacts import ArtifactQuestions
from mirror.api.questions.contents import ContentQuestions
from mirror.api.questions.listings import ListingQuestions
from mirror.api.questions.looks import LookQuestions
from mirror.api.questions.server import ServerQuestions
from mirror.api.questions.streams import StreamQuestions
from mirror.api.questions.syncing import SyncQuestions
from mirror.api.rows.writes import UploadSlot
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import Deployment
from mirror.api.transport.file_stream import FileStreams
from mirror.api.transport.session import OnRetry, Session
from mirror.api.transport.signed_url import SignedUrl
from mirror.api.transport.transfer import Download, Transfers
from mirror.api.transport.uploads import Uploads
from mirror.config import ServerSettings
from mirror.errors import MirrorError


class Client(
    ServerQuestions,
    ListingQuestions,
    ContentQuestions,
    StreamQuestions,
    ArtifactQuestions,
    LookQuestions,
    SyncQuestions,
):
    """One deployment, read and written with one API key. An async context manager.

    Every question may raise what `Session.graphql` raises: AuthError, NotFound, Unreachable, RateLimited, ServerError,
    GraphQLError, DocumentRefused, NotOffered, NotWandb.

    Args:
        deployment: the server.
        key: the API key.
        settings: timeouts, tries, concurrency.
        limits: the gate that all GraphQL requests of the process to this host pass; None: one of its own.
        on_retry: told the reason and the wait in seconds of each retry.
        transport: replaces the network, for tests.
        known: what is known of the server; shared by the clients of a process. None: nothing, it is taken to be a
            current one until it refuses something.
    """

    def __init__(
        self,
        deployment: Deployment,
        key: ApiKey,
        settings: ServerSettings,
        *,
        limits: Limits | None = None,
        on_retry: OnRetry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        known: KnownServer | None = None,
    ) -> None:
        self._meter = Meter()
        incoming = Incoming(settings, self._meter)
        session = Session(
            deployment, key, settings, limits=limits, on_retry=on_retry, transport=transport, meter=self._meter,
            incoming=incoming,
        )  # fmt: skip
        super().__init__(deployment, session, known or KnownServer())
        self._transfers = Transfers(
            deployment, key, settings, meter=self._meter, incoming=incoming, transport=transport, on_retry=on_retry
        )
        self._uploads = Uploads(deployment, key, settings, meter=self._meter, incoming=incoming, transport=transport)
        self._file_streams = FileStreams(
            deployment, key, settings, meter=self._meter, incoming=incoming, transport=transport
        )

    async def __aenter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        try:
            await self._transfers.aclose()
            await self._uploads.aclose()
            await self._file_streams.aclose()
        finally:
            await self._session.aclose()

    @property
    def spent(self) -> Spent:
        """Requests and bytes so far."""
        return self._meter.spent

    def set_ceiling(self, requests_per_second: float | None) -> None:
        """Ask no more questions a second than this from now on, whoever shares the limits; None: no ceiling."""
        self._session.set_ceiling(requests_per_second)

    def download(self, url: SignedUrl | str, *, offset: int = 0, etag: str | None = None) -> Download:
        """Bytes of a file or an export: one attempt, as an async context manager that gives a `Body`.

        The loop lives with the caller, who owns the partial file and its offset; see `retry_wait_s`.

        Args:
            url: from a listing; relative to the base URL, or anywhere. Only the base URL gets the key.
            offset: the first byte wanted. `Body.offset` tells where the server really begins.
            etag: of the body whose bytes are held already: other bytes than those come whole, from 0.

        Raises (on entering, and while the body is read):
            UrlExpired: ask for a new address; this one will not do any more.
            RangeRefused: there is nothing at `offset`: begin again at 0.
            NotFound: the bytes are gone, or were never held by the server.
            AuthError: the base URL refused the key.
            Unreachable: no answer, a broken or short one, or "later"; RateLimited when it was asked to slow down.
            ServerError: another answer.
        """
        return self._transfers.download(url, offset=offset, etag=etag)

    async def upload(self, slot: UploadSlot, source: Path, size: int) -> None:
        """Put the bytes of a file where `upload_slots` said: one attempt. Doing it twice does no harm.

        Args:
            slot: where they go.
            source: the file.
            size: its length in bytes.

        Raises:
            UrlExpired: ask for a new address.
            Unreachable: no answer, or "later"; RateLimited when it was asked to slow down.
            RefusedByServer: the storage does not take the file, for example because it is too large.
        """
        if slot.url is not None:
            await self._uploads.put(slot.url, slot.headers, source, size)

    async def stream(
        self, entity: str, project: str, run_id: str, body: Mapping[str, Any], *, compressed: bool = False
    ) -> None:
        """Send lines that a run logged, and what becomes of it: one attempt. Doing it twice does no harm.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            body: as the SDK's file stream has it: `files` by name with `offset` and `content`, `complete`, `exitcode`.
            compressed: the server takes gzip.

        Raises:
            NotFound: there is no such run.
            AuthError, Forbidden: the key may not log to it.
            Unreachable: no answer, or "later"; RateLimited when it was asked to slow down.
            RefusedByServer: the server does not take it.
        """
        await self._file_streams.send(entity, project, run_id, body, compressed=compressed)

    def retry_wait_s(self, error: MirrorError, tries: int, *, refused_s: float = 0.0) -> float | None:
        """How long to wait before the same bytes are asked for again, seconds; None: it is no use.

        Args:
            error: what the attempt came to. Not for `UrlExpired`, which needs another address and no wait.
            tries: attempts without a byte of progress so far, at least 1, without those that a `RateLimited` ended.
            refused_s: seconds since the first of a row of `RateLimited`.
        """
        return self._transfers.retry_wait_s(error, tries, refused_s=refused_s)
