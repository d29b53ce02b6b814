"""Rows of which the server cannot serve one field, or lies about its type: the field is named, the row stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from mirror.api.rows.answers import one_line
from mirror.api.rows.scalars import is_null
from mirror.errors import GraphQLError, Reported
from mirror.typed import decode

T = TypeVar("T", bound=msgspec.Struct)

Flaws = Mapping[str, str]
"""What is wrong with single fields: the reason by the server's name of the field."""


def failed_fields(
    errors: Sequence[Reported], prefix: Sequence[str], behind: Sequence[str] = ()
) -> dict[str | int, dict[str, str]] | None:
    """Which fields of which rows failed, from the errors beside an answer's data.

    Args:
        errors: each with its path in the answer.
        prefix: the path to the rows, such as `project.runs.edges`.
        behind: what stands between a row's place and its fields, such as `node`.

    Returns:
        By place or alias of the row, the reason by field, or by the path from the field on, such as `user.name`; None
        when an error is about something else.
    """
    found: dict[str | int, dict[str, str]] = {}
    start, depth = len(prefix), len(prefix) + 1 + len(behind)
    for error in errors:
        path = error.path
        if len(path) <= depth or path[:start] != tuple(prefix) or path[start + 1 : depth] != tuple(behind):
            return None
        found.setdefault(path[start], {})[".".join(map(str, path[depth:]))] = error.message
    return found


def fields_of(flaws: Flaws) -> Flaws:
    """The fields that flaws are of, whether these or something inside of them is wrong."""
    return {path.partition(".")[0]: reason for path, reason in flaws.items()}


def inside(flaws: Flaws, field: str) -> Flaws:
    """What is wrong inside of a field, by the path from there on."""
    return {path.removeprefix(f"{field}."): why for path, why in flaws.items() if path.startswith(f"{field}.")}


def lost_with(error: GraphQLError, prefix: Sequence[str] = ("project",), *, alone: bool) -> dict[str, str]:
    """The fields of the one thing of a document that took all of its answer along as they failed: the words by field.

    Args:
        error: what came instead of an answer.
        prefix: the path to the aliases of things.
        alone: whether the document is about one thing; else it is asked about fewer, until that one is found.
    """
    start = len(prefix)
    paths = [
        (each.path, each.message)
        for each in error.reported
        if len(each.path) > start + 1 and each.path[:start] == tuple(prefix)
    ]
    return {str(path[start + 1]): message for path, message in paths} if alone else {}


def decode_flawed(node: msgspec.Raw | bytes, shape: type[T]) -> tuple[T, Flaws]:
    """A JSON object as a struct; a field of another type than declared has its default, and is named.

    Args:
        node: the bytes of one object.
        shape: what is asked of it. A field without a default is one that no row can do without.

    Raises:
        ValueError: it is no object, or such a field is missing or of another type.
    """
    try:
        return decode(node, shape), {}
    except msgspec.ValidationError:
        return _by_field(node, shape)


@cache
def asked_by(shape: type[msgspec.Struct]) -> frozenset[str]:
    """The server's names of a shape's fields; once, since msgspec looks up every type anew."""
    return frozenset(field.encode_name for field in msgspec.structs.fields(shape))


def names_in(node: msgspec.Raw | bytes) -> frozenset[str]:
    """The names of a JSON object: what an answer does not have was not asked, since the server does not know it.

    Raises:
        ValueError: it is no object.
    """
    return frozenset(decode(node, dict[str, msgspec.Raw]))


def names_told(node: msgspec.Raw | bytes) -> frozenset[str]:
    """The names of a JSON object that have a value.

    Raises:
        ValueError: it is no object.
    """
    return frozenset(name for name, value in decode(node, dict[str, msgspec.Raw]).items() if not is_null(value))


def _by_field(node: msgspec.Raw | bytes, shape: type[T]) -> tuple[T, Flaws]:
    values: dict[str, Any] = {}
    flaws: dict[str, str] = {}
    given = decode(node, dict[str, msgspec.Raw])
    for field in msgspec.structs.fields(shape):
        if field.encode_name not in given:
            if field.required:
                raise ValueError(f"it has no {field.encode_name!r}")
            continue
        try:
            values[field.name] = decode(given[field.encode_name], field.type)
        except msgspec.ValidationError as error:
            if field.required:
                raise
            flaws[field.encode_name] = one_line(str(error), 200)
    return shape(**values), flaws
