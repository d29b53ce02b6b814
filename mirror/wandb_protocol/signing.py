"""Signed addresses: whoever holds one may read or write one thing until it expires, without a key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Signs paths, and checks signatures."""

    secret: bytes
    ttl_s: float  # until a signature expires
    now: Callable[[], float]  # seconds since the epoch

    def query(self, path: str, *, write: bool = False) -> str:
        """What is put behind `?` of an address, so that it reads (GET, HEAD) or writes (PUT) a path."""
        expires = f"{self.now() + self.ttl_s:.3f}"
        return urlencode({"X-Expires": expires, "X-Signature": self._sign(path, expires, write)})

    def refusal(self, path: str, query: str, *, write: bool) -> str | None:
        """Why a request may not pass (an S3 error code), or None when it may."""
        values = parse_qs(query)
        expires = values.get("X-Expires", [""])[0]
        signature = values.get("X-Signature", [""])[0]
        if not hmac.compare_digest(signature.encode(), self._sign(path, expires, write).encode()):
            return "SignatureDoesNotMatch"
        return "ExpiredToken" if float(expires) < self.now() else None

    def _sign(self, path: str, expires: str, write: bool) -> str:
        text = f"{'PUT' if write else 'GET'}\n{path}\n{expires}"
        return hmac.new(self.secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def xml_error(code: str, message: str | None = None) -> bytes:
    """An error's body in the style of S3 and GCS. The message must hold no markup."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message or code}</Message></Error>'
    ).encode()
