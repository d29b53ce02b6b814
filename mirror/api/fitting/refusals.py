"""What a server says when it does not know something that a document asks for, read as facts. Pure.

The words are those of the GraphQL libraries that servers are made with: graphql-js and its ports to Go and Python,
graphql-java, graphql-ruby.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mirror.errors import Reported

_VALIDATION_CODES = frozenset({"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_ERROR"})
_Q = r"""["'`\\]*"""  # a quote in any spelling, escaped or left out
_TYPE = r"[\w!\[\]]+"

_UNKNOWN_FIELD = (
    rf"cannot query field {_Q}(?P<field>\w+){_Q} on type {_Q}(?P<type>\w+)",
    rf"field {_Q}(?P<field>\w+){_Q} does(?:n't| not) exist on (?:the )?type {_Q}(?P<type>\w+)",
    rf"unknown field {_Q}(?P<field>\w+){_Q} on (?:the )?type {_Q}(?P<type>\w+)",
    rf"field {_Q}(?P<field>\w+){_Q} in type {_Q}(?P<type>\w+){_Q} is undefined",
    rf"field {_Q}(?P<field>\w+){_Q} (?:is )?not (?:found|defined) (?:in|by|on) (?:type:? )?{_Q}(?P<type>\w+)",
)
_UNKNOWN_INPUT = (rf"in field {_Q}(?P<input>\w+){_Q}: unknown field",)
_UNKNOWN_ARGUMENT = (
    rf"unknown argument {_Q}(?P<argument>\w+){_Q} on field {_Q}(?P<type>\w+)\.(?P<field>\w+)",
    rf"unknown argument {_Q}(?P<argument>\w+){_Q} on field {_Q}(?P<field>\w+){_Q} of type {_Q}(?P<type>\w+)",
    rf"unknown argument {_Q}(?P<argument>\w+){_Q} on field {_Q}(?P<field>\w+)",
)
_UNUSABLE_FIELD = (  # it is there, with another shape than the document takes it to have
    rf"field {_Q}(?P<field>\w+){_Q} must not have a (?:sub)?selection",
    rf"field {_Q}(?P<field>\w+){_Q} of type {_Q}{_TYPE}{_Q} must have a (?:sub)?selection",
    rf"field {_Q}(?P<field>\w+){_Q} argument {_Q}\w+{_Q} of type {_Q}{_TYPE}{_Q} is required",
)
_VARIABLE_TYPE = (
    rf"variable {_Q}\$(?P<variable>\w+){_Q} of type {_Q}{_TYPE}{_Q} used in position .*type {_Q}(?P<expected>{_TYPE})",
)
_UNKNOWN_TYPE = (rf"^(?:validation error[^:]*: *)?unknown type {_Q}(?P<type>\w+){_Q}\W*(?:did you mean.*)?$",)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One thing that a server does not know, as far as its words tell."""

    type: str | None = None  # of the field's parent, or of the input
    field: str | None = None
    argument: str | None = None
    variable: str | None = None  # without `$`
    expected: str | None = None  # the type that the variable must have, as GraphQL writes it
    unknown_type: str | None = None
    input: str | None = None  # a field of the input that a variable holds
    line: int | None = None  # place in the document, from 1
    column: int | None = None


def _compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


_PATTERNS = _compiled(*_VARIABLE_TYPE, *_UNKNOWN_ARGUMENT, *_UNKNOWN_FIELD, *_UNUSABLE_FIELD, *_UNKNOWN_INPUT)
_TYPE_PATTERNS = _compiled(*_UNKNOWN_TYPE)


def is_about_form(error: Reported) -> bool:
    """Whether the server refused the document itself, so that neither its size nor a run is to blame."""
    return error.code in _VALIDATION_CODES or (not error.path and _matched(error.message) is not None)


def refusal_of(error: Reported) -> Refusal:
    """What the words of a refusal tell; a refusal in unknown words has a place at the most."""
    groups = _matched(error.message) or {}
    return Refusal(
        type=groups.get("type"),
        field=groups.get("field"),
        argument=groups.get("argument"),
        variable=groups.get("variable"),
        expected=groups.get("expected"),
        unknown_type=groups.get("unknown_type"),
        input=groups.get("input"),
        line=error.line,
        column=error.column,
    )


def _matched(message: str) -> dict[str, str] | None:
    for pattern in _PATTERNS:
        if (found := pattern.search(message)) is not None:
            return {name: value for name, value in found.groupdict().items() if value is not None}
    for pattern in _TYPE_PATTERNS:
        if (found := pattern.search(message)) is not None:
            return {"unknown_type": found["type"]}
    return None
