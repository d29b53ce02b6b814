"""What a request selects below the field that is being resolved."""

from __future__ import annotations

from collections.abc import Iterator

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from .context import Info


def selected_fields(info: Info) -> Iterator[FieldNode]:
    """Every field below, at any depth, through fragments."""
    for node in info.field_nodes:
        yield from _below(node.selection_set, info)


def _below(selections: SelectionSetNode | None, info: Info) -> Iterator[FieldNode]:
    for selection in selections.selections if selections is not None else ():
        if isinstance(selection, FieldNode):
            yield selection
            yield from _below(selection.selection_set, info)
        elif isinstance(selection, InlineFragmentNode):
            yield from _below(selection.selection_set, info)
        elif isinstance(selection, FragmentSpreadNode):
            yield from _below(info.fragments[selection.name.value].selection_set, info)
