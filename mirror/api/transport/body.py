"""The bytes behind one answer: whole, or an error.

A body that ends before its announced length is an error, never the end. A body of the right length with wrong bytes
is not seen here: the caller knows the size and MD5 that were listed, and compares.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import httpx

from mirror.api.limits.pace import Incoming
from mirror.api.transport.decoding import Undecodable, decoder_of
from mirror.errors import TooSlow, Unreachable

CHUNK_BYTES = 256 * 1024  # pieces of the network, 64 KiB at most, are put together until they have so many
CHUNK_S = 1.0  # or came in so long: what is slow is seen, and kept, as it comes


class Body:
    """The bytes of one answer, read once."""

    def __init__(
        self, response: httpx.Response, *, incoming: Incoming, host: str, offset: int, total: int | None
    ) -> None:
        self.offset = offset  # where in the file the bytes begin; 0 when the server ignored the offset asked for
        self.total = total  # bytes of the whole file; None when the server does not say
        self.etag: str | None = response.headers.get("etag")  # of the whole file, quoted as sent
        self._response = response
        self._incoming = incoming
        self._host = host

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """The bytes, without transport compression, in pieces of up to about four times `CHUNK_BYTES`.

        Raises:
            TooSlow: next to nothing came for a while.
            Unreachable: the connection broke, or the body ended before its announced length.
        """
        return self._chunks()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        """Collect the network's pieces; foreign errors become ours outside of their handler, without context."""
        failed: Unreachable | None = None
        parts: list[bytes] = []
        size = seen = 0
        last_s = time.monotonic()
        try:
            decoder = decoder_of(self._response.headers.get("content-encoding", ""))
            async for received in self._incoming.pieces(self._response, self._host):
                for piece in decoder.pieces(received):
                    parts.append(piece)
                    size += len(piece)
                    if size >= CHUNK_BYTES or time.monotonic() - last_s >= CHUNK_S:
                        seen += size
                        chunk = b"".join(parts) if len(parts) > 1 else parts[0]
                        parts, size = [], 0
                        yield chunk
                        last_s = time.monotonic()
            decoder.close()
        except Undecodable as error:
            failed, size = Unreachable(f"{self._host} sent a file that cannot be read: {error}", answered=True), 0
        except TooSlow as error:
            failed = error
        except httpx.TimeoutException:
            failed = Unreachable(f"{self._host} stopped in the middle of a file", answered=True)
        except httpx.HTTPError:
            failed = Unreachable(f"the connection to {self._host} broke in the middle of a file", answered=True)
        else:
            if self.total is not None and self.offset + seen + size != self.total:
                what = f"{self._host} sent {self.offset + seen + size} of {self.total} bytes of a file"
                failed = Unreachable(what, answered=True)
        if size:  # also of a body that broke off: the next attempt goes on behind it
            yield b"".join(parts)
        if failed is not None:
            raise failed
