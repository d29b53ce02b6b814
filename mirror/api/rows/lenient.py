"""JSON as servers may write it, brought into the JSON that the strict decoder takes.

Python clients spell non-finite numbers as the bare tokens NaN and Infinity, and old runs hold raw control characters
and halves of surrogate pairs (W&B API notes, sections 4 and 5). The strict decoder refuses all of that, rightly; so
such a body is read with the standard library's parser and written again, soundly: non-finite numbers become the texts
"NaN", "Infinity" and "-Infinity", a lone surrogate becomes U+FFFD.
"""

from __future__ import annotations

import json
import re

import msgspec

from mirror.texts.nonfinite import finite

_SURROGATE = re.compile("[\ud800-\udfff]")
_raw = msgspec.json.Decoder(msgspec.Raw)


def sound_json(body: bytes) -> bytes:
    """`body` itself when it is strict JSON in UTF-8, else the same document written strictly.

    Raises:
        ValueError: it is no JSON for any parser, or nested too deeply for both.
    """
    try:
        body.decode()  # the strict decoder skips over broken UTF-8 inside values that it does not look into
        _raw.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _respell(body)
    return body


def without_surrogates(text: str) -> str:
    """`text` with every lone surrogate replaced by U+FFFD, since it could not be stored as UTF-8."""
    return _SURROGATE.sub("\ufffd", text) if _SURROGATE.search(text) else text


def _respell(body: bytes) -> bytes:
    try:
        value = json.loads(body.decode(errors="replace"), strict=False)
        return json.dumps(_sound(value), separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _sound(value: object) -> object:
    match value:
        case str():
            return without_surrogates(value)
        case float():
            return finite(value)
        case list():
            return [_sound(item) for item in value]
        case dict():
            return {without_surrogates(key): _sound(item) for key, item in value.items()}
        case _:
            return value
