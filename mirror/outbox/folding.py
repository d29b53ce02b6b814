"""Edits of one run, one after the other, as a single edit: a pure function of values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from mirror.records.operations import Change, Edit, Entry
from mirror.texts.values import dump_strict

MOST_FOLDED = 64  # edits in one entry: each fold writes all that was folded before once more

K = TypeVar("K", bound=str)


def can_take(entry: Entry) -> bool:
    """Whether a later edit may be folded into an entry that waits.

    One whose delivery was begun may have reached the server without an answer, and its base is no longer what stands
    there: folded, its own change would look like somebody else's. One that a person resolved is as they saw it, and one
    that was handed over may be on its way from another machine.
    """
    return (
        isinstance(entry.operation, Edit)
        and entry.attempts == 0
        and entry.resolved is None
        and entry.reason is None
        and entry.author is None
        and len(entry.folded) < MOST_FOLDED
    )


def goes_on(earlier: Edit, later: Edit) -> bool:
    """Whether a later edit was made by somebody who saw the earlier one, as far as both change the same values.

    Else its author saw something else, and which of the two counts is for the replay to find out: it merges or holds.
    Tags are sets, in which the additions and removals of both stand whoever saw what; and who saw nothing meant
    whatever was there.
    """
    pairs: tuple[tuple[Mapping[Any, Change], Mapping[Any, Change]], ...] = (
        (earlier.fields, later.fields),
        (earlier.config, later.config),
        (earlier.summary, later.summary),
    )
    return all(
        _same(before[key].value, change.base)
        for before, after in pairs
        for key, change in after.items()
        if key in before and key != "tags" and change.unseen is UNSET
    )


def fold(entry: Entry, later_id: str, later: Edit) -> Entry:
    """An entry whose edit also does what a later edit does.

    The first base and the last value of each field and key count; what ends as it began vanishes. It keeps its id and
    thereby its place in the run's order. An edit of which nothing is left stays an entry, so that its receipt tells
    what became of each edit that was asked for.
    """
    earlier = entry.operation
    if not isinstance(earlier, Edit):
        raise TypeError(f"an {entry.kind} takes no edit")
    edit = Edit(
        fields=_chained(earlier.fields, later.fields),
        config=_chained(earlier.config, later.config),
        summary=_chained(earlier.summary, later.summary),
    )
    return msgspec.structs.replace(entry, operation=edit, folded=(*entry.folded, later_id))


def rest_of(grown: Edit, done: Edit) -> Edit:
    """What an edit asks beyond an earlier state of it, into which later edits were folded since."""
    return Edit(
        fields=_beyond(grown.fields, done.fields),
        config=_beyond(grown.config, done.config),
        summary=_beyond(grown.summary, done.summary),
    )


def _beyond(grown: Mapping[K, Change], done: Mapping[K, Change]) -> dict[K, Change]:
    rest: dict[K, Change] = {}
    for key, change in grown.items():
        before = done.get(key)
        if before is None:
            rest[key] = change
        elif key == "tags":
            rest[key] = _tags(_Tags(change).beyond(_Tags(before)), change.unseen)
        elif not _same(before.value, change.value):
            rest[key] = msgspec.structs.replace(change, base=before.value)
    for key, change in done.items():
        if key not in grown:  # it ended as it began
            rest[key] = Change(base=change.value, value=change.base)
    return {key: change for key, change in rest.items() if not _is_nothing(change)}


def _chained(earlier: Mapping[K, Change], later: Mapping[K, Change]) -> dict[K, Change]:
    chained = dict(earlier)
    for key, change in later.items():
        first = chained.get(key)
        both = change if first is None else _both(key, first, change)
        if _is_nothing(both):
            chained.pop(key, None)
        else:
            chained[key] = both
    return chained


def _is_nothing(change: Change) -> bool:
    """Whether it ends as it began, as far as its author saw that."""
    return change.unseen is UNSET and _same(change.base, change.value)


def _both(key: str, first: Change, then: Change) -> Change:
    unseen = then.unseen if first.unseen is UNSET else first.unseen
    if key == "tags" and (unseen is not UNSET or not _same(first.value, then.base)):
        return _tags(_Tags(first).then(_Tags(then)), unseen)
    return msgspec.structs.replace(then, base=first.base, unseen=unseen)


class _Tags:
    """What a change of tags does, whoever saw which.

    Args:
        change: of tags.
    """

    def __init__(self, change: Change) -> None:
        base, value = _listed(change.base), _listed(change.value)
        self.removed = [tag for tag in base if tag not in value]
        self.added = [tag for tag in value if tag not in base]

    def then(self, later: _Tags) -> tuple[list[str], list[str]]:
        """What both do, one after the other: what is removed and what is added."""
        removed = [tag for tag in self.removed if tag not in later.added] + later.removed
        return removed, [tag for tag in self.added if tag not in later.removed] + later.added

    def beyond(self, done: _Tags) -> tuple[list[str], list[str]]:
        """What is left to do of it once another change is done."""
        removed = _without(self.removed, done.removed) + _without(done.added, self.added)
        return removed, _without(self.added, done.added) + _without(done.removed, self.removed)


def _tags(changes: tuple[list[str], list[str]], unseen: Literal[True] | UnsetType) -> Change:
    removed, added = (list(dict.fromkeys(tags)) for tags in changes)
    return Change(base=removed, value=added, unseen=unseen)


def _without(tags: list[str], others: list[str]) -> list[str]:
    return [tag for tag in tags if tag not in others]


def _listed(value: Any) -> list[str]:
    return [] if value is UNSET or value is None else list(value)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; 1, 1.0 and true are three values, and absent is none of them."""
    if one is UNSET or other is UNSET:
        return one is other
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    return json.dumps(json.loads(dump_strict(value)), sort_keys=True)
