"""What the page's server sends: strict JSON, refusals in one sentence, and the headers that hold a browser to them."""

from __future__ import annotations

import gzip
import re
from typing import Any

import msgspec
from starlette.responses import Response

from mirror.errors import MirrorError, NotFound, QueryError, StoreError
from mirror.texts.values import dump_strict
from mirror.wandb_protocol.errors import RequestRefused
from mirror.web.answers.outbox import Changed
from mirror.web.asked import exact

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self';"
    " connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Of bytes that a run brought: whatever they are, they run nothing and ask for nothing.
FILE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_LONG_NUMBER = re.compile(r"(?<![0-9.])[0-9]{16,}(?![0-9]*[.eE])")


def encoded(answer: Any) -> bytes:
    """An answer as strict JSON: what is not finite is W&B's word for it, and so are integers that no double holds."""
    plain = msgspec.to_builtins(answer)
    text = dump_strict(plain)
    if _LONG_NUMBER.search(text):
        text = dump_strict(exact(plain))
    return text.encode("utf-8", "replace")


def packed(content: bytes) -> bytes:
    """With gzip; the same each time."""
    return gzip.compress(content, compresslevel=5, mtime=0)


def page_headers() -> dict[str, str]:
    """Of a page."""
    return {"content-security-policy": POLICY, "cache-control": "no-store", "x-frame-options": "DENY"}


def with_headers(response: Response) -> Response:
    """With what every answer says."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def refused(error: MirrorError | RequestRefused | Changed) -> Response:
    """The refusal that an error stands for."""
    if isinstance(error, Changed):
        return refusal(409, str(error), hint="look at it again, then decide")
    if isinstance(error, RequestRefused):
        return refusal(400, str(error))
    status = 404 if isinstance(error, NotFound) else 503 if isinstance(error, StoreError) else 400
    return refusal(400 if isinstance(error, QueryError) else status, error.message, hint=error.hint)


def refusal(status: int, message: str, hint: str | None = None) -> Response:
    """One sentence, and what to do about it."""
    body = encoded({"error": message, "hint": hint})
    return Response(body, status_code=status, headers={"cache-control": "no-store"}, media_type="application/json")
