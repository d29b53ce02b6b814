"""The frame of an answer, read as far as it goes: what has another type than a listing needs counts as not told.

A frame is what stands around rows: pages, places, counts. A server that lies about one part of it has still listed the
rest. Rows stay raw here, and are read one by one (`flaws`).
"""

from __future__ import annotations

import types
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from mirror.api.rows.scalars import is_null
from mirror.typed import decode

T = TypeVar("T")


class _UnreadableError(Exception):
    """A value that is not of its type, and has nothing that may stand in its place."""


def decode_frame(data: msgspec.Raw | bytes, shape: type[T]) -> T:
    """JSON as a struct; a field of another type than declared has its default, a place of another type is None.

    Args:
        data: the bytes of an answer's data.
        shape: a struct. What stands in a field without a default must be readable.

    Raises:
        ValueError: it is not.
    """
    try:
        return decode(data, shape)
    except msgspec.ValidationError as error:
        try:
            return _as_far_as(data, shape)  # type: ignore[no-any-return]  # msgspec built the shape
        except _UnreadableError:
            raise error from None


def _as_far_as(data: msgspec.Raw | bytes, kind: Any) -> Any:
    """A value of a type, or what may stand in its place."""
    try:
        return decode(data, kind)
    except msgspec.ValidationError:
        pass
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for option in options:
        try:
            if isinstance(option, type) and issubclass(option, msgspec.Struct):
                return _struct(data, option)
            if get_origin(option) is list:
                return _list(data, *get_args(option))
        except msgspec.ValidationError:
            continue
    if type(None) in options:
        return None
    raise _UnreadableError


def _struct(data: msgspec.Raw | bytes, shape: type[msgspec.Struct]) -> msgspec.Struct:
    given = decode(data, dict[str, msgspec.Raw])
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        if field.encode_name in given:
            try:
                value = _as_far_as(given[field.encode_name], field.type)
            except _UnreadableError:
                if field.required:
                    raise
                continue
            if value is None and field.required and not is_null(given[field.encode_name]):
                raise _UnreadableError  # null would say that there is none
            values[field.name] = value
        elif field.required:
            raise _UnreadableError
    return shape(**values)


def _list(data: msgspec.Raw | bytes, kind: Any) -> list[Any]:
    """A place keeps its number, since errors name it."""
    found: list[Any] = []
    for item in decode(data, list[msgspec.Raw]):
        try:
            found.append(_as_far_as(item, kind))
        except _UnreadableError:
            found.append(None)
    return found
