"""The HTTP side: routes, authentication, compression, faults and the recorder, around whole answers."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from mirror.sandbox.faults.fault import Fault, RequestFacts
from mirror.sandbox.faults.fields import FieldFaults
from mirror.sandbox.faults.injector import Injector
from mirror.sandbox.faults.scaled_limits import ScaledLimiter
from mirror.sandbox.filestream import apply_chunk
from mirror.sandbox.recorder import Kind, Recorder, RequestRecord
from mirror.sandbox.schema.endpoint import GraphQLEndpoint, errors_answer, json_answer
from mirror.sandbox.state.artifacts import CONTENT_PREFIX
from mirror.sandbox.state.records import UserRecord
from mirror.sandbox.state.sandbox_state import SandboxState
from mirror.sandbox.storage import Answer, read_object, xml_answer
from mirror.wandb_protocol.credentials import key_in

Hangup = Callable[[Scope, bool], None]
"""Close the connection of a request; True sends what is buffered first, False resets."""

_GZIP_FROM_BYTES = 1024


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A request, read whole."""

    request: Request
    facts: RequestFacts
    body: bytes
    json: Mapping[str, Any]


class SandboxApp:
    """Answers every request of one sandbox."""

    def __init__(
        self,
        *,
        state: SandboxState,
        recorder: Recorder,
        faults: Injector,
        hangup: Hangup,
        graphql: GraphQLEndpoint,
    ) -> None:
        self._state, self._recorder, self._faults, self._hangup = state, recorder, faults, hangup
        self._graphql = graphql
        self._limiter = ScaledLimiter()
        self.asgi = Starlette(
            routes=[
                Route("/graphql", self._serve("graphql", self._answer_graphql), methods=["POST"]),
                Route(
                    "/files/{entity}/{project}/{run}/file_stream",
                    self._serve("file_stream", self._answer_file_stream),
                    methods=["POST"],
                ),
                Route(
                    "/files/{entity}/{project}/{run}/content/{file_id:path}",
                    self._serve("files", self._answer_file),
                    methods=["GET", "HEAD"],
                ),
                Route(
                    "/storage/{key:path}", self._serve("storage", self._answer_storage), methods=["GET", "HEAD", "PUT"]
                ),
                Route("/artifacts/{entity}/{hexdigest}", self._serve("files", self._answer_artifact), methods=["GET"]),
                Route(
                    "/artifactsV2/{place:path}/{hexdigest}/{basename}",
                    self._serve("files", self._answer_artifact),
                    methods=["GET"],
                ),
                Route(
                    "/{rest:path}",
                    self._serve("other", self._answer_other),
                    methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
                ),
            ]
        )

    # ------------------------------------------------------------------ the wrapper of every answer

    def _serve(self, kind: Kind, answer: Callable[[_Asked], Answer]) -> type[Any]:
        """An ASGI endpoint around `answer`; a class, which is what starlette hands the raw ASGI call to."""
        app = self

        class Endpoint:
            def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
                self._call = (scope, receive, send)

            def __await__(self) -> Any:
                return app._handle(kind, answer, *self._call).__await__()

        return Endpoint

    async def _handle(
        self, kind: Kind, answer: Callable[[_Asked], Answer], scope: Scope, receive: Receive, send: Send
    ) -> None:
        request = Request(scope, receive)
        try:
            asked = _read(request, kind, await request.body())
        except ClientDisconnect:
            return
        facts = asked.facts
        delay_s = self._faults.latency_s(facts)
        if delay_s:
            await asyncio.sleep(delay_s)
        now_s = self._state.clock.time()
        limit_headers, over = self._faults.rate_limit(facts, now_s)
        scaled = self._faults.in_force(facts, "scaled_rate_limit")
        refused = next(filter(None, (self._limiter.refusal(fault, facts, now_s) for fault in scaled)), None)
        faults: list[Fault] = []
        if refused is not None:
            given, over = refused, True
        elif over:
            given = errors_answer(429, "rate limit exceeded")
        else:
            preempting = self._faults.before(facts)
            if preempting is None:
                given = answer(asked)
                faults = self._faults.after(facts, given.run_names)
            else:
                given, faults = Answer(status=200), [preempting]
        if refused is None:
            for fault in scaled:
                limit_headers |= self._limiter.charge(fault, facts, given, now_s)
        labels = [*given.fault_labels, *(fault.label for fault in faults), *(["rate_limit"] if over else [])]
        for fault in faults:
            given = fault.shape(given)
        given = replace(given, headers={**given.headers, **limit_headers})
        drop = next((fault for fault in faults if fault.effect in ("drop", "drop_mid_body")), None)
        trickle = next((fault.limit for fault in faults if fault.effect == "trickle"), None)
        await self._send(asked, given, drop, ", ".join(labels) or None, scope, _slowly(send, asked.request, trickle))

    async def _send(
        self, asked: _Asked, answer: Answer, drop: Fault | None, label: str | None, scope: Scope, send: Send
    ) -> None:
        request = asked.request
        body, headers = answer.body, dict(answer.headers)
        headers.setdefault("date", format_datetime(self._state.clock.now(), usegmt=True))
        acceptable = "gzip" in request.headers.get("accept-encoding", "")
        if acceptable and asked.facts.kind == "graphql" and len(body) >= _GZIP_FROM_BYTES and drop is None:
            body = gzip.compress(body, compresslevel=1)
            headers["content-encoding"] = "gzip"
        if answer.status not in (204, 304):
            headers["content-length"] = str(len(body))
        sent = b"" if request.method == "HEAD" else body
        if drop is not None:
            sent = body[: int(len(body) * drop.keep)] if drop.effect == "drop_mid_body" else b""
        dropped_unanswered = drop is not None and drop.effect == "drop"
        self._recorder.add(_record(asked, 0 if dropped_unanswered else answer.status, len(sent), label))
        if not dropped_unanswered:
            raw = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
            await send({"type": "http.response.start", "status": answer.status, "headers": raw})
            await send({"type": "http.response.body", "body": sent, "more_body": drop is not None})
        if drop is not None:
            self._hangup(scope, not dropped_unanswered)

    # ------------------------------------------------------------------ who asks

    def _authenticate(self, request: Request) -> tuple[UserRecord | None, Answer | None]:
        """The user of the request (None without credentials), or the 401 that a wrong key gets."""
        key = key_in(request.headers.get("authorization"))
        if key is None:
            return None, None
        user = self._state.users.get(key)
        return (user, None) if user else (None, errors_answer(401, "user is not logged in"))

    # ------------------------------------------------------------------ the answers

    def _answer_graphql(self, asked: _Asked) -> Answer:
        user, refusal = self._authenticate(asked.request)
        if refusal is not None:
            return refusal
        armed = self._faults.in_force(asked.facts, "field_error", "null_node")
        faults = FieldFaults(armed) if armed else None
        given = self._graphql.answer(asked.json, user, faults)
        if faults is None or not faults.shown:
            return given
        self._faults.spend(faults.shown)
        return replace(given, fault_labels=tuple(fault.label for fault in faults.shown))

    def _answer_file_stream(self, asked: _Asked) -> Answer:
        user, refusal = self._authenticate(asked.request)
        if refusal is not None or user is None:
            return refusal or errors_answer(401, "user is not logged in")
        path = asked.request.path_params
        project = self._state.find_project(path["entity"], path["project"])
        run = project.runs.get(path["run"]) if project is not None else None
        if run is None:
            return errors_answer(404, "run not found")
        if not user.belongs_to(path["entity"]):
            return errors_answer(403, "permission denied")
        return json_answer(200, apply_chunk(self._state, run, asked.json))

    def _answer_file(self, asked: _Asked) -> Answer:
        """An authenticated file URL: a redirect to the bucket."""
        user, refusal = self._authenticate(asked.request)
        if refusal is not None:
            return refusal
        record = self._state.files_by_id.get(asked.request.path_params["file_id"])
        project = record.run.project if record is not None else None
        allowed = project is not None and (
            not project.private or (user is not None and user.belongs_to(project.entity))
        )
        if record is None or not allowed:
            return errors_answer(404 if user else 401, "file not found" if user else "user is not logged in")
        return Answer(status=302, headers={"location": self._state.storage.url(record.object_key)})

    def _answer_artifact(self, asked: _Asked) -> Answer:
        """An artifact file by the hex of its digest (W&B API notes, section 8): a redirect to the bucket."""
        user, refusal = self._authenticate(asked.request)
        if refusal is not None or user is None:
            return refusal or errors_answer(401, "user is not logged in")
        key = f"{CONTENT_PREFIX}{asked.request.path_params['hexdigest']}"
        if self._state.bucket.get(key) is None:
            return errors_answer(404, "file not found")
        return Answer(status=302, headers={"location": self._state.storage.url(key)})

    def _answer_storage(self, asked: _Asked) -> Answer:
        request = asked.request
        key, write = request.path_params["key"], request.method == "PUT"
        refusal = self._state.storage.refusal(key, request.url.query, write=write)
        if refusal is not None:
            return xml_answer(403, refusal)
        if write:
            self._state.put_object(key, asked.body)
            return Answer(status=200)
        return read_object(self._state.bucket, key, request.headers.get("range"), request.headers.get("if-range"))

    def _answer_other(self, asked: _Asked) -> Answer:
        if asked.facts.path == "/ready" and asked.facts.method == "GET":
            return Answer(status=200, body=b"ok\n", headers={"content-type": "text/plain"})
        if asked.facts.path == "/" and asked.facts.method == "GET":
            return Answer(status=200, body=b"wandb-mirror sandbox\n", headers={"content-type": "text/plain"})
        return errors_answer(404, f"the sandbox serves no {unquote(asked.facts.path)}")


def _slowly(send: Send, request: Request, bytes_per_s: int | None) -> Send:
    """Send bodies no faster than this, until the other side goes away; None: as fast as it takes them."""
    if bytes_per_s is None:
        return send
    piece = max(1, bytes_per_s // 10)

    async def slowly(message: Message) -> None:
        body = message.get("body", b"")
        for start in range(0, len(body), piece):
            if await request.is_disconnected():
                return
            await send({**message, "body": body[start : start + piece], "more_body": True})
            await asyncio.sleep(piece / bytes_per_s)
        await send({**message, "body": b""} if body else message)

    return slowly


def _read(request: Request, kind: Kind, raw: bytes) -> _Asked:
    body = raw
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(raw)
    parsed: Any = {}
    if kind in ("graphql", "file_stream"):
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = {}
    if not isinstance(parsed, dict):
        parsed = {}
    operation = (parsed.get("operationName") or _operation_name(parsed.get("query"))) if kind == "graphql" else None
    facts = RequestFacts(
        method=request.method,
        path=request.url.path,
        kind=kind,
        operation=operation,
        variables=(parsed.get("variables") or {}) if kind == "graphql" else {},
        query=parsed.get("query") if kind == "graphql" else None,
        caller=request.headers.get("authorization") or (request.client.host if request.client else ""),
    )
    return _Asked(request=request, facts=facts, body=body, json=parsed)


def _operation_name(query: Any) -> str | None:
    """Name of the first operation in a document, for clients that do not send operationName."""
    for line in str(query or "").splitlines():
        words = line.replace("(", " ").replace("{", " ").split()
        if len(words) >= 2 and words[0] in ("query", "mutation"):
            return words[1]
    return None


def _record(asked: _Asked, status: int, bytes_out: int, label: str | None) -> RequestRecord:
    request, facts = asked.request, asked.facts
    return RequestRecord(
        method=facts.method,
        path=facts.path,
        kind=facts.kind,
        operation=facts.operation,
        variables=facts.variables,
        query=facts.query,
        status=status,
        bytes_in=int(request.headers.get("content-length") or len(asked.body)),
        bytes_out=bytes_out,
        authorized="authorization" in request.headers,
        host=request.headers.get("host", ""),
        fault=label,
        headers={key: value for key, value in request.headers.items() if key != "authorization"},
    )
