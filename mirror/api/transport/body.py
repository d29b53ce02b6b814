"""The bytes behind one answer: whole, or an error.

A body that ends before its announced length is an error, never the end. A body of the right length with wrong bytes
is not seen here: the caller knows the size and MD5 that were listed, and compares.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx

from mirror.api.transport.decoding import Undecodable, decoder_of
from mirror.errors import Unreachable

CHUNK_BYTES = 256 * 1024  # pieces of the network, 64 KiB at most, are put together until they have so many


class Body:
    """The bytes of one answer, read once."""

    def __init__(self, response: httpx.Response, *, host: str, offset: int, total: int | None) -> None:
        self.offset = offset  # where in the file the bytes begin; 0 when the server ignored the offset asked for
        self.total = total  # bytes of the whole file; None when the server does not say
        self.etag: str | None = response.headers.get("etag")  # of the whole file, quoted as sent
        self._response = response
        self._host = host

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """The bytes, without transport compression, in pieces of `CHUNK_BYTES` to about four times as many.

        Raises:
            Unreachable: the connection broke, or the body ended before its announced length.
        """
        return self._chunks()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        """Collect the network's pieces; foreign errors become ours outside of their handler, without context."""
        failed: str
        parts: list[bytes] = []
        size = seen = 0
        try:
            decoder = decoder_of(self._response.headers.get("content-encoding", ""))
            async for received in self._response.aiter_raw():
                for piece in decoder.pieces(received):
                    parts.append(piece)
                    size += len(piece)
                    if size >= CHUNK_BYTES:
                        seen += size
                        chunk = b"".join(parts) if len(parts) > 1 else parts[0]
                        parts, size = [], 0
                        yield chunk
            decoder.close()
            if size:
                seen += size
                yield parts[0] if len(parts) == 1 else b"".join(parts)
        except Undecodable as error:
            failed = f"{self._host} sent a file that cannot be read: {error}"
        except httpx.TimeoutException:
            failed = f"{self._host} stopped in the middle of a file"
        except httpx.HTTPError:
            failed = f"the connection to {self._host} broke in the middle of a file"
        else:
            if self.total is None or self.offset + seen == self.total:
                return
            failed = f"{self._host} sent {self.offset + seen} of {self.total} bytes of a file"
        raise Unreachable(failed, answered=True)
