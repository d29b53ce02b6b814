"""A server in front of a sandbox whose reads are answered by gateways: W&B's tests judge the mirror, unmodified.

What trains or changes goes to the sandbox. Before a read, a mirror of what the asker's key may see pulls, if anything
was asked of the sandbox since; the read is then answered by the gateway over that mirror. Each key has a home of its
own, since a home is that of one user.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

import httpx
from anyio import to_thread
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mirror.gateway.http.app import Gateway
from mirror.gateway.http.key import GatewayKey
from mirror.layout import Home
from mirror.run.pending.local import LocalMirror
from mirror.sandbox import Sandbox
from mirror.wandb_protocol.credentials import key_in
from tests.mirroring import Mirror, make_lake

from .app_server import AppServer

# What a process asks before and beside its writes that trains, or changes a sweep.
TRAINING = frozenset({"RunResumeStatus", "RunStoppedStatus", "SweepWithRuns"})
_TIMEOUT_S = 60.0
_OF_ONE_CONNECTION = frozenset(
    {"host", "connection", "content-length", "content-encoding", "transfer-encoding", "accept-encoding", "keep-alive"}
)
_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]


class GatewayFront:
    """The ASGI application; a context manager, which ends the gateways.

    Args:
        sandbox: behind it.
        folder: where homes are made.
    """

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox, self._folder = sandbox, folder
        self._mirrored: dict[str, _Mirrored] = {}
        self._turn = threading.Lock()
        self._closing = contextlib.ExitStack()
        self.reads = 0  # that gateways answered
        self.asgi = Starlette(routes=[Route("/{rest:path}", self._answer, methods=_METHODS)])

    def __enter__(self) -> GatewayFront:
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.close()

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        target = await to_thread.run_sync(self._target, request, body)
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            given = await client.request(
                request.method,
                f"{target}{request.scope['raw_path'].decode()}?{request.url.query}",
                content=body,
                headers=[(name, value) for name, value in request.headers.items() if name not in _OF_ONE_CONNECTION],
            )
        headers = {name: value for name, value in given.headers.items() if name not in _OF_ONE_CONNECTION}
        return Response(given.content, status_code=given.status_code, headers=headers)

    def _target(self, request: Request, body: bytes) -> str:
        """Who answers."""
        key = key_in(request.headers.get("authorization"))
        is_read = request.url.path == "/graphql" and is_public_read(body)
        is_read = is_read or request.url.path.startswith(("/artifacts/", "/artifactsV2/"))
        if not is_read or key not in self._sandbox.state.users:
            return self._sandbox.url
        with self._turn:
            if key not in self._mirrored:
                home = Home(self._folder / f"home{len(self._mirrored)}")
                self._mirrored[key] = self._closing.enter_context(_Mirrored(self._sandbox, key, home))
            self.reads += 1
            return self._mirrored[key].pulled()


def is_public_read(body: bytes) -> bool:
    """Whether a document only asks, and asks what the public API does."""
    try:
        definitions = parse(json.loads(body)["query"]).definitions
    except (ValueError, KeyError, TypeError, GraphQLError):
        return False
    operations = [node for node in definitions if isinstance(node, OperationDefinitionNode)]
    names = {node.name.value for node in operations if node.name is not None}
    return all(node.operation is OperationType.QUERY for node in operations) and not names & TRAINING


class _Mirrored:
    """What one key may see, mirrored, and the gateway over it."""

    def __init__(self, sandbox: Sandbox, key: str, home: Home) -> None:
        self._sandbox = sandbox
        self._user = sandbox.state.users[key]
        self._mirror = Mirror(url=sandbox.url, api_key=key, home=home, sources=(), policy={"artifacts_include": ("*",)})
        make_lake(home)
        self._pulled_at: int | None = None  # how much others had asked of the sandbox before
        self._server = AppServer(Gateway(LocalMirror(home), GatewayKey(key)).asgi)

    def __enter__(self) -> _Mirrored:
        self._server.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._server.__exit__(*error)

    def pulled(self) -> str:
        """Pull what is new; the gateway's address."""
        state = self._sandbox.state
        asked = sum(not record.headers["user-agent"].startswith("wandb-mirror/") for record in self._sandbox.requests)
        if self._pulled_at != asked:
            with state.lock:
                sources = [f"{entity}/{name}" for entity, name in state.projects if self._user.belongs_to(entity)]
            self._mirror.pull(*sources)
            self._pulled_at = asked
        return f"http://127.0.0.1:{self._server.port}"
