"""A server that fails at one field of a document: which errors may mean that, and what is lost by it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from mirror.api.fitting.expected_types import COMPOSITE
from mirror.errors import DocumentRefused, GraphQLError, MirrorError, NotOffered, RateLimited, ServerError, Unreachable
from mirror.typed import decode

ANSWERED_AS = {"loggedArtifacts": "outputArtifacts", "usedArtifacts": "inputArtifacts", "logTail": "logLines"}
"""Fields of a run that have another name in answers."""

Path = Sequence[str | int]
"""The way to one thing in an answer."""


def is_failure(error: MirrorError) -> bool:
    """Whether a server failed at a document as a whole, without a word about which part of it is to blame."""
    match error:
        case RateLimited() | DocumentRefused() | NotOffered():
            return False
        case Unreachable():
            return error.answered
        case GraphQLError():
            return not any(reported.path for reported in error.reported)
        case ServerError():
            return error.status >= 500
    return False


def parts_with(names: Iterable[str], root: str) -> frozenset[str]:
    """The fields of a thing, by their names in answers, that cannot be had without some names.

    Args:
        names: `Type.field`.
        root: the thing's type.
    """
    found = frozenset(part for name in names for part in _parts_with(*name.partition(".")[::2], root))
    return found | {alias for alias, field in ANSWERED_AS.items() if field in found}


def _parts_with(parent: str, field: str, root: str) -> Iterator[str]:
    if parent == root:
        yield field
    else:
        yield from (part for part, child in COMPOSITE.get(root, {}).items() if parent in _within(child, set()))


def _within(kind: str, seen: set[str]) -> Collection[str]:
    """A type, and those of what it holds."""
    if kind not in seen:
        seen.add(kind)
        for child in COMPOSITE.get(kind, {}).values():
            _within(child, seen)
    return seen


def name_at(data: msgspec.Raw, path: Path) -> str | None:
    """The name, or else the id, of the thing at a place in an answer; None when there is none."""
    try:
        place = decode(data, object)
    except (ValueError, RecursionError):
        return None
    for step in path:
        if isinstance(place, Mapping) and isinstance(step, str):
            place = place.get(step)
        elif isinstance(place, list) and isinstance(step, int) and step < len(place):
            place = place[step]
        else:
            return None
    names = [place.get("name"), place.get("id")] if isinstance(place, Mapping) else []
    return next((name for name in names if isinstance(name, str)), None)
