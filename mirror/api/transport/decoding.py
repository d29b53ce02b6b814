"""Transport compression undone: the stored bytes come out in small pieces, and a stream that ends too early is noticed.

A few kilobytes may be gigabytes when they are decoded, so nothing is decoded further than the reader has come.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE_BYTES = 256 * 1024  # the longest piece that is decoded at once

_GZIP_OR_ZLIB = 47  # zlib's window bits: either header is recognised
_RAW_DEFLATE = -15


class Undecodable(ValueError):
    """The body is not what its Content-Encoding says, or ends in the middle."""


class Identity:
    """Bytes that were not compressed."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """`data` itself."""
        yield data

    def close(self) -> None:
        """Nothing can be missing."""


class Inflate:
    """gzip (several members, too) and deflate."""

    def __init__(self) -> None:
        self._one = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What comes out of `data`, in pieces of `PIECE_BYTES` at most.

        Raises:
            Undecodable: it is not compressed this way.
        """
        piece = b""
        while data or len(piece) == PIECE_BYTES:  # a full piece may have left something behind
            if self._one.eof:
                if not data.strip(b"\0"):
                    break  # padding behind the last member
                self._one = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                piece = self._one.decompress(data, PIECE_BYTES)
            except zlib.error:
                if self._begun:
                    raise Undecodable("the body is not compressed as announced") from None
                # "deflate" without the zlib header, as some servers send it
                self._one, self._begun = zlib.decompressobj(_RAW_DEFLATE), True
                continue
            self._begun = True
            if piece:
                yield piece
            data = self._one.unused_data if self._one.eof else self._one.unconsumed_tail

    def close(self) -> None:
        """Check that the stream came to its end.

        Raises:
            Undecodable: it did not.
        """
        if self._begun and not self._one.eof:
            raise Undecodable("the compressed body ends in the middle")


def decoder_of(encoding: str) -> Identity | Inflate:
    """The decoder for a Content-Encoding.

    Raises:
        Undecodable: nobody asked for this encoding.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return Identity()
    if name in {"gzip", "x-gzip", "deflate"}:
        return Inflate()
    raise Undecodable("the body is compressed in a way that nobody asked for")
