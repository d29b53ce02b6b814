"""A document as a server can be asked: what `fit` makes, without the GraphQL library that it makes it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A document as a server can be asked."""

    text: str | None  # None: nothing of it is left
    operation: str
    variables: Mapping[str, str]  # those that it still has: types by name, without `$`
    left_out: frozenset[str]  # `Type.field`, or `Type.field(argument)` where an argument is to blame
    in_order: tuple[tuple[str, str], ...]  # parent type and field of everything that is left, once, parents first

    @cached_property
    def visited(self) -> frozenset[tuple[str, str]]:
        """The same without order."""
        return frozenset(self.in_order)

    def values(self, given: Mapping[str, object]) -> dict[str, object]:
        """The variables to be sent. Where a server wants a value for what is not asked this time, it gets one.

        Args:
            given: values by name; those that are not asked for are left out.
        """
        return {
            name: _nothing(self.variables[name]) if value is None and self.variables[name].endswith("!") else value
            for name, value in given.items()
            if name in self.variables
        }


def _nothing(kind: str) -> object:
    """The least value of a type."""
    if kind.startswith("["):
        return []
    name = named_type(kind)
    return False if name == "Boolean" else 0 if name in {"Int", "Int64", "Float"} else ""


def named_type(text: str) -> str:
    """The name in a type: `[RunEdge!]!` is about `RunEdge`."""
    return text.strip("[]!")


def family(variable: str) -> str:
    """The name of a variable without its number: a document for several things has one of a kind for each."""
    return variable.rstrip("0123456789") or variable
