"""What a request selects below the field that is being resolved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode, value_from_ast_untyped

from mirror.wandb_protocol.resolvers import Info


def selected_fields(info: Info) -> Iterator[FieldNode]:
    """Every field below, at any depth, through fragments."""
    for node in info.field_nodes:
        yield from _below(node.selection_set, info)


def argument_value(field: FieldNode, name: str, info: Info) -> Any:
    """Value of one argument of a selected field, variables filled in; None when it is not given."""
    variables: Any = info.variable_values
    values = dict(getattr(variables, "coerced", variables))  # graphql-core wraps them since 3.3
    for argument in field.arguments or ():
        if argument.name.value == name:
            return value_from_ast_untyped(argument.value, values)
    return None


def _below(selections: SelectionSetNode | None, info: Info) -> Iterator[FieldNode]:
    for selection in selections.selections if selections is not None else ():
        if isinstance(selection, FieldNode):
            yield selection
            yield from _below(selection.selection_set, info)
        elif isinstance(selection, InlineFragmentNode):
            yield from _below(selection.selection_set, info)
        elif isinstance(selection, FragmentSpreadNode):
            yield from _below(info.fragments[selection.name.value].selection_set, info)
