"""Filters and orders: W&B's Mongo-style objects, compiled to predicates of values (W&B API notes, section 5)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mirror.wandb_protocol.listing_arguments import filters_object, invalid_filters

Predicate = Callable[[Any], bool]
Getter = Callable[[Any], Any]
Fields = Callable[[str], Getter]
"""How to read a field, by its name in a filter."""
Search = Callable[[str], Callable[[str], bool]]
"""Compiles a pattern to "whether a text has it"; a ValueError says why it is none."""

TIMES = frozenset({"createdAt", "created_at", "heartbeatAt", "heartbeat_at", "updatedAt", "updated_at"})


def search_backtracking(pattern: str) -> Callable[[str], bool]:
    """By Python's own engine, which a pattern can keep busy for ever.

    Raises:
        ValueError: it is no pattern.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(str(error)) from None
    return lambda text: compiled.search(text) is not None


def compile_filters(text: str | None, fields: Fields, search: Search = search_backtracking) -> Predicate | None:
    """The predicate of a `filters` argument; None when it keeps everything.

    Args:
        text: JSON, as it came.
        fields: what can be filtered.
        search: how a `$regex` is looked for.

    Raises:
        RequestRefused: the text is not a JSON object, or names an unknown field or operator.
    """
    tree = filters_object(text)
    return None if tree is None else _all_of(tree, fields, search)


def named_fields(getters: Mapping[str, Getter]) -> Fields:
    """The fields of a table.

    Raises:
        RequestRefused: (when asked) there is no such field.
    """

    def find(key: str) -> Getter:
        if key not in getters:
            raise invalid_filters(f"unknown field {key}")
        return getters[key]

    return find


def _all_of(tree: Any, fields: Fields, search: Search) -> Predicate:
    if not isinstance(tree, Mapping):
        raise invalid_filters("expected an object")
    clauses = [_clause(key, value, fields, search) for key, value in tree.items()]
    return lambda item: all(clause(item) for clause in clauses)


def _clause(key: str, value: Any, fields: Fields, search: Search) -> Predicate:
    if key in ("$and", "$or", "$nor"):
        if not isinstance(value, list):
            raise invalid_filters(f"{key} needs a list")
        parts = [_all_of(item, fields, search) for item in value]
        if key == "$and":
            return lambda item: all(part(item) for part in parts)
        wanted = key == "$or"
        return lambda item: any(part(item) for part in parts) is wanted
    if key == "$not":
        inner = _all_of(value, fields, search)
        return lambda item: not inner(item)
    if key.startswith("$"):
        raise invalid_filters(f"unknown operator {key}")
    return _field_test(fields(key), value, search, is_time=key in TIMES)


def _field_test(get: Getter, condition: Any, search: Search, *, is_time: bool) -> Predicate:
    if not (isinstance(condition, Mapping) and any(str(key).startswith("$") for key in condition)):
        condition = {"$eq": condition}
    if "$regex" in condition:
        condition = {key: value for key, value in condition.items() if key != "$options"}
    tests = [_operator(name, operand, search, is_time) for name, operand in condition.items()]
    if is_time:
        return lambda item: all(test(plain_time(get(item))) for test in tests)
    return lambda item: all(test(get(item)) for test in tests)


def _operator(name: str, operand: Any, search: Search, is_time: bool) -> Callable[[Any], bool]:
    if is_time:
        operand = [plain_time(item) for item in operand] if isinstance(operand, list) else plain_time(operand)
    if name == "$eq":
        return lambda value: _equal(value, operand)
    if name == "$ne":
        return lambda value: not _equal(value, operand)
    if name in ("$in", "$nin"):
        if not isinstance(operand, list):
            raise invalid_filters(f"{name} needs a list")
        wanted = name == "$in"
        return lambda value: any(_equal(value, item) for item in operand) is wanted
    if name == "$exists":
        return lambda value: (value is not None) is bool(operand)
    if name == "$regex":
        try:
            found = search(str(operand))
        except ValueError as error:
            raise invalid_filters(f"bad $regex: {error}") from None
        return lambda value: any(isinstance(v, str) and found(v) for v in _elements(value))
    if name == "$contains":
        return lambda value: any(isinstance(v, str) and str(operand) in v for v in _elements(value))
    if name == "$not":
        inner = [_operator(key, item, search, is_time) for key, item in dict(operand).items()]
        return lambda value: not all(test(value) for test in inner)
    if name in _COMPARISONS:
        compare = _COMPARISONS[name]
        return lambda value: any(_comparable(v, operand) and compare(v, operand) for v in _elements(value))
    raise invalid_filters(f"unknown operator {name}")


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, operand: bool(value > operand),
    "$gte": lambda value, operand: bool(value >= operand),
    "$lt": lambda value, operand: bool(value < operand),
    "$lte": lambda value, operand: bool(value <= operand),
}


def _elements(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _equal(value: Any, operand: Any) -> bool:
    """Mongo's equality: a list equals what it is or what it holds, true is not 1."""
    if isinstance(value, bool) is not isinstance(operand, bool) and not isinstance(value, list):
        return False
    return bool(value == operand) or (isinstance(value, list) and any(_equal(item, operand) for item in value))


def _comparable(value: Any, operand: Any) -> bool:
    if isinstance(value, bool) or isinstance(operand, bool):
        return isinstance(value, bool) and isinstance(operand, bool)
    both_numbers = isinstance(value, int | float) and isinstance(operand, int | float)
    return both_numbers or (isinstance(value, str) and isinstance(operand, str))


def plain_time(value: Any) -> Any:
    """A time text that compares as text: no zone, no fraction's trailing zeros, T between date and time."""
    if not isinstance(value, str):
        return value
    text = value.strip().replace(" ", "T").removesuffix("Z").removesuffix("+00:00")
    return text.rstrip("0").rstrip(".") if "." in text else text


def ordered(items: Sequence[Any], order: str | None, fields: Fields) -> list[Any]:
    """`items` by an order such as "name" or "-createdAt"; as they are without one. Equal ones keep their order."""
    if not order:
        return list(items)
    get = fields(order.lstrip("+-"))
    return sorted(items, key=lambda item: rank(get(item)), reverse=order.startswith("-"))


def rank(value: Any) -> tuple[int, Any]:
    """A value that compares with any other: by type first."""
    if isinstance(value, bool):
        return (1, int(value))
    if isinstance(value, int | float):
        return (2, value) if value == value else (0, "")
    if isinstance(value, str):
        return (3, value)
    return (0, "") if value is None else (4, json.dumps(value, sort_keys=True, default=str))
