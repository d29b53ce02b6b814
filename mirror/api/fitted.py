"""A document as a server can be asked: what `fitting` makes, without the GraphQL library that it makes it with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A document as a server can be asked."""

    text: str | None  # None: nothing of it is left
    operation: str
    variables: frozenset[str]  # names of those that it still has, without `$`
    left_out: frozenset[str]  # `Type.field`, or `Type.field(argument)` where an argument is to blame
    visited: frozenset[tuple[str, str]]  # parent type and field of everything that is left


def named_type(text: str) -> str:
    """The name in a type: `[RunEdge!]!` is about `RunEdge`."""
    return text.strip("[]!")


def family(variable: str) -> str:
    """The name of a variable without its number: a document for several things has one of a kind for each."""
    return variable.rstrip("0123456789") or variable
