"""Filters: W&B's Mongo-style objects, compiled to predicates of runs or else (W&B API notes, section 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mirror.sandbox.histories.keys import key_table
from mirror.sandbox.histories.rows import lookup
from mirror.sandbox.state.records import RunRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.listing_arguments import filters_object

Predicate = Callable[[Any], bool]
Getter = Callable[[Any], Any]
Fields = Callable[[str], Getter]
"""How to read a field, by its name in a filter."""

_FIELDS: dict[str, Getter] = {
    "createdAt": lambda run: run.created_at,
    "created_at": lambda run: run.created_at,
    "heartbeatAt": lambda run: run.heartbeat_at,
    "heartbeat_at": lambda run: run.heartbeat_at,
    "updatedAt": lambda run: run.updated_at,
    "updated_at": lambda run: run.updated_at,
    "displayName": lambda run: run.display_name,
    "display_name": lambda run: run.display_name,
    "duration": lambda run: run.summary.get("_runtime"),
    "group": lambda run: run.group,
    "host": lambda run: run.host,
    "jobType": lambda run: run.job_type,
    "job_type": lambda run: run.job_type,
    "name": lambda run: run.name,
    "state": lambda run: run.state,
    "tags": lambda run: run.tags or None,
    "username": lambda run: run.user.username if run.user else None,
    "user": lambda run: run.user.username if run.user else None,
    "sweep": lambda run: run.sweep_name,
    "notes": lambda run: run.notes,
}
_TIMES = frozenset({"createdAt", "created_at", "heartbeatAt", "heartbeat_at", "updatedAt", "updated_at"})


def compile_filters(text: str | None, fields: Fields | None = None) -> Predicate | None:
    """The predicate of a `filters` argument; None when it keeps everything.

    Args:
        fields: What can be filtered, where it is not runs.

    Raises:
        RequestRefused: the text is not a JSON object, or names an unknown field or operator.
    """
    tree = filters_object(text)
    return None if tree is None else _all_of(tree, fields or field_getter)


def named_fields(getters: Mapping[str, Getter]) -> Fields:
    """The fields of a table.

    Raises:
        RequestRefused: (when asked) there is no such field.
    """

    def find(key: str) -> Getter:
        if key not in getters:
            raise RequestRefused(f"invalid filters: unknown field {key}", status=400)
        return getters[key]

    return find


def _all_of(tree: Any, fields: Fields) -> Predicate:
    if not isinstance(tree, Mapping):
        raise RequestRefused("invalid filters: expected an object")
    clauses = [_clause(key, value, fields) for key, value in tree.items()]
    return lambda run: all(clause(run) for clause in clauses)


def _clause(key: str, value: Any, fields: Fields) -> Predicate:
    if key in ("$and", "$or", "$nor"):
        if not isinstance(value, list):
            raise RequestRefused(f"invalid filters: {key} needs a list")
        parts = [_all_of(item, fields) for item in value]
        if key == "$and":
            return lambda run: all(part(run) for part in parts)
        wanted = key == "$or"
        return lambda run: any(part(run) for part in parts) is wanted
    if key == "$not":
        inner = _all_of(value, fields)
        return lambda run: not inner(run)
    if key.startswith("$"):
        raise RequestRefused(f"invalid filters: unknown operator {key}")
    return _field_test(fields(key), value, is_time=key in _TIMES)


def field_getter(key: str) -> Getter:
    """How to read a filter or order field from a run.

    Raises:
        RequestRefused: there is no such field.
    """
    if key in _FIELDS:
        return _FIELDS[key]
    root, _, rest = key.partition(".")
    if root == "config" and rest:
        return lambda run: _config_value(run, rest)
    if root in ("summary_metrics", "summaryMetrics") and rest:
        return lambda run: lookup(run.summary, rest)
    if key.startswith("keys_info.keys."):
        name = key.removeprefix("keys_info.keys.")
        return lambda run: (key_table(run) or {"keys": {}})["keys"].get(name)
    raise RequestRefused(f"invalid filters: unknown column {key}", status=400)


def _config_value(run: RunRecord, path: str) -> Any:
    plain = {
        key: item["value"] if isinstance(item, dict) and "value" in item else item for key, item in run.config.items()
    }
    found = lookup(plain, path)
    # Some callers spell the envelope out: config.lr.value.
    return lookup(plain, path.removesuffix(".value")) if found is None and path.endswith(".value") else found


def _field_test(get: Getter, condition: Any, *, is_time: bool) -> Predicate:
    if not (isinstance(condition, Mapping) and any(str(key).startswith("$") for key in condition)):
        condition = {"$eq": condition}
    if "$regex" in condition:
        condition = {key: value for key, value in condition.items() if key != "$options"}
    tests = [_operator(name, operand, is_time) for name, operand in condition.items()]
    if is_time:
        return lambda run: all(test(plain_time(get(run))) for test in tests)
    return lambda run: all(test(get(run)) for test in tests)


def _operator(name: str, operand: Any, is_time: bool) -> Callable[[Any], bool]:
    if is_time:
        operand = [plain_time(item) for item in operand] if isinstance(operand, list) else plain_time(operand)
    if name == "$eq":
        return lambda value: _equal(value, operand)
    if name == "$ne":
        return lambda value: not _equal(value, operand)
    if name in ("$in", "$nin"):
        if not isinstance(operand, list):
            raise RequestRefused(f"invalid filters: {name} needs a list")
        wanted = name == "$in"
        return lambda value: any(_equal(value, item) for item in operand) is wanted
    if name == "$exists":
        return lambda value: (value is not None) is bool(operand)
    if name == "$regex":
        try:
            pattern = re.compile(str(operand))
        except re.error as error:
            raise RequestRefused(f"invalid filters: bad $regex: {error}") from None
        return lambda value: any(isinstance(v, str) and pattern.search(v) is not None for v in _elements(value))
    if name == "$contains":
        return lambda value: any(isinstance(v, str) and str(operand) in v for v in _elements(value))
    if name == "$not":
        inner = [_operator(key, item, is_time) for key, item in dict(operand).items()]
        return lambda value: not all(test(value) for test in inner)
    if name in _COMPARISONS:
        compare = _COMPARISONS[name]
        return lambda value: any(_comparable(v, operand) and compare(v, operand) for v in _elements(value))
    raise RequestRefused(f"invalid filters: unknown operator {name}")


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
