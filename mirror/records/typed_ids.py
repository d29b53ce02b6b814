"""Run ids as people type them in a path: what a path cannot hold is percent-encoded, as in the addresses of pages."""

from __future__ import annotations

import re
from urllib.parse import unquote

# A slash, blanks at the ends, and what would pass for an encoded character.
_AMBIGUOUS = re.compile(r"/|^\s+|\s+$|%(?=[0-9A-Fa-f]{2})")


def id_of_typed(text: str) -> str:
    """The id that a part of a path names: `%20` is a blank, `%2F` a slash, `%25` a percent sign."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def typed_of_id(run_id: str) -> str:
    """The part of a path that names an id; nearly all are written as they are."""
    return _AMBIGUOUS.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), run_id)
