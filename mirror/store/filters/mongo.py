"""W&B's Mongo-style run filters and orders, compiled to SQL over the view `runs` (W&B API notes, section 5).

Pure: values in, a `Fragment` out. A test that meets an absent value is false, never NULL, so that `$ne`, `$nin`, `$not`
and `$nor` match the runs without the field, as Mongo has it. Null and absent are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mirror.errors import ConfigError
from mirror.narrowed import DEEPEST, GROUPS, OPERATORS
from mirror.store.filters.comparing import (
    FALSE,
    TRUE,
    all_of,
    any_of,
    checked_pattern,
    compare_json,
    compare_number,
    compare_text,
    compare_time,
    negated,
    text_in,
)
from mirror.store.filters.run_fields import Fragment, RunField, filter_field, near_names, order_field, run_expression
from mirror.texts.values import storable

__all__ = ["Fragment", "compile_filter", "compile_order", "run_expression"]

OLDEST_FIRST = "+created_at"  # the SDK's default order

_SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

# Order of values of different types in one field, as the server has it: what is missing or no number, booleans,
# numbers, texts, the rest.
_RANK = (
    "CASE json_type({0}) WHEN 'BOOLEAN' THEN 1 WHEN 'BIGINT' THEN 2 WHEN 'UBIGINT' THEN 2 WHEN 'DOUBLE' THEN 2"
    " WHEN 'VARCHAR' THEN CASE json_extract_string({0}, '$') WHEN 'NaN' THEN 0 WHEN 'Infinity' THEN 2"
    " WHEN '-Infinity' THEN 2 ELSE 3 END WHEN 'ARRAY' THEN 4 WHEN 'OBJECT' THEN 4 ELSE 0 END"
)
_TIES = ("created_at", "run_id", "entity", "project")  # a server has runs in the order in which they were made

Test = Callable[[str], Fragment]  # of an expression that may be repeated


def compile_filter(filters: Mapping[str, Any] | None) -> Fragment:
    """A filter as a boolean expression that is never NULL, without `WHERE`.

    Args:
        filters: W&B's Mongo-style object; None or `{}` keeps every run.

    Raises:
        ConfigError: an unknown operator or field, named with those that look like it; an operand of a wrong form.
    """
    return _tree({} if filters is None else filters, 0)


def compile_order(order: str | None) -> Fragment:
    """An order as the terms of `ORDER BY`, total, so that pages never overlap.

    As the server's: runs without the value come first where it ascends, and last where it descends; ties go the way of
    the first field, by `created_at`, then by run id, since no answer tells the server's own number of a run.

    Args:
        order: `+field` or `-field`, several separated by commas; a single field without a sign is ascending, as the
            SDK's `Api.runs` documents it. None: oldest first.

    Raises:
        ConfigError: an unknown field, named with those that look like it.
    """
    terms: list[Fragment] = []
    parts = [part.strip() for part in re.split(r",(?=\s*[+-])", (order or "").strip() or OLDEST_FIRST)]
    for text in parts:
        field = order_field(text[1:].strip() if text[:1] in ("+", "-") else text)
        terms += _order_terms(field, _direction(text))
    sql = ", ".join([*(term.sql for term in terms), *(f'"{name}" {_direction(parts[0])}' for name in _TIES)])
    return Fragment(sql, tuple(value for term in terms for value in term.parameters))


def _direction(part: str) -> str:
    return "DESC NULLS LAST" if part.startswith("-") else "ASC NULLS FIRST"


def _order_terms(field: RunField, suffix: str) -> list[Fragment]:
    value, parameters = field.value.sql, field.value.parameters
    if field.kind == "tags":
        return [Fragment(f"CASE WHEN len({value}) > 0 THEN {value} END {suffix}")]
    if field.kind != "json":
        return [Fragment(f"{value} {suffix}", parameters)]
    text = f"json_extract_string({value}, '$')"
    often = _RANK.count("{0}") + 1  # how often the value stands in a term
    # Doubles first; what falls together there differs as an integer.
    number = f"CASE WHEN {_RANK.format(value)} = 2 THEN TRY_CAST({text} AS {{0}}) END"
    rest = f"CASE WHEN {_RANK.format(value)} IN (1, 3, 4) THEN {text} END"
    return [
        Fragment(f"{_RANK.format(value)} {suffix}", parameters * _RANK.count("{0}")),
        Fragment(f"{number.format('DOUBLE')} {suffix}", parameters * often),
        Fragment(f"{number.format('HUGEINT')} {suffix}", parameters * often),
        Fragment(f"{rest} {suffix}", parameters * often),
    ]


def _tree(tree: Any, depth: int) -> Fragment:
    if not isinstance(tree, Mapping):
        raise ConfigError(f"a filter is an object such as {{'state': 'finished'}}, not {tree!r}")
    if depth > DEEPEST:
        raise ConfigError(f"a filter may be {DEEPEST} levels deep, not more")
    return all_of([_clause(str(key), value, depth + 1) for key, value in tree.items()])


def _clause(key: str, value: Any, depth: int) -> Fragment:
    if key in GROUPS:
        parts = [_tree(item, depth) for item in _listed(key, value)]
        if key == "$and":
            return all_of(parts)
        return any_of(parts) if key == "$or" else negated(any_of(parts))
    if key == "$not":
        return negated(_tree(value, depth))
    if key.startswith("$"):
        raise _unknown_operator(key, (*GROUPS, "$not"))
    return _condition(filter_field(key), value, depth)


def _condition(field: RunField, condition: Any, depth: int) -> Fragment:
    """A field's condition: an object of operators, or a plain value, which stands for `$eq`."""
    if not (isinstance(condition, Mapping) and any(str(key).startswith("$") for key in condition)):
        condition = {"$eq": condition}
    if depth > DEEPEST:
        raise ConfigError(f"a filter may be {DEEPEST} levels deep, not more")
    return all_of([_operator(field, str(name), operand, depth + 1) for name, operand in condition.items()])


def _operator(field: RunField, name: str, operand: Any, depth: int) -> Fragment:
    if name in ("$eq", "$ne"):
        found = _equals(field, operand)
        return found if name == "$eq" else negated(found)
    if name in ("$in", "$nin"):
        found = _one_of(field, list(_listed(name, operand)))
        return found if name == "$in" else negated(found)
    if name in _SIGNS:
        return FALSE if operand is None else _holds(field, _comparison(field, _SIGNS[name], operand))
    if name == "$exists":
        return negated(_missing(field)) if operand else _missing(field)
    if name == "$regex":
        return _holds(field, _search(field, checked_pattern(operand, field.name)))
    if name == "$not":
        if not isinstance(operand, Mapping) or not operand:
            raise ConfigError(f"$not of {field.name!r} needs an object of operators, not {operand!r}")
        return negated(all_of([_condition(field, {key: item}, depth) for key, item in operand.items()]))
    raise _unknown_operator(name, OPERATORS)


def _equals(field: RunField, operand: Any) -> Fragment:
    """Mongo's equality: null is also absent, and a list equals what it is or what it holds."""
    if operand is None:
        return _missing(field) if field.kind != "json" else any_of([_missing(field), _held(field, operand)])
    if field.kind == "tags" and isinstance(operand, list | tuple):
        if not operand:
            return _missing(field)
        texts = [storable(item) for item in operand if isinstance(item, str)]
        if len(texts) < len(operand):
            return FALSE
        return Fragment(f"(({field.value.sql} = ?::VARCHAR[]) IS TRUE)", (texts,))
    if field.kind == "json" and isinstance(operand, list | tuple):
        whole = compare_json("x", "=", operand)
        return any_of([_held(field, operand), _some(_alone(field), whole)])
    return _held(field, operand)


def _held(field: RunField, operand: Any) -> Fragment:
    return _holds(field, _comparison(field, "=", operand))


def _one_of(field: RunField, operands: list[Any]) -> Fragment:
    """Any of the operands: all scalars in one look at the value, texts in one step."""
    takes_texts = field.kind in ("text", "tags", "json")
    texts: list[str] = []
    apart: list[Any] = []  # null and lists have an equality of their own
    rest: list[Any] = []
    for item in operands:
        if takes_texts and isinstance(item, str):
            texts.append(item)
        else:
            (apart if item is None or isinstance(item, list | tuple) else rest).append(item)

    def any_scalar(value: str) -> Fragment:
        tests = [_comparison(field, "=", item)(value) for item in rest]
        if texts:
            tests.append(text_in(value, texts, is_json=field.kind == "json"))
        return any_of(tests)

    scalars = [_holds(field, any_scalar)] if texts or rest else []
    return any_of([*scalars, *(_equals(field, item) for item in apart)])


def _comparison(field: RunField, sign: str, operand: Any) -> Test:
    if field.kind == "json":
        return lambda value: compare_json(value, sign, operand)
    if field.kind == "time":
        return lambda value: compare_time(value, sign, operand, field.name)
    if field.kind == "number":
        return lambda value: compare_number(value, sign, operand)
    return lambda value: compare_text(value, sign, operand)


def _search(field: RunField, pattern: str) -> Test:
    def found(value: str) -> Fragment:
        if field.kind == "json":
            text = f"json_extract_string({value}, '$')"
            return Fragment(f"(json_type({value}) = 'VARCHAR' AND regexp_matches({text}, ?))", (pattern,))
        text = f"strftime({value}, '%Y-%m-%dT%H:%M:%S')" if field.kind == "time" else value
        return FALSE if field.kind == "number" else Fragment(f"regexp_matches({text}, ?)", (pattern,))

    return found


def _holds(field: RunField, test: Test) -> Fragment:
    """The test is true of the value or, where that is a list, of one of its elements."""
    value = field.value
    if field.kind == "json":
        alone = _alone(field)
        spread = "lambda v: CASE WHEN json_type(v) = 'ARRAY' THEN json_extract(v, '$[*]') ELSE [v] END"
        return _some(Fragment(f"flatten(list_transform({alone.sql}, {spread}))", alone.parameters), test("x"))
    if field.kind == "tags":
        return _some(value, test("x"))
    tested = test(value.sql)
    return tested if tested in (TRUE, FALSE) else Fragment(f"({tested.sql} IS TRUE)", tested.parameters)


def _missing(field: RunField) -> Fragment:
    """The run lacks the field, has null there, or has no tags."""
    if field.kind == "json":
        return negated(_some(_alone(field), Fragment("json_type(x) <> 'NULL'")))
    if field.kind == "tags":
        return Fragment(f"((len({field.value.sql}) > 0) IS NOT TRUE)")
    return Fragment(f"({field.value.sql} IS NULL)")


def _alone(field: RunField) -> Fragment:
    """A JSON value as a list of one, so that a lambda gives it a name."""
    return Fragment(f"[{field.value.sql}]", field.value.parameters)


def _some(elements: Fragment, test: Fragment) -> Fragment:
    sql = f"((len(list_filter({elements.sql}, lambda x: {test.sql})) > 0) IS TRUE)"
    return Fragment(sql, elements.parameters + test.parameters)


def _listed(name: str, operand: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(operand, list | tuple):
        raise ConfigError(f"{name} needs a list, not {operand!r}")
    return operand


def _unknown_operator(name: str, known: tuple[str, ...]) -> ConfigError:
    return ConfigError(f"{name!r} is not a known filter operator here", hint=near_names(name, known))
