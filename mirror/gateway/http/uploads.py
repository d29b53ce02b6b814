"""Bytes that are put to a signed address: they become an object as they come, and then a queued upload of a run.

When the answer says 200, both survive a power cut. The same bytes put twice, as a client does whose answer was lost,
are queued once.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import BinaryIO, cast

import anyio
from anyio import CapacityLimiter, from_thread, to_thread
from starlette.requests import Request
from starlette.responses import Response

from mirror.errors import MirrorError
from mirror.gateway.addresses import Upload, upload_of
from mirror.gateway.training import READ_ONLY, Trainings
from mirror.records.addresses import RunPath
from mirror.records.operations import UploadFile
from mirror.run.file_names import queued_files
from mirror.run.pending.local import LocalMirror
from mirror.store.objects.uploads import take_in_open
from mirror.store.read.files import read_files
from mirror.store.read.runs import read_run
from mirror.texts.values import storable
from mirror.wandb_protocol.errors import RequestRefused, errors_object, json_body
from mirror.wandb_protocol.signing import Signer, xml_error

MOST_AT_ONCE = 32  # uploads, each with two pieces in memory; others wait their turn
NAME_MAX = 1024  # bytes of a file's name
PIECE = 256 * 1024  # bytes that are hashed and written at a time
PIECE_WITHIN_S = 60.0  # a client that needs longer for a piece is given up
_LOOK_S = 0.1  # between two looks whether a turn has come
GIVES_WAY_S = 5.0  # and one that needs longer than this is given up where another waits for its turn


class Uploads:
    """Takes what is put to the addresses of one gateway.

    Args:
        mirror: the home.
        signer: of the addresses.
        trainings: to which files of runs belong whose processes go on.
        most_bytes: of one file.
        read_only: refuse all.
    """

    def __init__(
        self, mirror: LocalMirror, signer: Signer, trainings: Trainings, *, most_bytes: int, read_only: bool
    ) -> None:
        self._trainings = trainings
        self._mirror = mirror
        self._signer = signer
        self._most_bytes = most_bytes
        self._read_only = read_only
        self._limiter: CapacityLimiter | None = None
        self._under_way: set[_Body] = set()

    async def take(self, request: Request) -> Response:
        """Answer PUT of a signed address."""
        path = request.path_params["path"]
        refusal = self._signer.refusal(path, request.url.query, write=True)
        if refusal is not None:
            return Response(xml_error(refusal), status_code=403, media_type="application/xml")
        upload = upload_of(path)
        if upload is None:
            return Response(xml_error("NoSuchKey"), status_code=404, media_type="application/xml")
        if self._read_only:
            return _refused(403, READ_ONLY)
        for name in ("content-range", "content-encoding"):
            if request.headers.get(name, "identity") != "identity":
                return _refused(400, f"a file is put whole and as it is: {name} is not understood here")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most_bytes:
            return _refused(413, self._too_long)
        if self._limiter is None:
            self._limiter = CapacityLimiter(MOST_AT_ONCE)
        body = _Body(request, self._most_bytes)
        await self._turn()
        self._under_way.add(body)
        try:
            await to_thread.run_sync(self._queue, upload, body, limiter=self._limiter)
        except TooLong:
            return _refused(413, self._too_long)
        except TimeoutError:
            return _refused(
                408, f"the bytes came too slowly: {PIECE >> 10} KiB within {PIECE_WITHIN_S:g} s are the least"
            )
        except MirrorError as error:  # a full disk is no failure that another try would mend
            return _refused(422, f"{error.message}; {error.hint}" if error.hint else error.message)
        finally:
            self._under_way.discard(body)
        return Response(status_code=200)

    async def _turn(self) -> None:
        """Wait until another upload may begin; the slowest gives way, should it be slow."""
        while len(self._under_way) >= MOST_AT_ONCE:
            min(self._under_way, key=lambda body: body.since).give_way()
            await anyio.sleep(_LOOK_S)

    @property
    def _too_long(self) -> str:
        return f"a file may have {self._most_bytes} bytes, not more: `[serve] upload_max_mb` sets it"

    def _queue(self, upload: Upload, body: _Body) -> None:
        recording = self._trainings.recording(upload.run)
        if upload.version is not None:
            self._trainings.versions.stage(upload.version, upload.name, cast("BinaryIO", body))
            return
        if recording is not None:
            recording.save(upload.name, cast("BinaryIO", body))
            self._trainings.taken_soon()
            return
        taken = take_in_open(self._mirror.objects, cast("BinaryIO", body), upload.name)
        queued = queued_files(self._mirror.pending(upload.run))
        name = storable(upload.name)
        before = queued.get(name)
        if before is not None and isinstance(before.operation, UploadFile):
            if before.operation.object == taken.object:
                return
            base: str | None = before.operation.md5
        else:
            base = None if name in queued else self._listed_md5(upload.run, name)
        found = read_run(self._mirror.reader, upload.run)
        storage_id = found[0].storage_id if found is not None else None
        operation = UploadFile(
            name=upload.name, object=taken.object, size=taken.size, md5=taken.md5, mimetype=taken.mimetype,
            base_md5=base,
        )  # fmt: skip
        self._mirror.enqueue(upload.run, storage_id or None, operation)

    def _listed_md5(self, run: RunPath, name: str) -> str | None:
        row = read_files(self._mirror.reader, run, [name]).get(name)
        return None if row is None or row.status == "gone" else row.md5


class TooLong(Exception):
    """A body has more bytes than it may."""


class _Body:
    """A request's body as a file that a thread reads."""

    def __init__(self, request: Request, most_bytes: int) -> None:
        self._pieces: AsyncIterator[bytes] = request.stream()
        self._left = most_bytes
        self.since = time.monotonic()  # when the piece that it waits for was begun
        self._patience: anyio.CancelScope | None = None

    def give_way(self) -> None:
        """Give up a client that has let a piece be waited for for a while."""
        if self._patience is not None and time.monotonic() - self.since >= GIVES_WAY_S:
            self._patience.cancel()

    def read(self, _size: int) -> bytes:
        """The next bytes; none at the end.

        Raises:
            TooLong: there are more than there may be.
            TimeoutError: they come too slowly.
            ClientDisconnect: the client is gone.
        """
        piece: bytes = from_thread.run(self._next)
        self._left -= len(piece)
        if self._left < 0:
            raise TooLong
        return piece

    async def _next(self) -> bytes:
        found = bytearray()
        self.since = time.monotonic()
        with anyio.move_on_after(PIECE_WITHIN_S) as self._patience:
            while len(found) < PIECE:
                piece = await anext(self._pieces, None)
                if piece is None:
                    break
                found += piece
        came_late, self._patience = self._patience.cancelled_caught, None
        if came_late:
            raise TimeoutError
        return bytes(found)


def check_name(name: str) -> None:
    """Refuse a name that could lead out of a run's folder, or that no folder holds.

    Raises:
        RequestRefused: it is such a name.
    """
    leads_out = any(part in ("", ".", "..") for part in name.split("/")) or ".." in name.split("\\")
    if leads_out or "\0" in name or len(name.encode("utf-8", "surrogatepass")) > NAME_MAX:
        raise RequestRefused(f"{name[:80]!r} is no name of a file in a run", status=400)


def _refused(status: int, message: str) -> Response:
    return Response(json_body(errors_object(message)), status_code=status, media_type="application/json")
