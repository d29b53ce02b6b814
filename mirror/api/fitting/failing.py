"""A server that fails at one field of a document: which errors may mean that, and what is lost by it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from mirror.api.fitting.expected_types import COMPOSITE
from mirror.errors import DocumentRefused, GraphQLError, MirrorError, NotOffered, RateLimited, ServerError, Unreachable
from mirror.typed import decode

ANSWERED_AS = {"loggedArtifacts": "outputArtifacts", "usedArtifacts": "inputArtifacts", "logTail": "logLines"}
"""Fields of a run that have another name in answers."""

_SLOW = frozenset({408, 425, 504})  # it took too long: less is asked for, and nothing is searched, which takes longer

Path = Sequence[str | int]
"""The way to one thing in an answer."""


def is_failure(error: MirrorError) -> bool:
    """Whether a server failed at a document as a whole, without a word about which part of it is to blame."""
    match error:
        case RateLimited() | DocumentRefused() | NotOffered():
            return False
        case Unreachable():
            return error.status is not None and error.status not in _SLOW
        case GraphQLError():
            return not any(reported.path for reported in error.reported)
        case ServerError():
            return error.status >= 500
    return False


def parts_with(names: Iterable[str], root: str, visited: Collection[tuple[str, str]]) -> frozenset[str]:
    """The fields of a thing, by their names in answers, that cannot be had without some names.

    Args:
        names: `Type.field`.
        root: the thing's type.
        visited: parent type and field of everything that was asked.
    """
    found = frozenset(part for name in names for part in _parts_with(name, root, visited))
    return found | {alias for alias, field in ANSWERED_AS.items() if field in found}


def _parts_with(name: str, root: str, visited: Collection[tuple[str, str]]) -> Iterator[str]:
    parent, _, field = name.partition(".")
    if parent == root:
        yield field
        return
    for part, child in COMPOSITE.get(root, {}).items():
        if (root, part) in visited and parent in _within(child, visited, set()):
            yield part


def _within(kind: str, visited: Collection[tuple[str, str]], seen: set[str]) -> Collection[str]:
    """A type, and those of what was asked of it; a project in it is another thing, of which only names are asked."""
    if kind not in seen:
        seen.add(kind)
        for field, child in COMPOSITE.get(kind, {}).items() if kind != "Project" else ():
            if (kind, field) in visited:
                _within(child, visited, seen)
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
