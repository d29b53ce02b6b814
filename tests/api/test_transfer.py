"""Bytes down: whole or an error, resumed exactly, and the key to the base URL alone."""

from __future__ import annotations

import gzip
import hashlib
import time
import traceback
import zlib
from collections.abc import AsyncIterator, Iterable

import anyio
import httpx
import pytest

from mirror.api.client import Client
from mirror.api.transport.signed_url import SignedUrl
from mirror.errors import (
    AuthError,
    MirrorError,
    NotFound,
    RangeRefused,
    RateLimited,
    ServerError,
    Unreachable,
    UrlExpired,
)
from mirror.sandbox import Fault, Match, Sandbox
from tests.api.clients import TEAM, answered, bytes_of, client_on, url_of

pytestmark = pytest.mark.anyio

BIG = bytes(range(256)) * 12_000  # 3 MB
STORAGE = Match(kind="storage")


def add_run(sandbox: Sandbox, **files: bytes) -> None:
    sandbox.state.add_run(TEAM, "p", "r0", files=files or {"big": BIG})


async def failure_of(client: Client, url: SignedUrl | str, *, offset: int = 0) -> MirrorError:
    """The error that a download comes to: clear, and without key or signature wherever it may be printed."""
    with pytest.raises(MirrorError) as raised:
        await bytes_of(client, url, offset=offset)
    error = raised.value
    assert error.__context__ is None
    assert error.__cause__ is None
    assert "\n" not in error.message
    printed = "".join(traceback.format_exception(error)) + repr(error) + error.hint
    assert "X-Signature" not in printed
    assert "sesame" not in printed
    return error


async def test_bytes_come_whole_in_pieces_of_a_quarter_mebibyte_and_more(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    async with client.download(await url_of(client, "big")) as body:
        assert (body.offset, body.total) == (0, len(BIG))
        assert body.etag == f'"{hashlib.md5(BIG).hexdigest()}"'
        chunks = [chunk async for chunk in body]
    assert b"".join(chunks) == BIG
    assert all(256 * 1024 <= len(chunk) <= 1024 * 1024 for chunk in chunks[:-1])
    assert client.spent.transfer_requests == 1
    assert client.spent.bytes_down >= len(BIG)


async def test_an_empty_file_has_no_pieces(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, empty=b"")
    async with client.download(await url_of(client, "empty")) as body:
        assert body.total == 0
        assert [chunk async for chunk in body] == []


@pytest.mark.parametrize("offset", [1, 100_000, len(BIG) - 1])
async def test_a_download_goes_on_exactly_where_it_stopped(client: Client, sandbox: Sandbox, offset: int) -> None:
    add_run(sandbox)
    async with client.download(await url_of(client, "big"), offset=offset) as body:
        assert (body.offset, body.total) == (offset, len(BIG))
        assert b"".join([chunk async for chunk in body]) == BIG[offset:]


async def test_a_server_that_ignores_the_offset_begins_at_the_start(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    url = await url_of(client, "big")
    sandbox.faults.add(answered(200, BIG, match=STORAGE))
    async with client.download(url, offset=1000) as body:
        assert (body.offset, body.total) == (0, len(BIG))
        assert b"".join([chunk async for chunk in body]) == BIG


async def test_bytes_that_changed_meanwhile_come_from_the_start(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, a=b"old bytes")
    url = await url_of(client, "a")
    async with client.download(url) as body:
        etag = body.etag
    async with client.download(url, offset=4, etag=etag) as body:
        assert body.offset == 4
    sandbox.state.add_file(TEAM, "p", "r0", "a", b"new bytes")
    async with client.download(url, offset=4, etag=etag) as body:
        assert body.offset == 0
        assert b"".join([chunk async for chunk in body]) == b"new bytes"


async def test_an_offset_behind_the_end_says_how_much_there_is(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, a=b"12345")
    error = await failure_of(client, await url_of(client, "a"), offset=5)
    assert isinstance(error, RangeRefused)
    assert error.total == 5
    assert client.retry_wait_s(error, 1) == 0.0


@pytest.mark.parametrize("content_range", ["bytes 7-9/10", "bytes */10", "7-9", "", "bytes 9999999999999999999-1/2"])
async def test_a_part_that_cannot_be_placed_is_refused(client: Client, sandbox: Sandbox, content_range: str) -> None:
    add_run(sandbox)
    url = await url_of(client, "big")
    sandbox.faults.add(answered(206, b"123", match=STORAGE, content_range=content_range))
    assert type(await failure_of(client, url, offset=5)) is RangeRefused


async def test_an_address_that_expires_in_the_middle_of_a_batch_is_replaced(sandbox: Sandbox) -> None:
    add_run(sandbox, **{f"f{number}": bytes([number]) * 100 for number in range(20)})
    fetched: dict[str, bytes] = {}
    async with client_on(sandbox) as client:
        listing = (await client.files_page(TEAM, "p", "r0")).files
        expired: list[tuple[str, float | None]] = []
        for number, file in enumerate(listing):
            if number == 10:
                sandbox.clock.advance(3601)
            try:
                fetched[file.name] = await bytes_of(client, file.url)
            except UrlExpired as error:
                expired.append((file.name, client.retry_wait_s(error, 1)))
        assert [wait_s for _, wait_s in expired] == [None] * 10  # another try with the same address is no use
        for file in (await client.file_urls(TEAM, "p", "r0", [name for name, _ in expired])).files:
            fetched[file.name] = await bytes_of(client, file.url)
        assert fetched == {f"f{number}": bytes([number]) * 100 for number in range(20)}
        assert client.spent.graphql_requests == 2


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"<Error><Code>ExpiredToken</Code><Message>sesame</Message></Error>", UrlExpired),
        (400, b"<Error><Code>InvalidArgument</Code></Error>", ServerError),
        (401, b"", UrlExpired),
        (403, b"<Error>sesame</Error>", UrlExpired),
        (404, b"", NotFound),
        (410, b"", NotFound),
        (408, b"", Unreachable),
        (429, b"", RateLimited),
        (500, b"", Unreachable),
        (502, b"x" * 100_000, Unreachable),
        (503, b"", Unreachable),
        (501, b"", ServerError),
        (204, b"", ServerError),
        (304, b"", ServerError),
    ],
)
async def test_an_answer_without_the_bytes_is_the_right_error(
    client: Client, sandbox: Sandbox, status: int, body: bytes, kind: type[MirrorError]
) -> None:
    add_run(sandbox)
    url = await url_of(client, "big")
    sandbox.faults.add(answered(status, body, match=STORAGE, times=1))
    error = await failure_of(client, url)
    assert type(error) is kind
    worth = issubclass(kind, Unreachable)
    assert (client.retry_wait_s(error, 1) is not None) == worth
    assert client.retry_wait_s(error, 6) is None
    assert await bytes_of(client, url) == BIG


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
async def test_a_connection_that_drops_is_an_error_and_never_success(
    client: Client, sandbox: Sandbox, keep: float
) -> None:
    add_run(sandbox)
    url = await url_of(client, "big")
    sandbox.faults.add(Fault.drop_mid_body(keep=keep, times=1))
    held = b""

    async def hold() -> None:
        nonlocal held
        async with client.download(url) as body:
            async for chunk in body:
                held += chunk

    with pytest.raises(Unreachable) as raised:
        await hold()
    assert raised.value.answered
    assert client.retry_wait_s(raised.value, 1) is not None
    assert len(held) < len(BIG)
    assert held == BIG[: len(held)]
    assert held + await bytes_of(client, url, offset=len(held)) == BIG


async def test_no_answer_at_all_is_an_error(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    url = await url_of(client, "big")
    sandbox.faults.add(Fault.drop(match=STORAGE))
    assert type(await failure_of(client, url)) is Unreachable
    with sandbox.outage():
        error = await failure_of(client, url)
    assert "connection refused" in error.message


async def test_a_part_that_is_shorter_than_announced_is_an_error(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    url = await url_of(client, "big")
    sandbox.faults.add(answered(206, b"12345", match=STORAGE, content_range="bytes 5-9/100"))
    error = await failure_of(client, url, offset=5)
    assert type(error) is Unreachable
    assert "10 of 100 bytes" in error.message


async def test_a_silence_in_the_middle_is_an_error(sandbox: Sandbox) -> None:
    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"1"
            raise httpx.ReadTimeout("")

    async with client_with(sandbox, Silent()) as client:
        error = await failure_of(client, "https://storage.example.com/a?sig=sesame")
    assert "stopped in the middle" in error.message


async def test_wrong_bytes_of_the_right_length_are_the_callers_to_see(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    (file,) = (await client.files_page(TEAM, "p", "r0")).files
    sandbox.faults.add(Fault.corrupt_body(times=1))
    assert len(await bytes_of(client, file.url)) == file.size
    sandbox.faults.add(Fault.truncate_body(times=1))
    assert len(await bytes_of(client, file.url)) != file.size


def client_with(sandbox: Sandbox, stream: httpx.AsyncByteStream, **headers: str) -> Client:
    """A client to which every address answers this."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client_on(
        sandbox, transport=httpx.MockTransport(lambda _: httpx.Response(200, headers=names, stream=stream))
    )


class Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def test_a_body_of_unknown_length_has_no_total(sandbox: Sandbox) -> None:
    async with (
        client_with(sandbox, Pieces([b"ab", b"", b"c"]), transfer_encoding="chunked") as client,
        client.download("https://storage.example.com/a") as body,
    ):
        assert body.total is None
        assert [chunk async for chunk in body] == [b"abc"]


def deflated(body: bytes, bits: int) -> bytes:
    one = zlib.compressobj(wbits=bits)
    return one.compress(body) + one.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BIG, mtime=0)),
        ("gzip", gzip.compress(BIG[:1000], mtime=0) + gzip.compress(BIG[1000:], mtime=0) + b"\0\0"),
        ("GZIP", gzip.compress(BIG, mtime=0)),
        ("deflate", deflated(BIG, 15)),
        ("deflate", deflated(BIG, -15)),
        ("identity", BIG),
    ],
)
@pytest.mark.parametrize("size", [7777, 10_000_000])
async def test_transport_compression_is_undone(sandbox: Sandbox, encoding: str, packed: bytes, size: int) -> None:
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    length = {"content_length": str(len(packed))}
    async with (
        client_with(sandbox, Pieces(pieces), content_encoding=encoding, **length) as client,
        client.download("https://storage.example.com/a") as body,
    ):
        assert body.total == (len(BIG) if encoding == "identity" else None)
        assert b"".join([chunk async for chunk in body]) == BIG


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BIG, mtime=0)[:-20]),
        ("gzip", b"not gzip at all"),
        ("gzip", gzip.compress(b"a", mtime=0) + b"x"),
        ("br", b"a"),
    ],
)
async def test_compressed_bytes_that_are_broken_or_cut_are_an_error(
    sandbox: Sandbox, encoding: str, packed: bytes
) -> None:
    async with client_with(sandbox, Pieces([packed]), content_encoding=encoding) as client:
        error = await failure_of(client, "https://storage.example.com/a?sig=sesame")
    assert type(error) is Unreachable


async def test_compression_is_never_asked_for(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    await bytes_of(client, await url_of(client, "big"))
    (request,) = sandbox.requests.select(kind="storage")
    assert request.headers["accept-encoding"] == "identity"


async def test_storage_never_gets_the_key(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    assert await bytes_of(client, await url_of(client, "big")) == BIG
    file_id = (await client.files_page(TEAM, "p", "r0")).files[0].file_id
    path = f"/files/{TEAM}/p/r0/content/{file_id}"
    for url in (sandbox.url + path, path):  # absolute, and relative to the base URL
        assert await bytes_of(client, url, offset=9) == BIG[9:]
    assert [request.authorized for request in sandbox.requests.select(kind="files")] == [True, True]
    assert sandbox.requests.count(kind="storage") == 3
    assert sandbox.requests.leaks() == []


async def test_a_foreign_redirect_target_never_gets_the_key(client: Client, sandbox: Sandbox) -> None:
    with Sandbox.start(api_key="e" * 40) as elsewhere:
        for location in (f"{elsewhere.url}/x?sig=sesame", f"//127.0.0.1:{elsewhere.port}/x"):
            sandbox.faults.clear()
            sandbox.faults.add(answered(302, location=location))
            await failure_of(client, f"{sandbox.url}/files/a")
        assert len(elsewhere.requests) == 2
        assert not any(request.authorized for request in elsewhere.requests)


async def test_the_key_never_comes_back_after_a_foreign_redirect(client: Client, sandbox: Sandbox) -> None:
    with Sandbox.start() as elsewhere:
        elsewhere.faults.add(answered(302, location=f"{sandbox.url}/files/secret"))
        sandbox.faults.add(answered(302, location=f"{elsewhere.url}/x", times=1))
        await failure_of(client, f"{sandbox.url}/files/a")
        assert [request.authorized for request in sandbox.requests] == [True, False]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/storage/x",
        "http://user@127.0.0.1:{port}/files/x",
        "http://user:word@127.0.0.1:{port}/files/x",
        "http://localhost:{port}/files/x",
    ],
)
async def test_only_the_base_url_itself_gets_the_key(client: Client, sandbox: Sandbox, url: str) -> None:
    await failure_of(client, url.format(port=sandbox.port))
    assert not any(request.authorized for request in sandbox.requests)


async def test_redirects_are_followed_five_times(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, a=b"here")
    url = await url_of(client, "a")
    sandbox.faults.add(answered(307, location="/elsewhere", times=4, match=Match(kind="other")))
    sandbox.faults.add(answered(301, location=url.reveal(), times=1, match=Match(kind="other")))
    assert await bytes_of(client, f"{sandbox.url}/begin") == b"here"
    sandbox.faults.add(answered(302, location="/for/ever"))
    sandbox.requests.clear()
    error = await failure_of(client, f"{sandbox.url}/begin")
    assert "more than 5 times" in error.message
    assert len(sandbox.requests) == 6


@pytest.mark.parametrize("location", ["s3://bucket/sesame", "file:///sesame", "http://"])
async def test_a_redirect_to_nowhere_is_an_error(client: Client, sandbox: Sandbox, location: str) -> None:
    sandbox.faults.add(answered(302, location=location))
    assert type(await failure_of(client, f"{sandbox.url}/files/a")) is ServerError


async def test_a_redirect_from_https_to_http_is_refused(sandbox: Sandbox) -> None:
    there = {"location": "http://storage.example.com/a"}
    moved = httpx.MockTransport(lambda _: httpx.Response(302, headers=there, stream=Pieces([])))
    async with client_on(sandbox, transport=moved) as client:
        error = await failure_of(client, "https://storage.example.com/a?sig=sesame")
    assert "https to http" in error.message


@pytest.mark.parametrize("url", ["", "s3://bucket/key?sig=sesame", "file:///etc/passwd", "//host/x", "x", "http://"])
async def test_what_cannot_be_fetched_is_one_clear_error(client: Client, sandbox: Sandbox, url: str) -> None:
    error = await failure_of(client, SignedUrl(url))
    assert type(error) is ServerError
    assert "cannot be fetched" in error.message
    assert len(sandbox.requests) == 0


async def test_a_refused_key_is_an_auth_error(client: Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.status(401))
    assert type(await failure_of(client, f"{sandbox.url}/files/a")) is AuthError


async def test_later_holds_every_transfer_to_that_host(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, a=b"1")
    url = await url_of(client, "a")
    sandbox.faults.add(Fault.status(429, retry_after=0.2, times=1, match=STORAGE))
    begun = time.monotonic()
    assert type(await failure_of(client, url)) is RateLimited
    assert time.monotonic() - begun < 0.15
    await client.viewer()  # another gate
    assert time.monotonic() - begun < 0.15
    assert await bytes_of(client, url) == b"1"
    assert time.monotonic() - begun >= 0.2


async def test_a_wait_of_an_hour_is_reported_at_once(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, a=b"1")
    url = await url_of(client, "a")
    sandbox.faults.add(Fault.status(503, retry_after=3600, match=STORAGE))
    for _ in range(2):
        error = await failure_of(client, url)
        assert type(error) is RateLimited
        assert "60 min" in error.message
    assert sandbox.requests.count(kind="storage") == 1


async def test_so_many_transfers_run_at_once_and_no_more(sandbox: Sandbox) -> None:
    add_run(sandbox, a=b"1")
    under_way = most = 0
    async with client_on(sandbox, concurrent_transfers=3) as client:
        url = await url_of(client, "a")

        async def fetch() -> None:
            nonlocal under_way, most
            async with client.download(url) as body:
                under_way += 1
                most = max(most, under_way)
                await anyio.sleep(0.01)
                assert [chunk async for chunk in body] == [b"1"]
                under_way -= 1

        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(fetch)
    assert most == 3


async def test_a_download_that_is_given_up_gives_its_place_back(sandbox: Sandbox) -> None:
    add_run(sandbox, big=BIG, a=b"1")
    async with client_on(sandbox, concurrent_transfers=1) as client:
        url = await url_of(client, "big")

        async def give_up() -> None:
            async with client.download(url) as body:
                async for _ in body:
                    raise ZeroDivisionError

        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await give_up()
            with anyio.move_on_after(0.02):
                async with client.download(url):
                    await anyio.sleep(10)
            client.download(url)  # never entered: nothing is asked
        with anyio.fail_after(5):
            assert await bytes_of(client, await url_of(client, "a")) == b"1"


async def test_connections_are_used_again(sandbox: Sandbox) -> None:
    add_run(sandbox, a=b"1")
    async with client_on(sandbox) as client:
        url = await url_of(client, "a")
        sandbox.faults.add(Fault.status(503, times=2, match=STORAGE))
        before = len(sandbox._transports)
        for _ in range(2):
            await failure_of(client, url)
        for _ in range(5):
            await bytes_of(client, url)
        assert len(sandbox._transports) - before == 1


@pytest.mark.parametrize(
    "target",
    [
        "/a%20b/c%2Bd+e/%E2%82%AC?X-Amz-Credential=AK%2F2023%2Fus&filename=%22a%27b.txt%22&sig=a+b/c=~*'()!,;:@$|",
        "/wandb/y%2Fz?Expires=1&GoogleAccessId=a%40b.example&Signature=ab%2Bc%2F%3D%3D",
    ],
)
async def test_a_signed_address_is_asked_byte_for_byte(sandbox: Sandbox, target: str) -> None:
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(200, stream=Pieces([b"1"]))

    async with client_on(sandbox, transport=httpx.MockTransport(answer)) as client:
        assert await bytes_of(client, SignedUrl("https://storage.example.com" + target)) == b"1"
    assert asked == [target.encode()]
