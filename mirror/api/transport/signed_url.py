"""An address with a signature in it: a value that no repr, log or file shows whole."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_FETCHABLE = frozenset({"http", "https"})


class SignedUrl:
    """Where bytes are for a while. Whoever knows the whole text may read them, so only host and path are shown.

    It may also be an address on the base host, relative to it, or (for a reference file) a place that the server
    does not hold, such as `s3://…`. W&B API notes, section 7.
    """

    __slots__ = ("_text", "part_key")

    part_key: Final[str]  # the address without its query: a hint of identity between two listings, never trusted

    def __init__(self, text: str) -> None:
        """Hold `text`; anything is taken, an address that makes no sense fails when it is fetched."""
        self._text = text
        self.part_key = _without_secrets(text)

    def reveal(self) -> str:
        """The whole address, for the request and nothing else."""
        return self._text

    @property
    def is_fetchable(self) -> bool:
        """Whether it can be asked for over HTTP; False for references to other stores and for no address at all."""
        try:
            parts = urlsplit(self._text)
        except ValueError:
            return False
        return (parts.scheme in _FETCHABLE and bool(parts.netloc)) or (not parts.scheme and self._text[:1] == "/")

    def __str__(self) -> str:
        """Host and path."""
        return self.part_key

    def __repr__(self) -> str:
        """Host and path."""
        return f"SignedUrl({self.part_key!r})"

    def __eq__(self, other: object) -> bool:
        """The whole text counts."""
        return self._text == other._text if isinstance(other, SignedUrl) else NotImplemented

    def __hash__(self) -> int:
        """As equality says."""
        return hash(self._text)

    def __reduce__(self) -> str | tuple[object, ...]:
        """Refuse pickling: a pickle would hold the signature in clear."""
        raise TypeError("a SignedUrl is not written anywhere")


def _without_secrets(text: str) -> str:
    """Scheme, host, port and path: no user, query or fragment."""
    try:
        parts = urlsplit(text)
        shown = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an address that cannot be read"
    path = parts.path.partition(";")[0]
    return f"{parts.scheme}://{shown}{path}" if parts.scheme else f"{shown}{path}"
