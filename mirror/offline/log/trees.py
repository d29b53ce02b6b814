"""JSON documents that are built key by key, as W&B's config, summary and rows are: values stay the texts they came as.

Source: core/internal/pathtree of W&B's SDK.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

Tree = dict[str, Any]  # of trees and JSON texts


@lru_cache(maxsize=100_000)
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
        text = item.value_json
        keys = item.nested_key
        if not text:
            continue
        if len(keys) > 1:
            put(tree, tuple(keys), text)
        elif key := (keys[0] if keys else item.key):
            tree[key] = text
    return tree


def spell(tree: Tree) -> str:
    """A tree as JSON text."""
    return (
        "{"
        + ",".join(
            [f"{quoted(key)}:{below if isinstance(below, str) else spell(below)}" for key, below in tree.items()]
        )
        + "}"
    )
