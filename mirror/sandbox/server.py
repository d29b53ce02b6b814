"""The sandbox as tests hold it: a uvicorn server in a daemon thread with its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from mirror.sandbox.app import SandboxApp
from mirror.sandbox.clock import Clock
from mirror.sandbox.faults.injector import Injector
from mirror.sandbox.histories.rows import LiveNumbers
from mirror.sandbox.recorder import Recorder
from mirror.sandbox.schema.ages import Age
from mirror.sandbox.schema.endpoint import GraphQLEndpoint
from mirror.sandbox.schema.forms import InputArtifactsType, SchemaForm, schema_of
from mirror.sandbox.state.sandbox_state import SandboxState
from mirror.sandbox.storage import Bucket, Storage
from mirror.wandb_protocol.paging import PageLimitMode, PageLimits
from mirror.wandb_protocol.signing import Signer
from mirror.wandb_protocol.wording import Wording

HOST = "127.0.0.1"
STORAGE_HOST = "localhost"
"""Another name of the same machine, so that "the key goes to the API's host alone" can be asserted."""


class Sandbox:
    """A running W&B-compatible server on loopback. Make it with `Sandbox.start`; use it as a context manager."""

    def __init__(
        self, *, clock: Clock, state: SandboxState, api_key: str, reserved: socket.socket, graphql: GraphQLEndpoint
    ) -> None:
        self.clock = clock
        self.state = state
        self.api_key = api_key
        self.port = int(reserved.getsockname()[1])
        self.url = state.base_url
        self.requests = Recorder()
        self.faults = Injector()
        self._reserved = reserved
        self._graphql = graphql
        self._failure: OSError | None = None
        self._away = True  # a connection that was accepted while the server went is dropped as well
        self._transports: list[asyncio.Transport] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stopping = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="wandb-mirror-sandbox", daemon=True)

    @classmethod
    def start(
        cls,
        *,
        port: int = 0,
        page_limit: int = 1000,
        page_limit_mode: PageLimitMode = "cap",
        storage_url_ttl_s: float = 3600.0,
        features: Iterable[str] | None = None,
        legacy: bool = False,
        age: Age = "now",
        hide: Iterable[str] = (),
        input_artifacts_type: InputArtifactsType = "InputArtifactConnection",
        introspection: bool = True,
        wording: Wording = "wandb",
        updated_at_moves: bool = True,
        export_delay_s: float = 0.0,
        live_numbers: LiveNumbers = "float",
        api_key: str | None = None,
        clock: Clock | None = None,
    ) -> Sandbox:
        """Start a server and return when it listens.

        Args:
            port: TCP port on 127.0.0.1; 0 takes a free one.
            page_limit: Largest page of any connection.
            page_limit_mode: "cap" cuts a larger `first`, "error" refuses it.
            storage_url_ttl_s: Seconds until a signed URL expires.
            features: Server features that are on; None takes `DEFAULT_FEATURES`.
            legacy: An old server, whose schema lacks `features` and what came with it.
            age: The year whose schema the server has; `ages` says what each lacks.
            hide: More that the schema lacks: `Type`, `Type.field`, `Type.field(argument)`, `InputType.field`.
            input_artifacts_type: Type of Run.inputArtifacts; W&B's own is InputArtifactConnection.
            introspection: False refuses `__schema` and `__type`, and gives no suggestions in validation errors.
            wording: Whose sentences refuse a document: W&B's server's, or those of newer GraphQL libraries.
            updated_at_moves: False: edits of a run leave `updatedAt` alone, and heartbeats alone move it.
            export_delay_s: How long after the end of a run its history is exported; until then its rows are live.
            live_numbers: Whether whole numbers stand in liveData as floats or as integers.
            api_key: Key of the default user ("sandy", entity "sandbox-team"); None makes one of 40 characters.

        Raises:
            OSError: the port is taken.
            ValueError: `hide` names what the schema does not have.
        """
        form = SchemaForm.of(age=age, hide=hide, input_artifacts_type=input_artifacts_type, legacy=legacy)
        schema_of(form)
        # A socket that is bound and never listens keeps the port while an outage closes the listening one.
        reserved = _bind(port)
        chosen = int(reserved.getsockname()[1])
        clock = clock or Clock()
        storage = Storage(
            signer=Signer(secret=b"sandbox-storage-secret", ttl_s=storage_url_ttl_s, now=clock.time),
            origin=f"http://{STORAGE_HOST}:{chosen}",
        )
        limits = PageLimits(limit=page_limit, mode=page_limit_mode)
        base_url = f"http://{HOST}:{chosen}"
        state = SandboxState(clock=clock, bucket=Bucket(), storage=storage, base_url=base_url, limits=limits)
        if features is not None:
            state.features = set(features)
        state.updated_at_moves, state.export_delay_s = updated_at_moves, export_delay_s
        state.live_numbers = live_numbers
        user = state.add_user("sandy", entity="sandbox-team", api_key=api_key, everywhere=True)
        graphql = GraphQLEndpoint(state, form=form, introspection=introspection, wording=wording)
        sandbox = cls(clock=clock, state=state, api_key=user.api_key, reserved=reserved, graphql=graphql)
        sandbox._thread.start()
        sandbox._ready.wait()
        if sandbox._failure is not None:
            reserved.close()
            raise sandbox._failure
        return sandbox

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every connection and end the thread. A second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._reserved.close()

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """The whole server is away: connections are dropped and refused, until the block ends; the port stays."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def wait(self) -> None:
        """Block until the server is stopped from elsewhere."""
        self._thread.join()

    # ------------------------------------------------------------------ inside the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        try:
            await self._listen()
        except OSError as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        await self._stopping.wait()
        await self._close()
        # A connection that was being accepted is closed by its cancelled task, in the round of the loop after it.
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self._close()

    async def _listen(self) -> None:
        app = SandboxApp(
            state=self.state, recorder=self.requests, faults=self.faults, hangup=self._hangup, graphql=self._graphql
        )
        config = uvicorn.Config(
            app.asgi,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            timeout_keep_alive=60,
            http="h11",
            ws="none",
        )
        config.load()
        server_state = uvicorn.server.ServerState()
        transports = self._transports
        sandbox = self

        class TrackedProtocol(H11Protocol):
            """Keeps the transport of each connection, so that faults and outages can close it under an answer."""

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                super().connection_made(transport)
                transports.append(transport)
                if sandbox._away:
                    transport.abort()

            def connection_lost(self, exc: Exception | None) -> None:
                transports.remove(self.transport)
                super().connection_lost(exc)

        sock = _bind(self.port)
        self._away = False
        self._server = await self._loop.create_server(
            lambda: TrackedProtocol(config=config, server_state=server_state, app_state={}, _loop=self._loop),
            sock=sock,
            backlog=512,
        )

    async def _close(self) -> None:
        self._away = True
        if self._server is not None:
            # A connection that was accepted, and becomes a transport only after its server was closed, is left open by
            # asyncio. So no more are accepted first, and two rounds of the loop make transports of those that were.
            for listening in self._server.sockets:
                self._loop.remove_reader(listening.fileno())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._server.close()
            self._server = None
        for transport in list(self._transports):
            transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _hangup(self, scope: Scope, flush: bool) -> None:
        peer = tuple(scope.get("client") or ("", 0))
        # The newest: a client that broke off may come back by the same port before the old connection is known as dead.
        for transport in reversed(self._transports):
            if tuple(transport.get_extra_info("peername", ())[:2]) == peer:
                transport.close() if flush else transport.abort()
                return


def _bind(port: int) -> socket.socket:
    # With its protocol named, asyncio knows it for TCP and sends an answer's head and body without waiting 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    return sock
