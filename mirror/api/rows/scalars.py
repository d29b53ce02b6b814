"""Single values as servers spell them: integers, JSON inside texts, null.

W&B API notes, section 4.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

NULL = msgspec.Raw(b"null")
ABSENT = msgspec.Raw(b"")  # of a field that an answer does not have
NonEmpty = Annotated[str, msgspec.Meta(min_length=1, pattern="^[^\\0]+$")]  # no request could name a NUL

# W&B API notes, section 4: Int64 is a number or a numeric string; a number may come with `.0`.
Int64 = int | float | str | None

_INT64 = range(-(2**63), 2**63)


def is_null(raw: msgspec.Raw) -> bool:
    """Whether a value that was kept raw is null or was not there."""
    return bytes(raw).strip() == b"null"


def is_told(raw: msgspec.Raw) -> bool:
    """Whether a value that was kept raw is there, and not null."""
    return bytes(raw).strip() not in {b"", b"null"}


def json_text(raw: msgspec.Raw) -> str | None:
    """The JSON text inside a JSONString, or of a plain JSON value: servers send both (W&B API notes, section 4)."""
    data = bytes(raw).strip()
    if data == b"null":
        return None
    return msgspec.json.decode(data, type=str) if data.startswith(b'"') else data.decode()


def to_int(value: Int64) -> int | None:
    """An Int64 from any of its spellings.

    Raises:
        ValueError: it is not an integer of 64 bits.
    """
    if value is None:
        return None
    try:
        number = int(value)
    except OverflowError:  # an infinity
        raise ValueError("a count is not an integer of 64 bits") from None
    if number not in _INT64 or (isinstance(value, float) and value != number):
        raise ValueError("a count is not an integer of 64 bits")
    return number


def int_or_none(value: Int64) -> int | None:
    """`to_int`, with None for what is no integer of 64 bits."""
    try:
        return to_int(value)
    except ValueError:
        return None
