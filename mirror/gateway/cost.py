"""How much a document asks for: what no client of W&B needs is refused before it is begun.

Three bounds, of what a text of a few lines could blow up: how deep it goes, how many fields it has once its fragments
are put in their places, and how many values its pages and histories would hold, the pages of pages multiplied.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    value_from_ast_untyped,
)

DEEPEST = 40  # fields within one another; introspection has 15
MOST_FIELDS = 1_500  # of a document; the longest of the SDK's has 200
MOST_VALUES = 3_000_000  # that an answer may hold; 1000 runs with 40 fields each are 40,000
DEAR = 200_000  # values; documents that ask for more are executed one at a time
_PAGE = 50  # of a connection that names no size
_LARGEST_PAGE = 1000
_LINES = 10_000  # of a page of a console, which also comes where no size is named
_SAMPLES = 500  # rows where none are named
_MOST_SAMPLES = 1_000_000  # rows that one field counts for, whatever it says: few runs have more
_TEXT = 10  # values that a document of a run counts for: a text that has many
_TEXTS = frozenset({"config", "summaryMetrics", "systemMetrics", "historyKeys", "manifest"})


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
                yield Cost(inner.depth + 1, inner.fields + 1, self._own(node) + inner.values * self._page(node))
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

    def _own(self, field: FieldNode) -> int:
        """How many values a field is answered with, beside those of the fields below."""
        name = field.name.value
        if name in ("history", "events"):
            return self._samples(self._argument(field, "samples"))
        if name == "sampledHistory":
            specs = self._argument(field, "specs")
            return sum(map(self._of_spec, specs if isinstance(specs, list) else [specs]))
        return _TEXT if name in _TEXTS else 1

    def _of_spec(self, text: Any) -> int:
        try:
            spec = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            return 1  # it is refused when it is read
        return self._samples(spec.get("samples") if isinstance(spec, dict) else None)

    def _samples(self, given: Any) -> int:
        return min(_MOST_SAMPLES, max(1, given)) if isinstance(given, int) else _SAMPLES

    def _page(self, field: FieldNode) -> int:
        """How often what is below a field may be answered."""
        largest, usual = (_LINES, _LINES) if field.name.value == "logLines" else (_LARGEST_PAGE, _PAGE)
        given = [self._argument(field, name) for name in ("first", "last")]
        sizes = [size for size in given if isinstance(size, int)]
        if not sizes:
            return usual if _lists(field) else 1
        return min(largest, max(1, *sizes))

    def _argument(self, field: FieldNode, name: str) -> Any:
        """What a field is given; None: nothing that can be counted."""
        for argument in field.arguments or ():
            if argument.name.value == name:
                try:
                    return value_from_ast_untyped(argument.value, dict(self._variables))
                except (TypeError, ValueError, RecursionError):
                    return None
        return None


def _lists(field: FieldNode) -> bool:
    """Whether a field is a connection: it has edges."""
    selections = field.selection_set.selections if field.selection_set is not None else ()
    return any(isinstance(node, FieldNode) and node.name.value == "edges" for node in selections)
