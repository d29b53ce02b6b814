"""What the answer to a request for bytes means: where a body begins and how long it is, or one error of ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mirror.api.limits.rate_budget import header_number
from mirror.api.rows.answers import one_line
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

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRY_LATER = frozenset({408, 425, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII)
# S3 and GCS answer 400 where a token inside the signature is over; Azure and old S3 403.
_EXPIRED = (b"expired", b"expiredtoken")


def is_encoded(headers: Mapping[str, str]) -> bool:
    """Whether the body is compressed for transport, so that its length on the wire is not the file's."""
    return headers.get("content-encoding", "").strip().lower() not in {"", "identity"}


def extent(status: int, headers: Mapping[str, str], asked: int, host: str) -> tuple[int, int | None]:
    """Where the body of a good answer begins, and how many bytes the whole file has (None: unknown).

    Args:
        status: 200 or 206.
        headers: of the answer.
        asked: the offset that was asked for.
        host: named in messages.

    Raises:
        RangeRefused: a part came that cannot be placed.
    """
    if status != 206:
        length = header_number(headers.get("content-length"))
        return 0, None if length is None or is_encoded(headers) else int(length)
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None or found[1] is None or is_encoded(headers):
        raise RangeRefused(f"{host} sent a part of a file without saying which", status=status)
    begin = int(found[1])
    if begin != asked:
        raise RangeRefused(f"{host} sent the file from byte {begin} where {asked} was asked for", status=status)
    return begin, None if found[3] == "*" else int(found[3])


def refusal(status: int, headers: Mapping[str, str], start: bytes, host: str, *, on_base: bool) -> MirrorError:
    """The error that an answer without the bytes means.

    Args:
        status: neither 200, 206 nor a redirect that can be followed.
        headers: of the answer.
        start: the first bytes of its body; never repeated, since storage echoes what was signed.
        host: named in messages.
        on_base: the address is on the base URL, so that the key was sent.
    """
    if status == 401 and on_base:
        return AuthError(f"{host} refused the API key (HTTP 401)")
    if status in {401, 403} or (status == 400 and any(word in start.lower() for word in _EXPIRED)):
        return UrlExpired(f"{host} no longer honours the address of a file (HTTP {status})", status=status)
    if status in {404, 410}:
        hint = "it may have been deleted meanwhile, or never uploaded; the next pull looks again"
        return NotFound(f"{host} does not have the bytes of a file (HTTP {status})", hint=hint)
    if status == 416:
        found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
        total = int(found[3]) if found is not None and found[3] != "*" else None
        return RangeRefused(f"{host} has no more of a file at this place (HTTP 416)", total=total)
    if status == 429:
        return RateLimited(f"{host} asked for fewer downloads (HTTP 429)")
    if status in _TRY_LATER:
        return Unreachable(f"{host} cannot give the bytes of a file now (HTTP {status})", answered=True)
    return ServerError(f"{host} answered with HTTP {status} instead of a file", status=status)


def host_of(text: str) -> str:
    """A host as messages name it."""
    return one_line(text, 100)
