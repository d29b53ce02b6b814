"""Texts of others as HTML of ours: nothing that a run contains can become markup, and no encoding can garble it.

What leaves here is ASCII, so that a page means the same in a notebook's cell and in a file whose encoding nobody knows.
"""

from __future__ import annotations

import re
from html import escape

from mirror.texts.values import valid_unicode

# Controls that HTML has no way to show; of the upper ones it would make characters of another encoding.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")


def text(value: str) -> str:
    """A text as HTML, for content and for the value of an attribute."""
    shown = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", valid_unicode(value.replace("\r\n", "\n")))
    return escape(shown, quote=True).encode("ascii", "xmlcharrefreplace").decode("ascii")


def element(name: str, /, *content: str, **attributes: str | None) -> str:
    """An element.

    Args:
        name: of ours, never from outside.
        content: HTML that is ready.
        attributes: texts, which are escaped here; None leaves one out. `class_` is `class`, `view_box` is `viewBox`.
    """
    written = "".join(
        f' {_ATTRIBUTES.get(key, key.replace("_", "-"))}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(content)}</{name}>"


_ATTRIBUTES = {"class_": "class", "view_box": "viewBox", "preserve_aspect_ratio": "preserveAspectRatio"}


def shortened(value: str, most: int) -> str:
    """A text of at most about `most` characters; what is left out is said."""
    if len(value) <= most:
        return value
    return f"{value[:most]}\N{HORIZONTAL ELLIPSIS} ({len(value):,} characters)"
