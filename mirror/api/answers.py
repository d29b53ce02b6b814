"""What an HTTP answer means: GraphQL data, or one error of ours. Pure; the session decides what is tried again.

W&B API notes, section 2, is the law here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from mirror.api.lenient import sound_json, without_surrogates
from mirror.api.limits import http_date
from mirror.errors import (
    AuthError,
    Forbidden,
    GraphQLError,
    MirrorError,
    NotFound,
    NotWandb,
    RateLimited,
    ServerError,
    Unreachable,
)
from mirror.typed import decode

# The SDK retries every other status from 400 on.
NOT_RETRIED = frozenset({400, 401, 403, 404, 409, 410, 413, 422, 501})
_TRY_LATER = frozenset({408, 425, 502, 503, 504})
_LONGEST_WORDS = 400  # characters of the server's own words in a message


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer, whole."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes  # decoded


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a GraphQL answer."""

    data: msgspec.Raw  # sound JSON: an object or null
    server_time: dt.datetime | None  # UTC, from the Date header
    seconds: float = 0.0  # from the request to the whole answer, without waits before it


class _Envelope(msgspec.Struct):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    errors: object = None
    error: object = None


def is_retried(status: int) -> bool:
    """Whether the same request may be sent again after this status."""
    return status >= 400 and status not in NOT_RETRIED


def read_answer(reply: Reply, host: str) -> Answer:
    """The data of an answer.

    Args:
        reply: the HTTP answer.
        host: named in messages.

    Raises:
        MirrorError: the answer is no data; the class says what it is instead.
    """
    if reply.status != 200:
        raise _refusal(reply, host)
    envelope = _envelope(reply.body)
    if envelope is None:
        raise NotWandb(f"{host} answered {_looks(reply)} instead of W&B's JSON")
    words = _words(envelope)
    if words:
        raise GraphQLError(f"{host} reports: {one_line('; '.join(words))}", messages=words)
    if isinstance(envelope.data, msgspec.UnsetType):
        raise NotWandb(f"{host} answered JSON that is not a GraphQL answer")
    return Answer(data=envelope.data, server_time=http_date(reply.headers.get("date")))


def one_line(text: str, longest: int = _LONGEST_WORDS) -> str:
    """`text` on one line without control characters, cut to a length that a terminal can show."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in without_surrogates(text[: longest * 8])).split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def _refusal(reply: Reply, host: str) -> MirrorError:
    """The error that a status other than 200 means."""
    status = reply.status
    if 300 <= status < 400:
        target = _redirect_host(reply.headers.get("location"))
        return NotWandb(f"{host} redirects{target} instead of answering (HTTP {status})", status=status)
    envelope = _envelope(reply.body)
    words = _words(envelope) if envelope is not None else ()
    said = f": {one_line('; '.join(words))}" if words else ""
    if status == 401:
        return AuthError(f"{host} refused the API key (HTTP 401){said}")
    if status == 429:
        return RateLimited(f"{host} asked for fewer requests and kept asking (HTTP 429){said}")
    if status in _TRY_LATER:
        return Unreachable(f"{host} is not available now (HTTP {status}){said}", answered=True)
    if status in {403, 404}:
        return _forbidden_or_missing(reply, host, words, said)
    if words and status < 500:
        return GraphQLError(f"{host} reports (HTTP {status}){said}", messages=words, status=status)
    return ServerError(f"{host} answered with HTTP {status}{said or f' and {_looks(reply)}'}", status=status)


def _forbidden_or_missing(reply: Reply, host: str, words: tuple[str, ...], said: str) -> MirrorError:
    """403 and 404: from W&B they are about a thing or a right, from a proxy about the address."""
    if not words:
        return NotWandb(f"{host} answered HTTP {reply.status} and {_looks(reply)}", status=reply.status)
    missing = reply.status == 404 or any("not found" in word.lower() for word in words)
    if missing:
        return NotFound(f"{host} does not find it (HTTP {reply.status}){said}")
    return Forbidden(
        f"{host} does not allow this to the API key (HTTP 403){said}",
        hint="check that this account may read the project, or use another API key",
    )


def _envelope(body: bytes) -> _Envelope | None:
    """The body as an object with data or errors; None when it is no JSON object."""
    try:
        return decode(sound_json(body), _Envelope)
    except (ValueError, RecursionError):
        return None


def _words(envelope: _Envelope) -> tuple[str, ...]:
    """The errors in the server's words: each is a string or an object with `message`."""
    listed = envelope.errors if isinstance(envelope.errors, list) else [envelope.errors]
    words = [_word(error) for error in [*listed, envelope.error] if error]
    return tuple(words)


def _word(error: object) -> str:
    match error:
        case str():
            return one_line(error)
        case {"message": str(message)} if message:
            return one_line(message)
        case _:
            return "an error without a message"


def _looks(reply: Reply) -> str:
    """What a body that is no GraphQL answer looks like; its text is never repeated."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    start = reply.body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    if kind == "text/html" or start.startswith((b"<!doctype", b"<html")):
        return "a web page (HTML)"
    if "json" in kind or start.startswith((b"{", b"[")):
        return "broken or foreign JSON"
    return "plain text" if kind.startswith("text/") or not kind else "something of another type"


def _redirect_host(location: str | None) -> str:
    """Where a redirect goes, without its path and query: those may be signed."""
    try:
        host = urlsplit(location or "").hostname
    except ValueError:
        host = None
    return f" to {one_line(host, 100)}" if host else ""
