"""Edits of one run, one after the other, as a single edit: a pure function of values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from mirror.records.operations import Change, Edit, Entry, merged_tags
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
        begun = Change(base=done[key].value) if key in done else change
        if not _is_nothing(left := msgspec.structs.replace(change, base=begun.base, unseen=begun.unseen)):
            rest[key] = left
    for key, change in done.items():
        if key not in grown:  # it ended as it began
            rest[key] = Change(base=change.value, value=change.base)
    return rest


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
    if key == "tags" and not _same(first.value, then.base):
        base, wish, seen, wanted = map(_listed, (first.base, first.value, then.base, then.value))
        others = [tag for tag in seen if tag not in (*wanted, *wish, *base)]  # came from elsewhere, and are to go
        return Change(base=[*base, *others], value=merged_tags(seen, wanted, wish))
    return msgspec.structs.replace(then, base=first.base, unseen=first.unseen)


def _listed(value: Any) -> list[str]:
    return [] if value is UNSET or value is None else list(value)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; 1, 1.0 and true are three values, and absent is none of them."""
    if one is UNSET or other is UNSET:
        return one is other
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    return json.dumps(json.loads(dump_strict(value)), sort_keys=True)
