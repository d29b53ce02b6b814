"""Texts of others as a terminal may show them: what it would act on is spelled out.

A name or a note may hold escape sequences that clear the screen, set a title or type for the user, marks that turn the
direction of what is read, or new lines that forge a line of ours. None of these reaches a terminal: a new line becomes
`⏎`, every other such character the escape that Python and JSON know it by.
"""

from __future__ import annotations

import re

# C1 controls, which no JSON escapes, marks of direction, separators of lines and paragraphs, and what nobody sees.
# The joiners of emoji and of scripts that need them stay.
_UNSEEN = r"\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_ANY = re.compile(rf"[\x00-\x1f{_UNSEEN}]")
_IN_JSON = re.compile(f"[{_UNSEEN}]")
NAME_CHARACTERS = 60
_MARKS = {"\n": "⏎"}


def visible(text: str) -> str:
    """A text on one line, in which nothing but characters is left that are seen."""
    return text if text.isascii() and text.isprintable() else _ANY.sub(_escape, text)


def visible_name(text: str) -> str:
    """The same of a name beside others, bounded: whose it is shows from its beginning."""
    shown = visible(text)
    return shown if len(shown) <= NAME_CHARACTERS else f"{shown[: NAME_CHARACTERS - 1]}…"


def visible_json(text: str) -> str:
    """JSON text, equal as JSON, in which a terminal finds nothing to act on but its own new lines."""
    return text if text.isascii() and "\x7f" not in text else _IN_JSON.sub(_json_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in _MARKS:
        return _MARKS[match[0]]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
