"""One value in SQL against one operand of a filter, by JSON type: numbers with numbers, text with text.

Nothing here raises in DuckDB, whatever the rows hold: every cast is a TRY_CAST behind a look at the type. Results may
be NULL where a value is absent; `filters` turns that into false.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

import duckdb

from mirror.errors import ConfigError
from mirror.store.engine.connection import sql_text
from mirror.store.filters.run_fields import Fragment, pointer
from mirror.texts.nonfinite import finite
from mirror.texts.values import storable, valid_unicode

FALSE = Fragment("FALSE")
TRUE = Fragment("TRUE")

# HUGEINT holds every integer of so many digits; a longer one compares as the nearest DOUBLE.
_EXACT_DIGITS = 38
_EXACT_LIMIT = 10**_EXACT_DIGITS
_NUMBERS = "('BIGINT', 'UBIGINT', 'DOUBLE')"


def all_of(parts: list[Fragment]) -> Fragment:
    """A conjunction; true when there are no parts."""
    return _joined(parts, " AND ") if parts else TRUE


def any_of(parts: list[Fragment]) -> Fragment:
    """A disjunction; false when there are no parts."""
    return _joined(parts, " OR ") if parts else FALSE


def negated(part: Fragment) -> Fragment:
    """The opposite; `part` must not be NULL."""
    return Fragment(f"(NOT {part.sql})", part.parameters)


def compare_text(text: str, sign: str, operand: Any) -> Fragment:
    """A column's text against an operand, spelled as columns hold it; what is not a text never matches."""
    return Fragment(f"({text} {sign} ?)", (storable(operand),)) if isinstance(operand, str) else FALSE


def text_in(value: str, texts: list[str], *, is_json: bool) -> Fragment:
    """A column's text, or a JSON value, is one of the texts; lists may be long."""
    marks = ", ".join("?" for _ in texts)
    if not is_json:
        return Fragment(f"({value} IN ({marks}))", tuple(map(storable, texts)))
    sql = f"(json_type({value}) = 'VARCHAR' AND json_extract_string({value}, '$') IN ({marks}))"
    return Fragment(sql, tuple(map(valid_unicode, texts)))


def compare_time(moment: str, sign: str, operand: Any, name: str) -> Fragment:
    """A TIMESTAMP in UTC against a time in any of W&B's spellings.

    Raises:
        ConfigError: the operand is no time.
    """
    return Fragment(f"({moment} {sign} ?::TIMESTAMP)", (_utc(operand, name),))


def compare_number(number: str, sign: str, operand: Any) -> Fragment:
    """A DOUBLE against an operand; what is not a number never matches."""
    return _against_double(number, sign, operand) if _is_number(operand) else FALSE


def compare_json(value: str, sign: str, operand: Any) -> Fragment:
    """A JSON value against an operand of the same JSON type; for `=` also null, lists and objects, whole.

    Args:
        value: an expression that may be repeated: a name.
        sign: `=`, `<`, `<=`, `>` or `>=`.
        operand: a JSON value; a float that is not finite equals W&B's text for it.
    """
    text = f"json_extract_string({value}, '$')"
    if isinstance(operand, bool):  # 'false' < 'true' as texts, too
        return Fragment(f"(json_type({value}) = 'BOOLEAN' AND {text} {sign} ?)", ("true" if operand else "false",))
    if sign == "=" and isinstance(operand, float):
        operand = finite(operand)
    if isinstance(operand, str):
        return Fragment(f"(json_type({value}) = 'VARCHAR' AND {text} {sign} ?)", (valid_unicode(operand),))
    if _is_number(operand):
        is_whole = f"regexp_full_match({text}, '-{{0,1}}[0-9]{{1,{_EXACT_DIGITS}}}')"
        exact = f"CASE WHEN {is_whole} THEN TRY_CAST({text} AS HUGEINT) END"
        whole = _against_integer(f"({exact})", sign, operand)
        near = _against_double(f"TRY_CAST({text} AS DOUBLE)", sign, operand)
        either = f"CASE WHEN {exact} IS NOT NULL THEN {whole.sql} ELSE {near.sql} END"
        return Fragment(f"(json_type({value}) IN {_NUMBERS} AND {either})", whole.parameters + near.parameters)
    if sign != "=":
        return FALSE
    if operand is None:
        return Fragment(f"(json_type({value}) = 'NULL')")
    if isinstance(operand, list | tuple):
        return _same_list(value, operand)
    return _same_object(value, operand) if isinstance(operand, Mapping) else FALSE


def checked_pattern(pattern: Any, name: str) -> str:
    """A pattern in RE2's syntax.

    Raises:
        ConfigError: it is no text, or RE2 does not take it.
    """
    if not isinstance(pattern, str):
        raise ConfigError(f"$regex of {name!r} needs a text, not {pattern!r}")
    sound = valid_unicode(pattern)
    try:
        with duckdb.connect() as engine:  # the RE2 that will read it
            engine.execute(f"SELECT regexp_matches('', {sql_text(sound)})").fetchall()
    except duckdb.Error as error:
        raise ConfigError(f"$regex of {name!r}: {error}", hint="patterns are in RE2's syntax, as in W&B") from error
    return sound


def _joined(parts: list[Fragment], word: str) -> Fragment:
    return Fragment(
        f"({word.join(part.sql for part in parts)})", tuple(value for part in parts for value in part.parameters)
    )


def _is_number(operand: Any) -> bool:
    return isinstance(operand, int | float) and not isinstance(operand, bool)


def _against_integer(number: str, sign: str, operand: int | float) -> Fragment:
    """A HUGEINT against any number, exactly: the operand is rounded to the side that changes no answer."""
    if isinstance(operand, float) and math.isnan(operand):
        return FALSE
    if abs(operand) >= _EXACT_LIMIT:
        return TRUE if sign in (("<", "<=") if operand > 0 else (">", ">=")) else FALSE
    bound = math.floor(operand) if sign in (">", "<=") else math.ceil(operand)
    return FALSE if sign == "=" and bound != operand else Fragment(f"({number} {sign} ?::HUGEINT)", (bound,))


def _against_double(number: str, sign: str, operand: int | float) -> Fragment:
    """A DOUBLE against any number, exactly; an integer between two doubles is moved as in `_against_integer`."""
    if isinstance(operand, float):
        return FALSE if math.isnan(operand) else Fragment(f"({number} {sign} ?::DOUBLE)", (operand,))
    try:
        bound = float(operand)
    except OverflowError:
        bound = math.inf if operand > 0 else -math.inf
    if bound != operand:
        if sign == "=":
            return FALSE
        down = sign in (">", "<=")
        if (bound > operand) is down:
            bound = math.nextafter(bound, -math.inf if down else math.inf)
    return Fragment(f"({number} {sign} ?::DOUBLE)", (bound,))


def _same_list(value: str, operand: list[Any] | tuple[Any, ...]) -> Fragment:
    shape = Fragment(f"(json_type({value}) = 'ARRAY' AND json_array_length({value}) = ?)", (len(operand),))
    items = [_inside(value, f"/{index}", item) for index, item in enumerate(operand)]
    return all_of([shape, *items])


def _same_object(value: str, operand: Mapping[str, Any]) -> Fragment:
    shape = Fragment(f"(json_type({value}) = 'OBJECT' AND len(json_keys({value})) = ?)", (len(operand),))
    return all_of([shape, *(_inside(value, pointer(str(key)), item) for key, item in operand.items())])


def _inside(value: str, place: str, operand: Any) -> Fragment:
    """What is at a place of a JSON value equals the operand. The place goes along as a name of its own."""
    inner = compare_json("y", "=", operand) if value != "y" else compare_json("x", "=", operand)
    name = "y" if value != "y" else "x"
    sql = f"(len(list_filter([json_extract({value}, ?)], lambda {name}: {inner.sql})) > 0)"
    return Fragment(sql, (place, *inner.parameters))


def _utc(operand: Any, name: str) -> dt.datetime:
    """A time as the lake has it: UTC without a zone; a text without a zone is UTC (W&B API notes, section 4)."""
    moment = operand
    if isinstance(operand, str):
        try:
            moment = dt.datetime.fromisoformat(operand.strip().upper())
        except ValueError:
            moment = None
    if not isinstance(moment, dt.datetime):
        raise ConfigError(
            f"{name!r} is a time; {operand!r} is none", hint="write times in ISO 8601, such as 2024-01-31T12:00:00Z"
        )
    try:
        return moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None)
    except OverflowError:
        raise ConfigError(f"{name!r}: {operand!r} is outside the years 1 to 9999") from None
