"""Where one value of a history ends: what W&B flattens into keys with dots, and what it keeps whole.

A dictionary is flattened, `{"a": {"b": 1, "c": {"d": 2}}}` into `a.b` and `a.c.d`, as W&B does for its own keys. A
list stays whole, and so does a dictionary that says what it is (`_type`: an image, a histogram, a table) or that is
empty. Members that are null are as good as absent: in a column the two look the same.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from mirror.texts.values import is_malformed, parse_lenient

TYPE = "_type"  # the member by which W&B tells its own kinds of values


_PLAIN = frozenset({bool, float, int, list, str})  # types of what is there and whole


class Base64(dict[str, str]):
    """Bytes that are no text, as `{"base64": …}`: one value, where a dictionary that was logged would be several."""


def is_whole(value: Any) -> bool:
    """Whether a value that is there is one value rather than several."""
    return (
        not isinstance(value, dict)
        or isinstance(value, Base64)
        or value.get(TYPE) is not None
        or all(item is None for item in value.values())
    )


def flattened(row: dict[str, Any]) -> dict[str, Any]:
    """A row with one key for each value; what is null is left out. The row itself, where it is like that.

    Where a key is spelled with dots and the same member is nested as well, the spelled one counts.
    """
    if _PLAIN.issuperset(map(type, row.values())):
        return row
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if not is_whole(value):
            _spread(flat, key, value)
    return flat | {key: value for key, value in row.items() if value is not None and is_whole(value)}


def without_nulls(value: Any) -> Any:
    """A parsed value without the members that are null."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def parsed_bytes(content: bytes) -> Any:
    """What a cell of bytes says: W&B's own reader takes binary columns for serialised JSON.

    Returns:
        The value, None for JSON's null; the text itself where it is no JSON; `{"base64": …}` where it is no UTF-8.
    """
    text = text_value(content)
    return text if not isinstance(text, str) or is_malformed(text) else without_nulls(parse_lenient(text))


def text_value(content: bytes) -> Any:
    """Bytes as the text that they are; those that are no UTF-8 as `{"base64": …}`."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return Base64(base64=base64.b64encode(content).decode())


def lookup(row: Mapping[str, Any], key: str) -> Any:
    """The value of a key in a row, however it is spelled there; None when the row lacks it.

    `a.b` is the key of that name, or else the member `b` of `a`; `a` is the key of that name with what is spelled
    `a.…` beside it.
    """
    own = row.get(key)
    if own is None or isinstance(own, dict):
        begin = f"{key}."
        below = {path: value for name, value in row.items() if name.startswith(begin) and (path := below_of(name, key))}
        if below:
            return merged(own, nested(below.items()))
    return own if own is not None or "." not in key else _inside(row, key)


def below_of(name: str, key: str) -> tuple[str, ...]:
    """The way from a key down to a name that is spelled with dots; empty where there is none."""
    if not name.startswith(f"{key}."):
        return ()
    path = tuple(name[len(key) + 1 :].split("."))
    return path if all(path) else ()


def nested(members: Iterable[tuple[tuple[str, ...], Any]]) -> dict[str, Any] | None:
    """One dictionary from its members, by their ways; None when none of them is there."""
    tree: dict[str, Any] = {}
    for path, value in sorted(members, key=lambda member: len(member[0])):
        if value is None:
            continue
        node = tree
        for name in path[:-1]:
            inner = node.setdefault(name, {})
            if not isinstance(inner, dict):  # a value and a dictionary under one name: the longer way stays spelled out
                break
            node[name] = node = dict(inner)
        else:
            node[path[-1]] = merged(value, node.get(path[-1]))
            continue
        tree[".".join(path)] = value
    return tree or None


def merged(own: Any, below: Any) -> Any:
    """A key's own value with what is spelled below it: the own one wins, and only dictionaries are joined."""
    if own is None:
        return below
    return {**below, **own} if isinstance(own, dict) and isinstance(below, dict) else own


def inner(value: Any, path: Iterable[str]) -> Any:
    """A member of nested dictionaries; None where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def prefixes(key: str) -> list[str]:
    """The names that a dictionary with such a member may have, the longest first."""
    parts = key.split(".")
    return [".".join(parts[:cut]) for cut in range(len(parts) - 1, 0, -1) if all(parts[cut:]) and parts[cut - 1]]


def _spread(flat: dict[str, Any], key: str, value: dict[str, Any]) -> None:
    for name, item in value.items():
        if item is not None:
            if is_whole(item):
                flat[f"{key}.{name}"] = item
            else:
                _spread(flat, f"{key}.{name}", item)


def _inside(row: Mapping[str, Any], key: str) -> Any:
    for name in prefixes(key):
        value = inner(row.get(name), key[len(name) + 1 :].split("."))
        if value is not None:
            return value
    return None
