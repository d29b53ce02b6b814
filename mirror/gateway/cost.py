"""How much a document asks for: what no client of W&B needs is refused before it is begun.

Three bounds, of what a text of a few lines could blow up: how deep it goes, how many fields it has once its fragments
are put in their places, and how many values its pages would hold, the pages of pages multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

DEEPEST = 40  # fields within one another; introspection has 15
MOST_FIELDS = 1_500  # of a document; the longest of the SDK's has 200
MOST_VALUES = 3_000_000  # that an answer may hold; 1000 runs with 40 fields each are 40,000
_PAGE = 50  # of a connection that names no size
_LARGEST_PAGE = 1000


class Cost(NamedTuple):
    """What a document asks for."""

    depth: int
    fields: int
    values: int


def cost_of(document: DocumentNode, variables: Mapping[str, Any]) -> Cost:
    """What the dearest operation of a document asks for; fragments that contain themselves count once.

    Args:
        document: of the client; it need not be valid.
        variables: sizes of pages, among others.
    """
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    counting = _Counting(fragments, variables)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    costs = [counting.below(node.selection_set) for node in (*operations, *fragments.values())]
    return Cost(*(max((cost[part] for cost in costs), default=0) for part in range(3)))


def too_dear(cost: Cost) -> str | None:
    """Why a document is refused; None: it is not."""
    if cost.depth > DEEPEST:
        return f"the document is too deep: at most {DEEPEST} fields lie within one another"
    if cost.fields > MOST_FIELDS:
        return f"the document is too large: it may have {MOST_FIELDS} fields, with those of its fragments"
    if cost.values > MOST_VALUES:
        return (
            f"the document asks for up to {cost.values} values at once, and {MOST_VALUES} may be: ask for smaller pages"
        )
    return None


class _Counting:
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]) -> None:
        self._fragments = fragments
        self._variables = variables
        self._known: dict[str, Cost] = {}
        self._open: set[str] = set()

    def below(self, selections: SelectionSetNode | None) -> Cost:
        """The cost of a selection. Not by recursion alone: a parser that went so deep has refused the text itself."""
        depth, fields, values = 0, 0, 0
        for cost in self._parts(selections):
            depth, fields, values = max(depth, cost.depth), fields + cost.fields, values + cost.values
        return Cost(depth, fields, values)

    def _parts(self, selections: SelectionSetNode | None) -> Iterator[Cost]:
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FieldNode):
                inner = self.below(node.selection_set)
                yield Cost(inner.depth + 1, inner.fields + 1, 1 + inner.values * self._page(node))
            elif isinstance(node, InlineFragmentNode):
                yield self.below(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                yield self._fragment(node.name.value)

    def _fragment(self, name: str) -> Cost:
        if name not in self._known:
            if name in self._open or name not in self._fragments:
                return Cost(0, 0, 0)  # the specification's rules refuse it
            self._open.add(name)
            self._known[name] = self.below(self._fragments[name].selection_set)
            self._open.remove(name)
        return self._known[name]

    def _page(self, field: FieldNode) -> int:
        """How often what is below a field may be answered."""
        sizes = [argument.value for argument in field.arguments or () if argument.name.value in ("first", "last")]
        if not sizes:
            return _PAGE if _lists(field) else 1
        given = [self._size(value) for value in sizes]
        return min(_LARGEST_PAGE, max(1, *given))

    def _size(self, value: Any) -> int:
        if isinstance(value, VariableNode):
            found = self._variables.get(value.name.value)
            return found if isinstance(found, int) else _PAGE
        return int(value.value) if isinstance(value, IntValueNode) else _PAGE


def _lists(field: FieldNode) -> bool:
    """Whether a field is a connection: it has edges."""
    selections = field.selection_set.selections if field.selection_set is not None else ()
    return any(isinstance(node, FieldNode) and node.name.value == "edges" for node in selections)
