"""The one HTTP client of the process: authentication, timeouts, retries; nothing of httpx leaves this module.

A request passes through three layers: `Limits` says when, `_once` sends and classifies, `graphql` tries again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import anyio
import httpx
import msgspec

from mirror.api.documents.queries import operation_name
from mirror.api.limits.charge import Charge, charge_of
from mirror.api.limits.host import Limits
from mirror.api.limits.pace import Incoming
from mirror.api.limits.spent import Meter, Spent
from mirror.api.rows.answers import TOO_LARGE, Answer, Reply, is_retried, read_answer
from mirror.api.transport.connection import http_client, not_connected, tls_error
from mirror.api.transport.credentials import ApiKey, authorization
from mirror.api.transport.decoding import Undecodable, decoder_of
from mirror.api.transport.deployment import Deployment
from mirror.backoff import jittered_backoff_s
from mirror.config import ServerSettings
from mirror.errors import (
    DocumentRefused,
    GraphQLError,
    MirrorError,
    RateLimited,
    Reported,
    ServerError,
    TooSlow,
    Unreachable,
)

OnRetry = Callable[[str, float], None]
"""Told about each retry: the reason as a sentence without secrets, and the wait in seconds."""

CONNECT_ATTEMPTS = 3  # a server that refuses connections is reported within about 3 s
FIRST_WAIT_S = 1.0  # doubled for each further try
FIRST_CONNECT_WAIT_S = 0.5
# A change was decided on what was read just before: it rather fails, and is decided anew, than goes out much later.
CHANGE_PATIENCE_S = 120.0
DEADLINE_FACTOR = 10  # a body that trickles may take so many request timeouts in total


@dataclass(frozen=True, kw_only=True)
class _FailedTry:
    """One try that failed."""

    error: MirrorError  # what it comes to when it was the last; after a 429 a `RateLimited`
    attempts: int  # tries that this kind of failure is worth
    first_wait_s: float


@dataclass(kw_only=True)
class _Tries:
    """What one question has come to so far."""

    charge: Charge
    attempts: int | None  # at most so many tries; None: as configured
    patience_s: float  # how long a 429 is waited for
    failed: int = 0  # tries, without those that a 429 ended
    refused_at: float | None = None  # when the first 429 came, monotonic seconds

    def patience_left_s(self, now: float) -> float:
        """How much longer the server may let it wait."""
        return self.patience_s if self.refused_at is None else max(0.0, self.refused_at + self.patience_s - now)


class Session:
    """An async context manager around one `httpx.AsyncClient`.

    Args:
        deployment: where requests go, and which addresses may see the key.
        key: sent with HTTP Basic as the password of the user `api`.
        settings: timeouts and the number of tries.
        limits: the gate that all requests pass; shared by whoever shares the process.
        on_retry: told about each retry.
        transport: replaces the network, for tests of what cannot be served on loopback.
        meter: counts what is spent; None: one of its own.
        incoming: the bodies that come to the client; None: those of the session alone.
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
        meter: Meter | None = None,
        incoming: Incoming | None = None,
    ) -> None:
        self._deployment = deployment
        self._key = key
        self._settings = settings
        self._limits = limits or Limits(concurrent=settings.concurrent_requests, host=deployment.host)
        self._patience_s = settings.rate_limit_patience_minutes * 60
        self._on_retry = on_retry
        self._meter = meter or Meter()
        self._incoming = incoming or Incoming(settings, self._meter)
        self._http = http_client(settings, deployment.base_url, transport)
        url = f"{deployment.base_url}/graphql"
        self._url = httpx.URL(url)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            **authorization(deployment, key, url),
        }

    async def __aenter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @property
    def spent(self) -> Spent:
        """Requests and bytes so far."""
        return self._meter.spent

    def set_ceiling(self, requests_per_second: float | None) -> None:
        """Ask no faster than this from now on, whoever shares the limits; None: no ceiling."""
        self._limits.set_ceiling(requests_per_second)

    async def graphql(
        self,
        document: str,
        variables: Mapping[str, object] | None = None,
        *,
        attempts: int | None = None,
        partial: bool = False,
    ) -> Answer:
        """Send one GraphQL document and return its data.

        A 429 is no failed attempt: the server did nothing, and asking for less would not help. It is waited for.

        Args:
            document: with one named operation.
            variables: values by name, without `$`.
            attempts: at most so many tries, where the caller has something better to do than ask again.
            partial: take data in which single fields failed; `Answer.errors` names them.

        Raises:
            AuthError: the key was refused.
            NotFound: the server said 404.
            Unreachable: no usable answer within the tries; RateLimited when it asked for too long a wait.
            ServerError: it answered something else; GraphQLError and NotWandb say what.
        """
        operation = operation_name(document)
        body = msgspec.json.encode({"query": document, "variables": variables or {}, "operationName": operation})
        changes = changed_by(document)
        tries = _Tries(
            charge=charge_of(operation, variables or {}),
            attempts=attempts,
            patience_s=self._patience_s if changes is None else min(self._patience_s, CHANGE_PATIENCE_S),
        )
        wait_s: float | None = 0.0
        failure: MirrorError | None = None
        while wait_s is not None:
            await anyio.sleep(wait_s)
            try:
                came = await self._once(body, tries, partial=partial, changes=changes)
            except MirrorError as error:
                wait_s, failure = None, _bare(error)
                continue
            if isinstance(came, Answer):
                return self._without_key(came)
            wait_s, failure = self._wait_before_next(came, tries), _bare(came.error)
        # Raised out here, so that no httpx exception hangs on it as context: its request holds the key.
        try:
            raise self._redacted(failure or Unreachable(f"{self._deployment.host} was not asked"))
        finally:
            failure = None  # else it and this frame hold each other

    def _wait_before_next(self, failed: _FailedTry, tries: _Tries) -> float | None:
        """Seconds until the next try; None when there is none."""
        if isinstance(failed.error, RateLimited):
            return self._wait_refusal(failed, tries)
        tries.failed += 1
        if tries.failed >= min(failed.attempts, tries.attempts or failed.attempts):
            return None
        return self._announce(failed, tries)

    def _wait_refusal(self, refused: _FailedTry, tries: _Tries) -> float | None:
        """Whether a 429 is waited for; the wait itself is in `Limits`, by every request of the same budget."""
        now = self._limits.now()
        if tries.refused_at is None:
            tries.refused_at = now
        held_s = self._limits.held_s(tries.charge)
        if now + held_s - tries.refused_at >= tries.patience_s:
            return None
        self._tell(refused.error, held_s)
        return 0.0

    def _announce(self, failed: _FailedTry, tries: _Tries) -> float:
        """Tell about the next try and return the wait before it, seconds.

        Ours is exponential with jitter. What the server asks for replaces it, and is waited for in `Limits`, by every
        request.
        """
        longest_s = self._settings.retry_wait_max_s
        wait_s = jittered_backoff_s(tries.failed - 1, first_s=failed.first_wait_s, longest_s=longest_s)
        held_s = self._limits.held_s(tries.charge)
        self._tell(failed.error, held_s or wait_s)
        return 0.0 if held_s else wait_s

    def _tell(self, error: MirrorError, wait_s: float) -> None:
        self._meter.retries += 1
        if self._on_retry is not None:
            self._on_retry(self._redacted(error).message, wait_s)

    def _tell_budget(self, wait_s: float) -> None:
        if self._on_retry is not None:
            self._on_retry(f"{self._deployment.host} says that its rate limit is nearly used up", wait_s)

    async def _once(self, body: bytes, tries: _Tries, *, partial: bool, changes: str | None) -> Answer | _FailedTry:
        """One try: wait for a turn, send, read, classify."""
        host, limits, charge = self._deployment.host, self._limits, tries.charge
        patience_s = tries.patience_left_s(limits.now())
        async with limits.turn(charge, patience_s=patience_s, on_wait=self._tell_budget) as turn:
            self._meter.graphql_requests += 1
            self._meter.bytes_up += len(body)
            try:
                with anyio.fail_after(self._settings.timeout_s * DEADLINE_FACTOR):
                    reply = await self._post(body)
            except TooSlow as error:
                return self._retryable(error, None)
            except (httpx.HTTPError, Undecodable, TimeoutError) as error:
                return self._no_answer(error)
            except ServerError as error:  # longer than anybody can be made to hold
                if changes is None:
                    raise
                raise Unreachable(f"{host} may have done it: {error.message}", hint=error.hint, answered=True) from None
            else:
                asked_wait_s = limits.learn(reply.headers, charge, status=reply.status, turn=turn)
                try:
                    answer = read_answer(reply, host, partial=partial, changes=changes)
                    return msgspec.structs.replace(answer, seconds=limits.now() - turn.began)
                except MirrorError as error:
                    is_limit = isinstance(error, RateLimited)  # which some servers tell with status 200
                    if not (is_limit or is_retried(reply.status)) or isinstance(error, DocumentRefused):
                        raise
                    failed = self._retryable(error, asked_wait_s)
                if is_limit:
                    longest_s = self._settings.retry_wait_max_s
                    limits.refused(charge, began=turn.began, asked_s=asked_wait_s, longest_s=longest_s)
                if asked_wait_s is not None:
                    limits.check(charge, patience_s=patience_s)
                return failed

    async def _post(self, body: bytes) -> Reply:
        """Send the request and read the whole body, bounded in the form that it has when it is decoded."""
        async with self._http.stream("POST", self._url, content=body, headers=self._headers) as response:
            answer = bytearray()
            most = self._settings.answer_max_mb * 10**6
            decoder = decoder_of(response.headers.get("content-encoding", ""))
            async for received in self._incoming.pieces(response, self._deployment.host):
                for piece in decoder.pieces(received):
                    answer += piece
                    if len(answer) > most:
                        raise self._too_long()
            decoder.close()
            return Reply(status=response.status_code, headers=response.headers, body=bytes(answer))

    def _too_long(self) -> ServerError:
        """An answer that nobody can be made to hold: what was asked for is asked for in smaller parts."""
        most = self._settings.answer_max_mb
        return ServerError(
            f"{self._deployment.host} sent an answer of more than {most:,} MB",
            hint="server.answer_max_mb in the configuration allows more",
            status=TOO_LARGE,
        )

    def _retryable(self, error: MirrorError, asked_wait_s: float | None) -> _FailedTry:
        """A status that may pass; `error` is what it comes to when it does not."""
        # A wait that the server asked for replaces ours; `Limits` holds every request until then.
        first_wait_s = FIRST_WAIT_S if asked_wait_s is None else 0.0
        return _FailedTry(error=error, attempts=self._settings.retry_attempts, first_wait_s=first_wait_s)

    def _no_answer(self, error: httpx.HTTPError | Undecodable | TimeoutError) -> _FailedTry:
        """What a failed connection or a broken answer means, in words that hold no URL."""
        host = self._deployment.host
        attempts, first_wait_s = self._settings.retry_attempts, FIRST_WAIT_S
        answered = False
        if (unreachable := not_connected(error, host)) is not None:
            if tls_error(error) is None:
                attempts = min(attempts, CONNECT_ATTEMPTS)
                return _FailedTry(error=unreachable, attempts=attempts, first_wait_s=FIRST_CONNECT_WAIT_S)
            unreachable.hint = (
                "check the scheme and port of server.base_url; for a private certificate authority set SSL_CERT_FILE"
                " or REQUESTS_CA_BUNDLE"
            )
            return _FailedTry(error=unreachable, attempts=1, first_wait_s=0.0)
        if isinstance(error, TimeoutError):
            seconds = self._settings.timeout_s * DEADLINE_FACTOR
            what, answered = f"{host} did not finish its answer within {seconds:g} s", True
        elif isinstance(error, httpx.TimeoutException):
            what, answered = f"{host} did not answer within {self._settings.timeout_s:g} s", True
        elif isinstance(error, Undecodable):
            what, answered = f"the answer of {host} is compressed in a way that cannot be read", True
        else:
            what, answered = f"the connection to {host} broke before the answer was whole", True
        return _FailedTry(error=Unreachable(what, answered=answered), attempts=attempts, first_wait_s=first_wait_s)

    def _redacted(self, error: MirrorError) -> MirrorError:
        """`error` without the key, should the server have repeated it in its words."""
        secret = self._key.reveal()
        if isinstance(error, GraphQLError):
            error.reported = self._redacted_words(error.reported)
        error.message = error.message.replace(secret, "[key]")
        error.args = (error.message,)
        return error

    def _without_key(self, answer: Answer) -> Answer:
        """An answer whose errors, if it has some, do not repeat the key."""
        return msgspec.structs.replace(answer, errors=self._redacted_words(answer.errors)) if answer.errors else answer

    def _redacted_words(self, reported: tuple[Reported, ...]) -> tuple[Reported, ...]:
        secret = self._key.reveal()
        return tuple(replace(error, message=error.message.replace(secret, "[key]")) for error in reported)


def _bare(error: MirrorError) -> MirrorError:
    """An error without the frames that it came through, and what it came of: they hold the whole answer."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def changed_by(document: str) -> str | None:
    """The mutation that a document asks for; None for a query."""
    found = re.match(r"\s*mutation\b[^{]*\{\s*(\w+)", document)
    return found[1] if found is not None else None
