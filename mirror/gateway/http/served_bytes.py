"""The bytes behind a signed address: whole, or the one range that is asked for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mirror.errors import StoreError
from mirror.gateway.addresses import Lacking, target_of
from mirror.gateway.http.budget import PIECE
from mirror.store.objects.objects import Objects
from mirror.wandb_protocol.errors import errors_object, json_body
from mirror.wandb_protocol.ranges import byte_range
from mirror.wandb_protocol.signing import Signer, xml_error

MOST_AT_ONCE = 200  # downloads: half of the connections, so that a question always finds one


class Downloads:
    """Counts those that are under way, from when they are asked for. Of one event loop."""

    under_way = 0


class _Download(StreamingResponse):
    """A part of a file, which is closed however its sending ends."""

    def __init__(
        self, file: BinaryIO, start: int, stop: int, counted: Downloads, status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(_pieces(file, start, stop), status_code=status, headers=headers)
        self._file, self._counted = file, counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._counted.under_way -= 1
            self._file.close()


async def serve_signed(request: Request, objects: Objects, signer: Signer, counted: Downloads) -> Response:
    """Answer GET or HEAD of a signed address."""
    path = request.path_params["path"]
    refusal = signer.refusal(path, request.url.query, write=False)
    if refusal is not None:
        return Response(xml_error(refusal), status_code=403, media_type="application/xml")
    target = target_of(path)
    if target is None:
        return Response(xml_error("NoSuchKey"), status_code=404, media_type="application/xml")
    if isinstance(target, Lacking):
        return Response(json_body(errors_object(target.reason)), status_code=404, media_type="application/json")
    return await serve_object(request, objects, target.digest, counted)


async def serve_object(request: Request, objects: Objects, digest: str, counted: Downloads) -> Response:
    """Answer GET or HEAD of held bytes; who comes when too many are being read is asked to come again."""
    if counted.under_way >= MOST_AT_ONCE:
        body = json_body(errors_object(f"{MOST_AT_ONCE} files are being read at once, not more; try again in a moment"))
        return Response(body, status_code=503, headers={"retry-after": "1"}, media_type="application/json")
    counted.under_way += 1
    response: Response | None = None
    try:
        response = await _answer(request, objects, digest, counted)
    finally:
        if not isinstance(response, _Download):
            counted.under_way -= 1
    return response


async def _answer(request: Request, objects: Objects, digest: str, counted: Downloads) -> Response:
    try:
        file, size = await to_thread.run_sync(_opened, objects, digest)
    except StoreError as error:
        body = json_body(errors_object(f"{error.message}; {error.hint}"))
        return Response(body, status_code=503 if error.transient else 404, media_type="application/json")
    return _of_file(request, file, size, f'"{digest}"', counted)


def _of_file(request: Request, file: BinaryIO, size: int, etag: str, counted: Downloads) -> Response:
    headers = {"accept-ranges": "bytes", "etag": etag, "content-type": "application/octet-stream"}
    if_range = request.headers.get("if-range")
    asked = byte_range(request.headers.get("range"), size) if if_range in (None, etag) else None
    start, stop = asked or (0, size)
    if asked is not None and start >= stop:
        file.close()
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    status = 200 if asked is None else 206
    if asked is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["content-length"] = str(stop - start)
    if request.method == "HEAD":
        file.close()
        return Response(status_code=status, headers=headers)
    return _Download(file, start, stop, counted, status, headers)


def _opened(objects: Objects, digest: str) -> tuple[BinaryIO, int]:
    file = objects.open(digest)
    return file, os.fstat(file.fileno()).st_size


async def _pieces(file: BinaryIO, start: int, stop: int) -> AsyncIterator[bytes]:
    file.seek(start)
    while start < stop:
        piece = await to_thread.run_sync(file.read, min(PIECE, stop - start))
        if not piece:
            return
        start += len(piece)
        yield piece
