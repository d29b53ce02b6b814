"""The page's HTTP side: who may look, what may be asked, and how a browser is held to it.

A request passes in turn: its `Host` is this machine's own; it comes from no other page (`Origin`, `Sec-Fetch-Site`);
it has the cookie, or the gateway's key. What changes something comes by POST with a header that no form can send.
"""

from __future__ import annotations

import hashlib
import hmac
import mimetypes
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from mirror.errors import ConfigError, MirrorError
from mirror.gateway.addresses import Addresses, signer
from mirror.gateway.engine import Engine
from mirror.gateway.http.bodies import Bodies, NoRoom, TooLong, TooSlow
from mirror.gateway.http.hosts import is_own, is_own_origin
from mirror.gateway.http.key import GatewayKey
from mirror.gateway.http.served_bytes import Downloads, serve_object
from mirror.records.addresses import RunPath
from mirror.run.pending.local import LocalMirror
from mirror.store.engine.connection import store_errors
from mirror.store.read.artifacts import read_entries
from mirror.store.read.files import read_files
from mirror.wandb_protocol.credentials import key_in
from mirror.wandb_protocol.errors import RequestRefused
from mirror.web.addresses import ARTIFACT_FILES, FILES
from mirror.web.answers import artifacts, contents, curves, outbox, projects, runs, sql
from mirror.web.answers.one_run import run_answer
from mirror.web.asked import Asked
from mirror.web.entry import COOKIE_S, ENTER, PROOF, Tickets, cookie_name, cookie_value, proof
from mirror.web.file_kinds import content_type
from mirror.web.responses import FILE_POLICY, encoded, packed, page_headers, refusal, refused, with_headers
from mirror.web.shells import ASSETS, Shell, enter_html, page_html, shell_at
from mirror.web.tools import Tools

Question = Callable[..., Any]

THREADS = 4  # that answer at once
SQL_AT_ONCE = 2
_GZIP_FROM = 1024  # bytes
_PIECE = 1 << 18  # bytes of a file that are sent at once
_ASSET = re.compile(r"[a-z]{1,20}\.(js|css|svg)")
Endpoint = Callable[[Request], Awaitable[Response]]


class Pages:
    """The pages of one home.

    Args:
        mirror: the home.
        engine: of its gateway, which remembers what was read of a commit.
        key: of its gateway.
        tools: what the command line does.
        read_only: refuse every change.
        names: under which this machine may be asked.
    """

    def __init__(
        self,
        mirror: LocalMirror,
        engine: Engine,
        key: GatewayKey,
        tools: Tools,
        *,
        read_only: bool,
        names: frozenset[str],
    ) -> None:
        self._mirror, self._engine, self._key, self._tools = mirror, engine, key, tools
        self._read_only, self._names = read_only, names
        self._tickets = Tickets(key)
        self._cookie = cookie_name(key), cookie_value(key)
        self._signer = signer(key.signing_secret)
        self._downloads = Downloads()
        self._limits: tuple[CapacityLimiter, CapacityLimiter, Bodies] | None = None
        self._questions: dict[str, Question] = {
            "projects": projects.projects, "pulse": projects.pulse, "runs": runs.runs, "columns": runs.columns,
            "groups": runs.groups, "members": runs.members, "keys": runs.keys, "curves": curves.curves,
            "system": curves.system, "importance": curves.importance, "run": run_answer(tools.entry),
            "console": contents.console, "files": contents.files, "table": contents.table, "media": contents.media,
            "histogram": contents.histogram, "artifacts": artifacts.artifacts, "artifact": artifacts.artifact,
            "schema": sql.schema, "mirror": lambda _ctx, _asked: tools.status(),
            "outbox": lambda ctx, _asked: outbox.outbox(tools, ctx),
            "diff": lambda _ctx, asked: outbox.diff(tools, asked),
        }  # fmt: skip
        self._deeds: dict[str, Question] = {
            "edit": lambda ctx, body: outbox.edit(ctx, body),
            "decide": lambda ctx, body: outbox.decide(tools, ctx, body),
            "sql": lambda _ctx, body: sql.sql(mirror.home, body),
        }

    def routes(self) -> list[BaseRoute]:
        """Where the page's own things are; pages are at all other addresses (see `page`)."""
        return [
            Route(ENTER, self._from_here(self._enter), methods=["GET"]),
            Route(ENTER, self._from_here(self._enter_by_key), methods=["POST"]),
            Route(PROOF, self._from_here(self._proof), methods=["GET"]),
            Route(f"{ASSETS}{{name}}", self._from_here(self._asset), methods=["GET"]),
            Route("/-/data/sql/{form}", self._guarded(self._sql_file), methods=["POST"]),
            Route("/-/data/{name}", self._guarded(self._answer), methods=["GET"]),
            Route("/-/data/{name}", self._guarded(self._deed), methods=["POST"]),
            Route(f"{FILES}{{rest:path}}", self._guarded(self._file), methods=["GET", "HEAD"]),
            Route(f"{ARTIFACT_FILES}{{rest:path}}", self._guarded(self._artifact_file), methods=["GET", "HEAD"]),
        ]

    async def page(self, request: Request) -> Response | None:
        """The page at an address; None where none is, or no browser asks."""
        shell = shell_at(raw_parts(request)) if "text/html" in request.headers.get("accept", "") else None
        return None if shell is None else await self._from_here(self._shown(shell))(request)

    # Who may ask.

    def _from_here(self, answer: Endpoint) -> Endpoint:
        """An endpoint that is reached under this machine's own names alone."""

        async def endpoint(request: Request) -> Response:
            host = request.headers.get("host")
            if not is_own(host, self._names) or not is_own_origin(request.headers.get("origin"), host):
                return with_headers(refusal(403, "the page answers under this machine's own names alone"))
            try:
                return with_headers(await answer(request))
            except ClientDisconnect:
                return Response(status_code=400)
            except (MirrorError, RequestRefused, outbox.Changed) as error:
                return with_headers(refused(error))
            except OSError as error:
                return with_headers(refusal(503, f"it cannot be read or written: {error.strerror or error}"))

        return endpoint

    def _guarded(self, answer: Endpoint) -> Endpoint:
        """An endpoint for the page's own scripts, and for who has the key."""

        async def endpoint(request: Request) -> Response:
            if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return refusal(403, "another page asked for this")
            if not self._admits(request):
                return refusal(401, "not signed in", hint="`wandb-mirror open` opens the page")
            return await answer(request)

        return self._from_here(endpoint)

    def _shown(self, shell: Shell) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if not self._admits(request):
                following = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                return HTMLResponse(enter_html(following, None), status_code=401, headers=page_headers())
            return HTMLResponse(page_html(shell, read_only=self._read_only), headers=page_headers())

        return endpoint

    def _admits(self, request: Request) -> bool:
        name, value = self._cookie
        given = request.cookies.get(name)
        if given is not None and _same(given, value):
            return True
        key = key_in(request.headers.get("authorization"))
        return key is not None and self._key.admits(key)

    async def _enter(self, request: Request) -> Response:
        ticket = request.query_params.get("ticket")
        following = _local(request.query_params.get("next"))
        if ticket is None:
            return HTMLResponse(enter_html(following, None), headers=page_headers())
        if self._tickets.admits(ticket):
            return self._entered(following)
        refused = "This address was used, or is too old."
        return HTMLResponse(enter_html(following, refused), status_code=403, headers=page_headers())

    async def _enter_by_key(self, request: Request) -> Response:
        form = Asked(_form(await self._body(request)))
        if self._key.admits(form.text("key").strip()):
            return self._entered(_local(form.text("next")))
        page = enter_html(_local(form.text("next")), "That is not the key of this gateway.")
        return HTMLResponse(page, status_code=403, headers=page_headers())

    def _entered(self, following: str) -> Response:
        response = RedirectResponse(following, status_code=303)
        name, value = self._cookie
        response.set_cookie(name, value, max_age=COOKIE_S, httponly=True, samesite="lax")
        return response

    async def _proof(self, request: Request) -> Response:
        return PlainTextResponse(proof(self._key, request.query_params.get("challenge", "")[:200]))

    # Answers.

    async def _answer(self, request: Request) -> Response:
        question = self._questions.get(request.path_params["name"])
        if question is None:
            return refusal(404, "the page has no such answer")
        return await self._answered(request, question, Asked(request.query_params))

    async def _deed(self, request: Request) -> Response:
        name = request.path_params["name"]
        deed = self._deeds.get(name)
        if deed is None:
            return refusal(404, "the page does no such thing")
        if request.headers.get("x-wandb-mirror") != "page":
            return refusal(403, "changes come from the page's own scripts")
        if self._read_only and name != "sql":
            return refusal(403, "this gateway was started with --read-only")
        return await self._answered(request, deed, await self._body(request))

    async def _answered(self, request: Request, question: Question, asked: Asked | bytes) -> Response:
        usual, slow, _ = self._limited()
        limiter = slow if request.path_params["name"] in ("sql", "schema") else usual
        body = await to_thread.run_sync(self._made, request, question, asked, limiter=limiter)
        etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        headers = {"cache-control": "no-cache", "etag": etag}
        if request.method == "GET" and request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        if len(body) >= _GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
            body = await to_thread.run_sync(packed, body)
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers, media_type="application/json")

    def _made(self, request: Request, question: Question, asked: Asked | bytes) -> bytes:
        with store_errors(self._mirror.home), self._engine.opened(self._addresses(request)) as context:
            answer = question(context, asked)
            if context.moved:  # a commit came between two reads: once more, from the newer one
                context.renew()
                answer = question(context, asked)
        return encoded(answer)

    async def _body(self, request: Request) -> bytes:
        try:
            async with self._limited()[2].of(request) as content:
                return bytes(content)
        except TooLong:
            raise ConfigError("the request is too long") from None
        except (TooSlow, NoRoom):
            raise ConfigError("the request did not come within its time") from None

    async def _sql_file(self, request: Request) -> Response:
        form = request.path_params["form"]
        if form not in ("csv", "parquet") or request.headers.get("x-wandb-mirror") != "page":
            return refusal(404, "an answer is written as csv or parquet")
        body = await self._body(request)
        target = await to_thread.run_sync(sql.sql_file, self._mirror.home, body, form, limiter=self._limited()[1])
        kind = "text/csv; charset=utf-8" if form == "csv" else "application/vnd.apache.parquet"
        headers = {"content-disposition": f'attachment; filename="answer.{form}"'}
        return StreamingResponse(_sent_and_removed(target), headers=headers, media_type=kind)

    async def _file(self, request: Request) -> Response:
        parts = raw_parts(request)[2:]
        if len(parts) != 4:
            return refusal(404, "a file is ENTITY/PROJECT/RUN_ID/NAME")
        *path, name = parts

        def find() -> str | None:
            with self._engine.opened(self._addresses(request)) as context:
                held = read_files(context.lake, RunPath(*path), [name]).get(name)
            return None if held is None else held.object

        return await self._bytes(request, name, find)

    async def _artifact_file(self, request: Request) -> Response:
        parts = raw_parts(request)[2:]
        if len(parts) != 2:
            return refusal(404, "a file of an artifact is ID/PATH")
        artifact, name = parts

        def find() -> str | None:
            with self._engine.opened(self._addresses(request)) as context:
                found = read_entries(context.lake, artifact, [name])
            return found[0].object if found else None

        return await self._bytes(request, name, find)

    async def _bytes(self, request: Request, name: str, find: Callable[[], str | None]) -> Response:
        digest = await to_thread.run_sync(find, limiter=self._limited()[0])
        if digest is None:
            return refusal(404, f"the bytes of {name!r} are not in this mirror")
        response = await serve_object(request, self._mirror.objects, digest, self._downloads)
        framed = request.headers.get("sec-fetch-dest") == "iframe"
        if response.status_code < 400:
            response.headers["content-type"] = content_type(name, framed=framed)
        response.headers["content-security-policy"] = FILE_POLICY
        response.headers["cache-control"] = "private, no-cache"
        return response

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        place = files("mirror.web") / "assets" / name
        if not _ASSET.fullmatch(name) or not place.is_file():
            return refusal(404, "there is no such asset")
        content = place.read_bytes()
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        headers = {"cache-control": "no-cache", "etag": f'"{digest}"'}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            content = packed(content)
            headers["content-encoding"] = "gzip"
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(content, headers=headers, media_type="text/javascript" if name.endswith(".js") else kind)

    def _limited(self) -> tuple[CapacityLimiter, CapacityLimiter, Bodies]:
        """Made within the loop that serves."""
        if self._limits is None:
            self._limits = CapacityLimiter(THREADS), CapacityLimiter(SQL_AT_ONCE), Bodies()
        return self._limits

    def _addresses(self, request: Request) -> Addresses:
        return Addresses(base_url=f"{request.url.scheme}://{request.headers['host']}", signer=self._signer)


def raw_parts(request: Request) -> list[str]:
    """The parts of a path, each decoded: a name may hold an encoded slash."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    return [unquote(part, errors="replace") for part in raw.partition(b"?")[0].decode("latin-1").split("/")[1:]]


def _same(given: str, value: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), value.encode())


def _local(following: str | None) -> str:
    """Where to go on: a path of this page, never another host."""
    if not following or not following.startswith("/") or following.startswith(("//", "/\\")):
        return "/"
    return following


def _form(content: bytes) -> Mapping[str, str]:
    """The fields of a form.

    Raises:
        ConfigError: they are too many.
    """
    try:
        return dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
    except ValueError as error:
        raise ConfigError("a form has a key and where to go on") from error


async def _sent_and_removed(target: Path) -> AsyncIterator[bytes]:
    try:
        with target.open("rb") as file:
            while piece := await to_thread.run_sync(file.read, _PIECE):
                yield piece
    finally:
        shutil.rmtree(target.parent, ignore_errors=True)
