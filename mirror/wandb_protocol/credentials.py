"""The key that a request carries: HTTP Basic with the user `api`, or a bearer token (W&B API notes, section 1)."""

from __future__ import annotations

import base64


def key_in(authorization: str | None) -> str | None:
    """The key; None without credentials, and "" where they cannot be read."""
    if not authorization:
        return None
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return credentials
    try:
        return base64.b64decode(credentials).decode().partition(":")[2]
    except ValueError:
        return ""
