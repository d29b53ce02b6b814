"""What an HTTP answer means: GraphQL data, or one error of ours. Pure; the session decides what is tried again.

W&B API notes, section 2, and the evidence, section 3, are the law here.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from mirror.api.fitting.refusals import is_about_form
from mirror.api.limits.host import TOO_MANY_REQUESTS, http_date
from mirror.api.rows.lenient import sound_json, without_surrogates
from mirror.api.rows.scalars import NULL, is_null
from mirror.errors import (
    AuthError,
    DocumentRefused,
    Forbidden,
    GraphQLError,
    MirrorError,
    NotFound,
    NotWandb,
    RateLimited,
    Reported,
    ServerError,
    Unreachable,
)
from mirror.typed import decode

# The SDK retries every other status from 400 on.
NOT_RETRIED = frozenset({400, 401, 403, 404, 409, 410, 413, 422, 501})
TOO_LARGE = 413
_TRY_LATER = frozenset({408, 425, 502, 503, 504})
_FORM = frozenset({200, 400, 422})  # with these a document may be refused in words that nobody here knows
_TOO_MANY = frozenset({"RATE_LIMITED", "RATE_LIMIT_EXCEEDED", "TOO_MANY_REQUESTS", "THROTTLED"})  # `extensions.code`
_LIMIT_WORDS = re.compile(r"^\W*(?:api )?rate.?limit|rate.?limit\w* (?:\w+ )?(?:exceeded|reached)|too many requests")
_OPERATION = re.compile(r"(query|mutation|fragment)\b")  # how a path may begin that leads through a document
_LONGEST_WORDS = 400  # characters of the server's own words in a message
_NO_MESSAGE = "an error without a message"
_UNKNOWN_KEY = frozenset({"UNAUTHENTICATED", "AUTHENTICATION_ERROR"})  # `extensions.code`
_NO_RIGHT = frozenset({"PERMISSION_ERROR", "FORBIDDEN", "PERMISSION_DENIED"})
FORBIDDEN_HINT = "check that this account may read or write the project, or use another API key"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer, whole."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes  # decoded


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a GraphQL answer."""

    data: msgspec.Raw  # sound JSON: an object or null
    server_time: dt.datetime | None  # UTC, from the Date header
    errors: tuple[Reported, ...] = ()  # reported beside the data; see `read_answer`
    failure: MirrorError | None = None  # what the errors come to for whom the data are no use
    seconds: float = 0.0  # from the request to the whole answer, without waits before it


class _Envelope(msgspec.Struct):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    errors: object = None
    error: object = None


def is_retried(status: int) -> bool:
    """Whether the same request may be sent again after this status."""
    return status >= 400 and status not in NOT_RETRIED


def read_answer(reply: Reply, host: str, *, partial: bool = False, changes: str | None = None) -> Answer:
    """The data of an answer. The body counts, whatever the status: resolvers' errors come with statuses of their own.

    Args:
        reply: the HTTP answer.
        host: named in messages.
        partial: take data beside which errors are reported; who reads it gives each error its place.
        changes: the mutation that was asked for; None: a query. A payload says that it was done, whatever is beside.

    Raises:
        Unreachable: the mutation may have been done, and its answer is lost.
        MirrorError: the answer is no data; the class says what it is instead.
    """
    envelope = _envelope(reply.body)
    reported = _reported(envelope) if envelope is not None else ()
    if changes is not None and envelope is not None and _has_payload(envelope, changes, reply.status):
        return Answer(data=_data(envelope, host), server_time=http_date(reply.headers.get("date")), errors=reported)
    if changes is not None and any(error.path[:1] == (changes,) and len(error.path) > 1 for error in reported):
        words = one_line("; ".join(error.message for error in reported))
        raise Unreachable(f"{host} may have done it, but its answer cannot be read: {words}", answered=True)
    if partial and envelope is not None and reported and _has_data(envelope, reported):
        return Answer(
            data=_data(envelope, host),
            server_time=http_date(reply.headers.get("date")),
            errors=reported,
            failure=_refusal(reply, host, reported),
        )
    if reply.status != 200 or reported:
        raise _refusal(reply, host, reported)
    if envelope is None:
        raise NotWandb(f"{host} answered {_looks(reply)} instead of W&B's JSON")
    return Answer(data=_data(envelope, host), server_time=http_date(reply.headers.get("date")))


def _data(envelope: _Envelope, host: str) -> msgspec.Raw:
    if isinstance(envelope.data, msgspec.UnsetType):
        raise NotWandb(f"{host} answered JSON that is not a GraphQL answer")
    return envelope.data


def _has_data(envelope: _Envelope, reported: tuple[Reported, ...]) -> bool:
    """Whether something came beside errors, or would have come without what they tell of some part of it."""
    if isinstance(envelope.data, msgspec.UnsetType) or is_null(envelope.data):
        return False
    try:
        return any(len(error.path) > 1 for error in reported) or not all(
            map(is_null, decode(envelope.data, dict[str, msgspec.Raw]).values())
        )
    except ValueError:
        return False


def _has_payload(envelope: _Envelope, changes: str, status: int) -> bool:
    """Whether a mutation answered something: it was executed, even if the server could not show all of what it did.

    Under a status of failure a payload counts that says something.
    """
    if isinstance(envelope.data, msgspec.UnsetType):
        return False
    try:
        payload = decode(envelope.data, dict[str, msgspec.Raw]).get(changes, NULL)
        if status == 200 or is_null(payload):
            return not is_null(payload)
        return not all(map(is_null, decode(payload, dict[str, msgspec.Raw]).values()))
    except (ValueError, RecursionError):
        return False


def one_line(text: str, longest: int = _LONGEST_WORDS) -> str:
    """`text` on one line without control characters, cut to a length that a terminal can show."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in without_surrogates(text[: longest * 8])).split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def _refusal(reply: Reply, host: str, reported: tuple[Reported, ...]) -> MirrorError:
    """The error that an answer means which is no data."""
    status = reply.status
    if 300 <= status < 400:
        target = _redirect_host(reply.headers.get("location"))
        return NotWandb(f"{host} redirects{target} instead of answering (HTTP {status})", status=status)
    words = one_line("; ".join(error.message for error in reported))
    said = f": {words}" if words else ""
    if status == 401 or any(error.code in _UNKNOWN_KEY for error in reported):
        return AuthError(f"{host} refused the API key (HTTP {status}){said}")
    if status == TOO_MANY_REQUESTS or (status < 500 and any(map(_is_about_limits, reported))):
        return RateLimited(f"{host} asked for fewer requests and kept asking{_of(status)}{said}")
    if reported and any(map(is_about_form, reported)):
        return DocumentRefused(f"{host} does not know what it is asked for{said}", reported=reported, status=status)
    if any(_is_forbidden(error) for error in reported):
        return Forbidden(f"{host} does not allow this to the API key{_of(status)}{said}", hint=FORBIDDEN_HINT)
    if status in _TRY_LATER:
        return Unreachable(f"{host} is not available now (HTTP {status}){said}", answered=True, status=status)
    if status in {403, 404}:
        return _forbidden_or_missing(reply, host, reported, said)
    if status == TOO_LARGE:
        hint = "the server takes no document of this size; ask for less, or let its operator raise the limit"
        return ServerError(f"{host} finds this too large (HTTP 413){said}", hint=hint, status=status)
    if reported:
        may_be_about_form = status in _FORM and not any(error.path for error in reported)
        return GraphQLError(
            f"{host} reports{_of(status)}: {words}",
            reported=reported,
            may_be_about_form=may_be_about_form,
            status=status,
        )
    return ServerError(f"{host} answered with HTTP {status} and {_looks(reply)}", status=status)


def _of(status: int) -> str:
    return "" if status == 200 else f" (HTTP {status})"


def _is_about_limits(error: Reported) -> bool:
    return error.code in _TOO_MANY or bool(_LIMIT_WORDS.search(error.message.lower()))


def _is_forbidden(error: Reported) -> bool:
    return error.code in _NO_RIGHT or error.message.lower().startswith("permission denied")


def _forbidden_or_missing(reply: Reply, host: str, reported: tuple[Reported, ...], said: str) -> MirrorError:
    """403 and 404: from W&B they are about a thing or a right, from a proxy about the address."""
    if not reported:
        return NotWandb(f"{host} answered HTTP {reply.status} and {_looks(reply)}", status=reply.status)
    if reply.status == 404 or any("not found" in error.message.lower() for error in reported):
        return NotFound(f"{host} does not find it (HTTP {reply.status}){said}")
    return Forbidden(f"{host} does not allow this to the API key (HTTP 403){said}", hint=FORBIDDEN_HINT)


def _envelope(body: bytes) -> _Envelope | None:
    """The body as an object with data or errors; None when it is no JSON object."""
    try:
        return decode(sound_json(body), _Envelope)
    except (ValueError, RecursionError):
        return None


def _reported(envelope: _Envelope) -> tuple[Reported, ...]:
    """The errors: each is a string or an object with `message`."""
    listed = envelope.errors if isinstance(envelope.errors, list) else [envelope.errors]
    return tuple(_report(error) for error in [*listed, envelope.error] if error)


def _report(error: object) -> Reported:
    if isinstance(error, str):
        return Reported(message=one_line(error))
    if not isinstance(error, dict):
        return Reported(message=_NO_MESSAGE)
    message, path = error.get("message"), error.get("path")
    extensions, locations = error.get("extensions"), error.get("locations")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    place = locations[0] if isinstance(locations, list) and locations and isinstance(locations[0], dict) else {}
    steps = tuple(step for step in path if isinstance(step, str | int)) if isinstance(path, list) else ()
    if steps and isinstance(steps[0], str) and _OPERATION.match(steps[0]):
        steps = ()  # a way through the document, as graphql-ruby tells it, is none through an answer
    return Reported(
        message=one_line(message) if isinstance(message, str) and message else _NO_MESSAGE,
        path=steps,
        code=one_line(code, 60) if isinstance(code, str) else None,
        line=_whole(place.get("line")),
        column=_whole(place.get("column")),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


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
