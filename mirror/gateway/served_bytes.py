"""The bytes behind a signed address: whole, or the one range that is asked for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import BinaryIO

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mirror.errors import StoreError
from mirror.gateway.addresses import Lacking, target_of
from mirror.store.objects.objects import Objects
from mirror.wandb_protocol.errors import errors_object, json_body
from mirror.wandb_protocol.ranges import byte_range
from mirror.wandb_protocol.signing import Signer, xml_error

_PIECE = 1024 * 1024


async def serve_signed(request: Request, objects: Objects, signer: Signer) -> Response:
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
    return await serve_object(request, objects, target.digest)


async def serve_object(request: Request, objects: Objects, digest: str) -> Response:
    """Answer GET or HEAD of held bytes."""
    try:
        file, size = await to_thread.run_sync(_opened, objects, digest)
    except StoreError as error:
        body = json_body(errors_object(f"{error.message}; {error.hint}"))
        return Response(body, status_code=404, media_type="application/json")
    return _of_file(request, file, size, f'"{digest}"')


def _of_file(request: Request, file: BinaryIO, size: int, etag: str) -> Response:
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
    return StreamingResponse(_pieces(file, start, stop), status_code=status, headers=headers)


def _opened(objects: Objects, digest: str) -> tuple[BinaryIO, int]:
    file = objects.open(digest)
    return file, os.fstat(file.fileno()).st_size


async def _pieces(file: BinaryIO, start: int, stop: int) -> AsyncIterator[bytes]:
    try:
        file.seek(start)
        while start < stop:
            piece = await to_thread.run_sync(file.read, min(_PIECE, stop - start))
            if not piece:
                return
            start += len(piece)
            yield piece
    finally:
        file.close()
