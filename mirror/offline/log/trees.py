"""JSON documents that are built key by key, as W&B's config, summary and rows are: values stay the texts they came as.

Source: core/internal/pathtree of W&B's SDK.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Tree = dict[str, Any]  # of trees and JSON texts
_MOST_NAMES = 100_000  # that are remembered


def quoted(key: str) -> str:
    """A key as JSON spells it."""
    return json.dumps(key, ensure_ascii=False)


def path_of(item: Any) -> tuple[str, ...]:
    """The keys that lead to an item of a record; none if it has no key."""
    return tuple(item.nested_key) or ((item.key,) if item.key else ())


def put(tree: Tree, path: tuple[str, ...], text: str) -> None:
    """Set a value, a JSON text; what stands in the way goes."""
    for key in path[:-1]:
        below = tree.get(key)
        if not isinstance(below, dict):
            below = tree[key] = {}
        tree = below
    tree[path[-1]] = text


def put_within(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    """Set a parsed value; of one that is an object, each member by itself, so that others stay."""
    if isinstance(value, dict):
        for key, member in value.items():
            put_within(tree, (*path, str(key)), member)
    else:
        put(tree, path, json.dumps(value, ensure_ascii=False))


def remove(tree: Tree, path: tuple[str, ...]) -> None:
    """Remove what is at a path, and the trees that are empty then."""
    below = tree.get(path[0])
    if len(path) == 1:
        tree.pop(path[0], None)
    elif isinstance(below, dict):
        remove(below, path[1:])
        if not below:
            del tree[path[0]]


def tree_of(items: Iterable[Any]) -> Tree:
    """The tree of a record's items; an item without a key or a value is left out."""
    tree: Tree = {}
    for item in items:
        if text := item.value_json:
            keys = item.nested_key
            if len(keys) == 1 and (key := keys[0]):
                tree[key] = text
            elif (path := path_of(item)) and path != ("",):
                put(tree, path, text)
    return tree


def spell(tree: Tree) -> str:
    """A tree as JSON text."""
    named = _NAMED
    try:
        return "{" + ",".join([named[key] + text for key, text in tree.items()]) + "}"
    except TypeError:  # there are trees in it
        below = {key: text if isinstance(text, str) else spell(text) for key, text in tree.items()}
        return "{" + ",".join([named[key] + text for key, text in below.items()]) + "}"


class _Named(dict[str, str]):
    """Keys as they stand before a value; those that were spelled before are found at once."""

    def __missing__(self, key: str) -> str:
        if len(self) >= _MOST_NAMES:
            self.clear()
        name = self[key] = f"{quoted(key)}:"
        return name


_NAMED = _Named()
