"""The HTTP side: who may ask, how much, and where. What is answered is the engine's and the files' own."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mirror.errors import MirrorError
from mirror.gateway.addresses import ROOT, Addresses, signer
from mirror.gateway.engine import Dear, Engine
from mirror.gateway.http.artifact_bytes import object_of
from mirror.gateway.http.bodies import BODY_MAX, Bodies, NoRoom, TooLong, TooSlow
from mirror.gateway.http.budget import Budget, SentInPieces
from mirror.gateway.http.hosts import is_own, is_own_origin, own_names
from mirror.gateway.http.key import GatewayKey
from mirror.gateway.http.served_bytes import Downloads, serve_object, serve_signed
from mirror.gateway.http.uploads import Uploads
from mirror.gateway.training import Trainings
from mirror.records.addresses import RunPath
from mirror.run.pending.local import LocalMirror
from mirror.store.engine.freed_memory import give_back
from mirror.typed import decode
from mirror.wandb_protocol.credentials import key_in
from mirror.wandb_protocol.errors import RequestRefused, errors_object, json_body

THREADS = 4  # that execute documents; more would wait for one another
_LARGE_BODY = 1024 * 1024  # bytes; parsed, they can take twenty times as many
_GZIP_FROM = 1024  # bytes
_FREED_FROM = 4 * 1024 * 1024  # bytes of an answer, after which the C library is told to keep nothing back
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_NO_PAGE = "the gateway has no such page: it answers W&B's API alone"
_log = logging.getLogger(__name__)
Answer = Callable[[Request], Awaitable[Response]]


class People(Protocol):
    """What a gateway shows to people: pages, and what their scripts ask."""

    def routes(self) -> Sequence[BaseRoute]:
        """Where its own things are."""

    async def page(self, request: Request) -> Response | None:
        """The page at an address; None where none is, or no browser asks."""


class _Turns(NamedTuple):
    """Of one event loop."""

    usual: CapacityLimiter
    dear: CapacityLimiter  # for large bodies, and for documents that ask for much
    threads: CapacityLimiter  # of both
    budget: Budget  # of their answers
    bodies: Bodies


class Gateway:
    """Answers every request of one gateway.

    Args:
        mirror: the home.
        key: that requests must carry.
        read_only: refuse every change.
        upload_most_bytes: of a file that is put here.
        hosts: more names under which it may be asked, such as the one that it listens on.
        pages: makes what people look at, of the engine and the names under which it may be asked; None: there is none.
    """

    def __init__(
        self,
        mirror: LocalMirror,
        key: GatewayKey,
        *,
        read_only: bool = False,
        upload_most_bytes: int = 10**10,
        hosts: frozenset[str] = frozenset(),
        pages: Callable[[Engine, frozenset[str]], People] | None = None,
    ) -> None:
        self._mirror, self._key = mirror, key
        self._trainings = Trainings(mirror, read_only=read_only)
        self._engine = Engine(mirror, self._trainings, read_only=read_only)
        self._signer = signer(key.signing_secret)
        self._uploads = Uploads(
            mirror, self._signer, self._trainings, most_bytes=upload_most_bytes, read_only=read_only
        )
        self._names = own_names() | hosts
        self._people = None if pages is None else pages(self._engine, self._names)
        self._downloads = Downloads()
        self._turn: _Turns | None = None  # of the event loop that asks first
        self.asgi = Starlette(
            routes=[
                Route("/graphql", self._guarded(self._graphql), methods=["POST"]),
                Route(f"{ROOT}{{path:path}}", self._guarded(self._bytes, needs_key=False), methods=["GET", "HEAD"]),
                Route("/artifacts/{path:path}", self._guarded(self._artifact), methods=["GET", "HEAD"]),
                Route("/artifactsV2/{path:path}", self._guarded(self._artifact), methods=["GET", "HEAD"]),
                Route(f"{ROOT}{{path:path}}", self._guarded(self._uploads.take, needs_key=False), methods=["PUT"]),
                Route("/files/{run:path}/file_stream", self._guarded(self._stream), methods=["POST"]),
                Route("/sdk/otel/v1/{signal}", self._guarded(_not_wanted, needs_key=False), methods=["POST"]),
                Route("/ready", self._guarded(_ready, needs_key=False), methods=["GET"]),
                Route("/graphql", self._guarded(_posted_alone, needs_key=False), methods=[*_METHODS - {"POST"}]),
                *([] if self._people is None else self._people.routes()),
                Route("/{rest:path}", self._page, methods=["GET", "HEAD"]),
                Route("/{rest:path}", self._guarded(_nothing), methods=[*_METHODS]),
            ],
            exception_handlers={HTTPException: _unknown, Exception: _failed},
        )

    def prepare(self) -> None:
        """Make ready what the first answer needs."""
        self._engine.prepare()

    def _guarded(self, answer: Answer, *, needs_key: bool = True) -> Answer:
        """An endpoint that no web page and nobody without the key reaches."""

        async def endpoint(request: Request) -> Response:
            host = request.headers.get("host")
            if not is_own(host, self._names) or not is_own_origin(request.headers.get("origin"), host):
                return _refusal(403, "this gateway answers under its own names alone: 127.0.0.1 or localhost")
            if needs_key:
                key = key_in(request.headers.get("authorization"))
                if key is None or not self._key.admits(key):
                    return _refusal(401, "user is not logged in: WANDB_API_KEY must be the gateway's own key")
            try:
                return await answer(request)
            except ClientDisconnect:
                return Response(status_code=400)

        return endpoint

    async def _page(self, request: Request) -> Response:
        """What is at any other address: a page, if a browser asks for one that there is."""
        found = None if self._people is None else await self._people.page(request)
        return found if found is not None else await self._guarded(_nothing)(request)

    async def _graphql(self, request: Request) -> Response:
        if request.headers.get("content-encoding", "identity") != "identity":
            return _refusal(415, "a request's body comes as it is: content-encoding is not understood here")
        turns = self._turns()
        try:
            async with turns.bodies.of(request) as body:
                return await self._answered(request, body)
        except TooLong:
            return _refusal(413, f"a request may have {BODY_MAX} bytes, not more: ask, or change, in several requests")
        except TooSlow:
            return _refusal(408, "the request did not come within its time")
        except NoRoom:
            return _refusal(503, "too many large requests come at once; try again in a moment", {"retry-after": "1"})

    async def _answered(self, request: Request, body: bytes) -> Response:
        addresses = self._addresses(request)
        acceptable = "gzip" in request.headers.get("accept-encoding", "")
        turns = self._turns()
        make = partial(self._answer, body, addresses, acceptable)
        if len(body) < _LARGE_BODY:
            with suppress(Dear):
                return await self._within(turns.usual, partial(make, takes_dear=False))
        return await self._within(turns.dear, make)

    async def _within(self, turn: CapacityLimiter, make: Callable[[], SentInPieces]) -> SentInPieces:
        """An answer that is begun when its turn came and then there is room for it, so that few are begun at once."""
        turns = self._turns()
        async with turn:
            await turns.budget.room()
            answer = await to_thread.run_sync(make, limiter=turns.threads)
            turns.budget.take(answer)
        return answer

    def _turns(self) -> _Turns:
        """Made within the loop that serves."""
        if self._turn is None:
            limiters = CapacityLimiter(THREADS), CapacityLimiter(1), CapacityLimiter(THREADS + 1)
            self._turn = _Turns(*limiters, Budget(), Bodies())
        return self._turn

    def _addresses(self, request: Request) -> Addresses:
        return Addresses(base_url=f"{request.url.scheme}://{request.headers['host']}", signer=self._signer)

    def _answer(self, body: bytes, addresses: Addresses, gzipped: bool, *, takes_dear: bool = True) -> SentInPieces:
        status, answer = self._engine.answer(body, addresses, takes_dear=takes_dear)
        size = len(answer)
        headers = {"cache-control": "no-store"}
        if gzipped and len(answer) >= _GZIP_FROM:
            answer = gzip.compress(answer, compresslevel=1)
            headers["content-encoding"] = "gzip"
        if size > _FREED_FROM:
            give_back()
        return SentInPieces(answer, status_code=status, headers=headers, media_type="application/json")

    def close(self) -> None:
        """End well: what processes logged is taken in."""
        self._trainings.close()

    async def _stream(self, request: Request) -> Response:
        """Lines that a process logs to its run."""
        entity, _, rest = request.path_params["run"].partition("/")
        project, _, run_id = rest.partition("/")
        turns = self._turns()
        try:
            async with turns.bodies.of(request) as content:
                body = decode(content, dict[str, Any])
                record = partial(self._trainings.stream, RunPath(entity, project, run_id), body)
                answer = await to_thread.run_sync(record, limiter=turns.usual)
        except TooLong:
            return _refusal(413, f"a request may have {BODY_MAX} bytes, not more: log in several requests")
        except TooSlow:
            return _refusal(408, "the request did not come within its time")
        except NoRoom:
            return _refusal(503, "too many large requests come at once; try again in a moment", {"retry-after": "1"})
        except (msgspec.DecodeError, ValueError, TypeError, AttributeError):
            return _refusal(400, "a file stream is a JSON object of files, each with an offset and lines")
        except RequestRefused as refused:
            return _refusal(refused.status, str(refused))
        except MirrorError as error:
            return _refusal(503, error.message, {"retry-after": "5"})
        return Response(json_body(answer), media_type="application/json")

    async def _artifact(self, request: Request) -> Response:
        """Bytes of a file of an artifact, by the digest in its manifest."""

        def find(path: str, addresses: Addresses) -> str:
            with self._engine.opened(addresses) as context:
                return object_of(context, path)

        try:
            digest = await to_thread.run_sync(
                find, request.path_params["path"], self._addresses(request), limiter=self._turns().usual
            )
        except MirrorError as error:
            return _refusal(404, str(error))
        return await serve_object(request, self._mirror.objects, digest, self._downloads)

    async def _bytes(self, request: Request) -> Response:
        return await serve_signed(request, self._mirror.objects, self._signer, self._downloads)


async def _not_wanted(_request: Request) -> Response:
    """What the SDK tells W&B of itself, without a key: read by nobody, and answered, or the SDK tells its user."""
    return Response(status_code=200, media_type="application/x-protobuf")


async def _ready(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _posted_alone(_request: Request) -> Response:
    return _refusal(405, "documents are sent with POST", {"allow": "POST"})


async def _unknown(_request: Request, error: Exception) -> Response:
    """The answer to methods and targets that no route has."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _refusal(status, "the gateway knows no such method" if status == 405 else _NO_PAGE)


async def _failed(_request: Request, error: Exception) -> Response:
    _log.error("the gateway failed", exc_info=error)
    return _refusal(500, "the gateway failed; its log has the error, a defect of wandb-mirror")


async def _nothing(_request: Request) -> Response:
    return _refusal(404, _NO_PAGE)


def _refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = json_body(errors_object(message))
    return Response(body, status_code=status, headers=headers, media_type="application/json")
