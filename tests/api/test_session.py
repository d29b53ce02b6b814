"""Real HTTP against the sandbox: what is tried again, what an answer means, and where the key goes."""

from __future__ import annotations

import gc
import logging
import socket
import time
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from mirror.api.documents.queries import FEATURES, VIEWER
from mirror.api.limits.host import Limits
from mirror.api.rows.answers import Reply
from mirror.api.transport.credentials import ApiKey, authorization
from mirror.api.transport.deployment import deployment_of
from mirror.api.transport.session import OnRetry, Session
from mirror.config import ServerSettings
from mirror.errors import (
    AuthError,
    ConfigError,
    Forbidden,
    GraphQLError,
    MirrorError,
    NotFound,
    NotWandb,
    RateLimited,
    ServerError,
    Unreachable,
)
from mirror.sandbox import Fault, Match, Sandbox
from mirror.sandbox.storage import Answer as SandboxAnswer

pytestmark = pytest.mark.anyio


def session_on(
    sandbox: Sandbox,
    *,
    base_url: str = "",
    retry_attempts: int = 6,
    retry_wait_max_s: float = 0.01,
    timeout_s: float = 5.0,
    patience_s: float = 900.0,
    limits: Limits | None = None,
    on_retry: OnRetry | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Session:
    """A session that waits next to nothing between tries."""
    settings = ServerSettings(
        base_url=base_url or sandbox.url,
        retry_attempts=retry_attempts,
        retry_wait_max_s=retry_wait_max_s,
        timeout_s=timeout_s,
        rate_limit_patience_minutes=patience_s / 60,
    )
    deployment, key = deployment_of(settings.base_url), ApiKey(sandbox.api_key, "a test")
    return Session(deployment, key, settings, limits=limits, on_retry=on_retry, transport=transport)


async def viewer_error(sandbox: Sandbox, **changes: Any) -> MirrorError:
    """The error that asking for the viewer comes to."""
    async with session_on(sandbox, **changes) as session:
        with pytest.raises(MirrorError) as raised:
            await session.graphql(VIEWER)
    assert_clear(raised.value, sandbox)
    return raised.value


def assert_clear(error: MirrorError, sandbox: Sandbox) -> None:
    """One line that names the server, without the key anywhere in what a traceback could print."""
    assert "\n" not in error.message
    assert 10 < len(error.message) < 600
    assert f":{sandbox.port}" in error.message or "unknown.invalid" in error.message
    assert error.__context__ is None
    printed = "".join(traceback.format_exception(error)) + repr(error) + error.hint
    assert sandbox.api_key not in printed


def answered(status: int, body: bytes = b"", **headers: str) -> Fault:
    """A fault that answers exactly this."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(effect="answer", match=Match(), answer=SandboxAnswer(status=status, body=body, headers=names))


async def test_an_answer_comes_with_its_data(sandbox: Sandbox) -> None:
    async with session_on(sandbox) as session:
        answer = await session.graphql(VIEWER)
    assert msgspec.json.decode(answer.data)["viewer"]["username"] == "sandy"
    (request,) = sandbox.requests
    assert request.operation == "MirrorViewer"
    assert request.authorized
    assert request.headers["user-agent"].startswith("wandb-mirror/")
    assert request.headers["accept-encoding"] == "gzip"


async def test_the_servers_clock_comes_along(sandbox: Sandbox) -> None:
    body = b'{"data": {"viewer": null}}'
    sandbox.faults.add(answered(200, body, date="Mon, 06 Nov 2023 10:00:30 GMT", content_type="application/json"))
    async with session_on(sandbox) as session:
        answer = await session.graphql(VIEWER)
    assert answer.server_time is not None
    assert answer.server_time.isoformat() == "2023-11-06T10:00:30+00:00"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 501])
async def test_a_status_that_will_not_pass_is_never_tried_again(sandbox: Sandbox, status: int) -> None:
    sandbox.faults.add(Fault.status(status))
    error = await viewer_error(sandbox)
    assert len(sandbox.requests) == 1
    expected: dict[int, type[MirrorError]] = {401: AuthError, 403: Forbidden, 404: NotFound, 413: ServerError}
    assert type(error) is expected.get(status, GraphQLError)
    assert f"sandbox fault {status}" in error.message
    if isinstance(error, ServerError):
        assert error.status == status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, Unreachable),
        (418, GraphQLError),
        (500, GraphQLError),
        (502, Unreachable),
        (503, Unreachable),
    ],
)
async def test_a_status_that_may_pass_is_tried_again_within_bounds(
    sandbox: Sandbox, status: int, kind: type[MirrorError]
) -> None:
    sandbox.faults.add(Fault.status(status))
    told: list[tuple[str, float]] = []
    error = await viewer_error(sandbox, retry_attempts=4, on_retry=lambda reason, wait_s: told.append((reason, wait_s)))
    assert type(error) is kind
    assert len(sandbox.requests) == 4
    assert len(told) == 3
    assert all(str(status) in reason and 0 < wait_s < 0.02 for reason, wait_s in told)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(500, times=2),
        Fault.html(502, times=2),
        Fault.drop(times=2),
        Fault.status(429, retry_after=0.01, times=2),
    ],
    ids=["500", "a proxy's 502", "dropped connections", "429"],
)
async def test_what_passes_is_never_noticed(sandbox: Sandbox, fault: Fault) -> None:
    sandbox.faults.add(fault)
    async with session_on(sandbox) as session:
        await session.graphql(VIEWER)
        assert session.spent.retries == 2
        assert session.spent.graphql_requests == 3


async def test_an_answer_cut_short_is_asked_for_again(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.drop_mid_body(times=1, match=Match(kind="graphql")))
    async with session_on(sandbox) as session:
        await session.graphql(VIEWER)
        assert session.spent.graphql_requests == 2


async def test_waits_grow_and_stay_bounded(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.status(500))
    waits: list[float] = []
    await viewer_error(sandbox, retry_wait_max_s=0.001, on_retry=lambda _, wait_s: waits.append(wait_s))
    assert len(waits) == 5
    assert max(waits) <= 0.001 * 1.25


async def test_a_retry_after_replaces_the_wait(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.status(503, retry_after=0.15, times=1))
    told: list[float] = []
    async with session_on(sandbox, on_retry=lambda _, wait_s: told.append(wait_s)) as session:
        begun = time.monotonic()
        await session.graphql(VIEWER)
    assert time.monotonic() - begun >= 0.15
    assert told[0] == pytest.approx(0.15, abs=0.05)


async def test_a_retry_after_holds_the_requests_of_every_session(sandbox: Sandbox) -> None:
    limits = Limits(concurrent=4, host="w")
    refused = Fault.status(429, retry_after=0.6, times=1, match=Match(operation="MirrorViewer"))
    sandbox.faults.add(refused)
    async with (
        session_on(sandbox, limits=limits, patience_s=0.0) as one,
        session_on(sandbox, limits=limits) as other,
    ):
        begun = time.monotonic()
        with pytest.raises(RateLimited):
            await one.graphql(VIEWER)
        assert time.monotonic() - begun < 0.5
        await other.graphql(FEATURES)
        assert time.monotonic() - begun >= 0.6


async def test_a_wait_of_an_hour_is_reported_at_once(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.status(429, retry_after=3600))
    told: list[str] = []
    error = await viewer_error(sandbox, on_retry=lambda reason, _: told.append(reason))
    assert type(error) is RateLimited
    assert "60 min" in error.message
    assert len(sandbox.requests) == 1
    assert told == []


async def test_what_a_server_asks_for_beside_an_answer_holds_nobody(sandbox: Sandbox) -> None:
    sandbox.faults.add(answered(200, b'{"data": {"viewer": null}}', Retry_After="31536000"))
    async with session_on(sandbox) as session:
        for _ in range(2):
            assert msgspec.json.decode((await session.graphql(VIEWER)).data) == {"viewer": None}


@pytest.mark.parametrize("garbled", [b'{"data": {"viewer": "' + b"x" * 5_000_000, b"[" * 5_000_000])
async def test_an_answer_that_cannot_be_read_is_let_go_of(sandbox: Sandbox, garbled: bytes) -> None:
    sandbox.faults.add(answered(200, garbled))
    gc.collect()
    gc.disable()
    try:
        async with session_on(sandbox, retry_attempts=2) as session:
            for _ in range(3):
                with pytest.raises(MirrorError):
                    await session.graphql(VIEWER)
        assert not [held for held in gc.get_objects() if isinstance(held, Reply)], "held by an error's frames"
    finally:
        gc.enable()


async def test_a_429_without_a_time_holds_every_request_too(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.status(429, times=1))
    limits = Limits(concurrent=4, host="w")
    held: list[float] = []
    async with session_on(sandbox, limits=limits, on_retry=lambda *_: held.append(limits.held_for_s)) as session:
        await session.graphql(VIEWER)
    assert 0 < held[0] < 0.02


async def test_a_budget_that_runs_out_is_respected(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.rate_limit(4, 0.3))
    async with session_on(sandbox) as session:
        for _ in range(6):
            await session.graphql(VIEWER)
        assert session.spent.retries == 0
    assert [request.status for request in sandbox.requests] == [200] * 6


async def test_a_server_that_is_down_is_reported_within_bounded_tries(sandbox: Sandbox) -> None:
    told: list[str] = []
    with sandbox.outage():
        error = await viewer_error(sandbox, on_retry=lambda reason, _: told.append(reason))
    assert type(error) is Unreachable
    assert "connection refused" in error.message
    assert not error.answered
    assert len(told) == 2
    assert error.hint


async def test_a_server_that_comes_back_is_found_again(sandbox: Sandbox) -> None:
    async with session_on(sandbox) as session:
        await session.graphql(VIEWER)
        with sandbox.outage(), pytest.raises(Unreachable):
            await session.graphql(VIEWER)
        await session.graphql(VIEWER)


async def test_an_unknown_host_is_reported_within_bounded_tries(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    error = await viewer_error(sandbox, base_url="http://unknown.invalid:8080")
    assert type(error) is Unreachable
    assert "host name is not known" in error.message


async def test_a_server_that_never_answers_is_given_up(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.latency(0.3))
    error = await viewer_error(sandbox, timeout_s=0.05, retry_attempts=2)
    assert type(error) is Unreachable
    assert "did not answer within 0.05 s" in error.message
    assert error.answered


async def test_an_answer_that_trickles_is_given_up(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirror.api.transport.session.DEADLINE_FACTOR", 0.01)
    sandbox.faults.add(Fault.latency(0.2))
    error = await viewer_error(sandbox, retry_attempts=1)
    assert type(error) is Unreachable
    assert "did not finish its answer within 0.05 s" in error.message


async def test_https_to_a_plain_server_is_one_clear_line(sandbox: Sandbox) -> None:
    error = await viewer_error(sandbox, base_url=sandbox.url.replace("http:", "https:"))
    assert type(error) is Unreachable
    assert "no secure connection" in error.message
    assert "scheme" in error.hint


@pytest.mark.parametrize(
    ("fault", "looks"),
    [
        (Fault.html(200), "web page"),
        (answered(200, b"hello", content_type="text/plain"), "plain text"),
        (answered(200), "empty body"),
        (answered(200, b'{"data": {', content_type="application/json"), "broken or foreign JSON"),
        (answered(200, b"[1]", content_type="application/json"), "broken or foreign JSON"),
        (answered(200, b'{"ok": true}', content_type="application/json"), "not a GraphQL answer"),
        (Fault.html(404), "web page"),
        (Fault.html(403), "web page"),
        (answered(200, b"not gzip at all", content_encoding="gzip"), "compressed"),
    ],
)
async def test_an_html_answer_is_one_clear_line(sandbox: Sandbox, fault: Fault, looks: str) -> None:
    sandbox.faults.add(fault)
    error = await viewer_error(sandbox)
    assert looks in error.message
    assert isinstance(error, NotWandb | Unreachable)


async def test_a_redirect_is_never_followed(sandbox: Sandbox) -> None:
    with Sandbox.start() as elsewhere:
        location = f"{elsewhere.url}/graphql?signature=sesame"
        for status in (301, 302, 307, 308):
            sandbox.faults.clear()
            sandbox.faults.add(answered(status, location=location))
            error = await viewer_error(sandbox)
            assert type(error) is NotWandb
            assert "redirects to 127.0.0.1" in error.message
            assert "sesame" not in error.message
        assert len(elsewhere.requests) == 0


async def test_the_servers_own_words_reach_the_user(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.graphql_error("complexity\n too\x1b[31m high " + "x" * 5000))
    error = await viewer_error(sandbox)
    assert isinstance(error, GraphQLError)
    assert "complexity too [31m high" in error.message
    assert len(error.messages) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors": ["no such thing"]}',
        b'{"errors": [{"message": "no such thing", "path": ["a"]}]}',
        b'{"errors": "no such thing"}',
        b'{"error": "no such thing"}',
        b'{"error": {"message": "no such thing"}, "data": {"viewer": null}}',
        b'{"data": {"viewer": NaN}, "errors": [{"message": "no such thing"}]}',
    ],
)
async def test_errors_are_read_in_every_shape(sandbox: Sandbox, body: bytes) -> None:
    sandbox.faults.add(answered(200, body, content_type="application/json"))
    error = await viewer_error(sandbox)
    assert isinstance(error, GraphQLError)
    assert error.messages == ("no such thing",)


async def test_the_key_is_in_no_repr_and_no_exception_text(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    for fault in (
        Fault.graphql_error(f"bad key {sandbox.api_key}"),
        Fault.status(500, body=f'{{"errors": ["{sandbox.api_key}"]}}'),
        Fault.status(401, body=f'{{"error": "{sandbox.api_key}"}}'),
        Fault.drop(),
    ):
        sandbox.faults.clear()
        sandbox.faults.add(fault)
        error = await viewer_error(sandbox, on_retry=lambda reason, _: told.append(reason))
        if isinstance(error, GraphQLError):
            assert error.messages in {("bad key [key]",), ("[key]",)}
    assert told
    assert sandbox.api_key not in "".join(told) + caplog.text


async def test_the_key_is_sent_to_the_base_host_alone(sandbox: Sandbox) -> None:
    parts = deployment_of(sandbox.url), ApiKey(sandbox.api_key, "a test")
    async with session_on(sandbox) as session:
        assert "Basic" in authorization(*parts, f"{sandbox.url}/graphql")["Authorization"]
        assert authorization(*parts, f"http://localhost:{sandbox.port}/graphql") == {}
        assert authorization(*parts, "https://storage.example.com/bucket?signature=a") == {}
        assert sandbox.api_key not in repr(vars(session))


async def test_no_proxy_comes_between_this_machine_and_itself(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    async with session_on(sandbox) as session:
        await session.graphql(VIEWER)
    error = await viewer_error(sandbox, base_url="http://unknown.invalid:8080")
    assert "cannot connect" in error.message


async def test_a_broken_proxy_setting_is_a_configuration_error(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://nonsense")
    with pytest.raises(ConfigError, match="proxy"):
        session_on(sandbox)


async def test_what_was_spent_is_counted(sandbox: Sandbox) -> None:
    async with session_on(sandbox) as session:
        await session.graphql(VIEWER)
        await session.graphql(VIEWER)
        spent = session.spent
    requests = list(sandbox.requests)
    assert spent.graphql_requests == 2
    assert spent.transfer_requests == spent.retries == 0
    assert spent.bytes_down == sum(request.bytes_out for request in requests)
    assert spent.bytes_up == sum(request.bytes_in for request in requests)


async def test_nothing_of_httpx_leaves(sandbox: Sandbox) -> None:
    class Broken(httpx.AsyncBaseTransport):
        def __init__(self, error: Exception) -> None:
            self.error = error

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise self.error

    for kind in (
        httpx.ReadError,
        httpx.WriteError,
        httpx.PoolTimeout,
        httpx.RemoteProtocolError,
        httpx.LocalProtocolError,
        httpx.ConnectTimeout,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
    ):
        error = await viewer_error(sandbox, transport=Broken(kind("secret words")), retry_attempts=2)
        assert type(error) is Unreachable
        assert "secret words" not in error.message


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that refuses connections: bound, and never listening."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
