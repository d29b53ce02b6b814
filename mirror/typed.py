"""JSON and plain values into types, from any thread.

What msgspec knows of a type it builds when it first meets it, and two threads that do so at once crash the process
(msgspec 0.22: a null pointer in its C code). So that is done under a lock, once for each type.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_building = threading.Lock()


def decoder(shape: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of JSON into a type; the same one each time."""
    known = _decoders.get(shape)
    if known is None:
        with _building:
            known = _decoders.setdefault(shape, msgspec.json.Decoder(shape))
    return known


def decode(content: bytes | str | msgspec.Raw, shape: type[T]) -> T:
    """JSON as a type.

    Raises:
        msgspec.DecodeError: it is no JSON; ValidationError: of another shape.
        UnicodeEncodeError: a text has lone surrogates.
    """
    return decoder(shape).decode(content)


def hooked_decoder(shape: Any, hook: Callable[[type, Any], Any]) -> msgspec.json.Decoder[Any]:
    """A decoder of JSON that asks a hook about types which msgspec does not know; to be kept by whoever has it made."""
    with _building:
        return msgspec.json.Decoder(shape, dec_hook=hook)


def convert(value: Any, shape: type[T]) -> T:
    """Plain values as a type.

    Raises:
        msgspec.ValidationError: they have another shape.
    """
    decoder(shape)
    return msgspec.convert(value, shape, strict=True)


def _begin_anew() -> None:
    global _building
    _building = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def struct_of(kind: type[T], row: Iterable[Any]) -> T:
    """A row of an answer as a struct, whose fields are its columns in order."""
    names: tuple[str, ...] = kind.__struct_fields__  # type: ignore[attr-defined]
    return kind(**dict(zip(names, row, strict=True)))
