"""The names of entries: an id that rises with time, and a tag by which a listing alone finds those of one run.

Ids are UUIDv7 (RFC 9562), each greater than the one before it whatever the clock does: when it stands still or goes
back, the last id is counted up instead. Their texts sort as their values do.
"""

from __future__ import annotations

import hashlib
import re
import secrets

import msgspec

from mirror.records.addresses import RunPath

_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_IS_ID = re.compile(_ID)
_IS_NAME = re.compile(rf"{_ID}\.[0-9a-f]{{16}}\.json")
ID_LENGTH = 36
_RANDOM_BITS = 74
_STEP_BITS = 32  # by so much at most, at random, that two processes that lost sight of each other still differ


def next_id(now_ms: int, last: str | None) -> str:
    """A new id.

    Args:
        now_ms: milliseconds since 1970.
        last: the greatest id that is known; None when there is none.

    Returns:
        A UUIDv7 greater than `last`.
    """
    value = (max(now_ms, 0) & (1 << 48) - 1) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    if last is not None:
        following = _value(last) + 1 + secrets.randbits(_STEP_BITS)
        if following < 1 << 48 + _RANDOM_BITS:  # else the last one was damaged: time does not go so far
            value = max(value, following)
    return _text(value)


def is_id(text: str) -> bool:
    """Whether a text is an id of ours."""
    return _IS_ID.fullmatch(text) is not None


def is_name(name: str) -> bool:
    """Whether a file's name is that of an entry."""
    return _IS_NAME.fullmatch(name) is not None


def run_tag(run_path: RunPath) -> str:
    """What stands for a run in a name: the beginning of a digest, since no name from a server becomes a path."""
    return hashlib.sha256(msgspec.json.encode(run_path)).hexdigest()[:16]


def name_of(entry_id: str, run_path: RunPath) -> str:
    """The name of an entry's file."""
    return f"{entry_id}.{run_tag(run_path)}.json"


def id_in(name: str) -> str:
    """The id in an entry's name."""
    return name[:ID_LENGTH]


def tag_in(name: str) -> str:
    """The run's tag in an entry's name."""
    return name[ID_LENGTH + 1 : -len(".json")]


def _text(value: int) -> str:
    time, upper, lower = value >> _RANDOM_BITS, value >> 62 & 0xFFF, value & (1 << 62) - 1
    digits = f"{time << 80 | 7 << 76 | upper << 64 | 2 << 62 | lower:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _value(text: str) -> int:
    number = int(text.replace("-", ""), 16)
    return number >> 80 << _RANDOM_BITS | (number >> 64 & 0xFFF) << 62 | number & (1 << 62) - 1
