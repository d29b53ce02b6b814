"""A document, fitted to what a server knows: fields and arguments that it lacks are left out. Pure.

The documents are written for a current server. Fragments are written out in place, so that no type condition can be
wrong where a server names a type differently; variables take the types that the server's arguments have.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    parse,
    parse_type,
    print_ast,
)

from mirror.api.fitting.expected_types import composite_of
from mirror.api.fitting.fitted import Fitted, family
from mirror.records.server import FieldFacts, ServerFacts

_LISTED = ("File", "LogLine", "Artifact", "InputArtifact", "Sweep")

# Without these arguments a field still answers what is asked for, if with more than that and in another order: the pull
# filters what comes, and asks for all at once. Without any other it would answer something else.
DISPENSABLE = frozenset({"Project.runs(order)", "Project.runs(filters)", "Project.runs(after)"})

# Fields without which others that are asked of their type are of no use: rows that nothing tells apart, lists without
# rows, and live rows, which are those that no export holds. What leads to them is left out with them.
NEEDED: Mapping[str, frozenset[str]] = {
    "ParquetHistory": frozenset({"parquetUrls"}),
    "File": frozenset({"name"}),
    "LogLine": frozenset({"number"}),
    "Artifact": frozenset({"id", "artifactSequence"}),
    "ArtifactSequence": frozenset({"name"}),
    "ArtifactAlias": frozenset({"alias"}),
    **dict.fromkeys((f"{kind}Connection" for kind in _LISTED), frozenset({"edges"})),
    **dict.fromkeys((f"{kind}Edge" for kind in _LISTED), frozenset({"node"})),
}

# Fields that answer the same under an older name.
OLDER_NAMES = {"File.directUrl": "url", "Project.run": "bucket"}

_ROOTS = {OperationType.QUERY: "Query", OperationType.MUTATION: "Mutation"}


def fit(document: str, facts: ServerFacts, *, for_use: bool = True) -> Fitted:
    """Leave out of a document what a server does not know.

    Args:
        document: one operation and its fragments, written for a current server.
        facts: what is known of the server; what it does not know of stays.
        for_use: leave out as well what is of no use without what is left out (`NEEDED`).
    """
    operation, fragments = _parsed(document)
    name = operation.name.value if operation.name else ""
    fitter = _Fitter(facts=facts, fragments=fragments, for_use=for_use)
    kept = fitter.selections(operation.selection_set, _ROOTS[operation.operation])
    text = None
    definitions = tuple(_definitions(operation, name, fitter.uses, facts))
    if kept:
        text = print_ast(
            DocumentNode(
                definitions=(
                    OperationDefinitionNode(
                        operation=operation.operation,
                        name=operation.name,
                        variable_definitions=definitions,
                        directives=operation.directives,
                        selection_set=SelectionSetNode(selections=kept),
                    ),
                )
            )
        )
    return Fitted(
        text=None if text is None else re.sub(r"\s+", " ", text),
        operation=name,
        variables={node.variable.name.value: print_ast(node.type) for node in definitions},
        left_out=frozenset(fitter.left_out),
        in_order=tuple(name for name in fitter.met if name in fitter.visited),
    )


@lru_cache(maxsize=128)
def _parsed(document: str) -> tuple[OperationDefinitionNode, Mapping[str, FragmentDefinitionNode]]:
    """The operation and its fragments by name."""
    parsed = parse(document, no_location=True)
    (operation,) = (node for node in parsed.definitions if isinstance(node, OperationDefinitionNode))
    return operation, {node.name.value: node for node in parsed.definitions if isinstance(node, FragmentDefinitionNode)}


@dataclass(kw_only=True)
class _Fitter:
    """The walk over one document."""

    facts: ServerFacts
    fragments: Mapping[str, FragmentDefinitionNode]
    for_use: bool = True
    uses: dict[str, str | None] = field(default_factory=dict)  # variables, and the type that the server wants
    left_out: set[str] = field(default_factory=set)
    visited: set[tuple[str, str]] = field(default_factory=set)
    met: dict[tuple[str, str], None] = field(default_factory=dict)  # parents before their children

    def selections(self, selected: SelectionSetNode, parent: str) -> tuple[SelectionNode, ...]:
        """What is left of the selections on a type."""
        kept = (self._field(node, parent) for node in self._written_out(selected))
        return tuple(node for node in kept if node is not None)

    def _written_out(self, selected: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selected.selections:
            match node:
                case FieldNode():
                    yield node
                case FragmentSpreadNode():
                    yield from self._written_out(self.fragments[node.name.value].selection_set)
                case InlineFragmentNode():
                    yield from self._written_out(node.selection_set)

    def _field(self, node: FieldNode, parent: str) -> FieldNode | None:
        name = node.name.value
        if name == "__typename":
            return node
        path = f"{parent}.{name}"
        known = self.known(parent)
        facts = known.get(name) if known is not None else None
        if path in self.facts.lacking or (known is not None and facts is None):
            self.left_out.add(path)
            return self._under_older_name(node, parent, path)
        self.met.setdefault((parent, name))
        arguments = self._arguments(node, path, facts)
        if arguments is None:
            return None
        child = self.child(parent, name, facts, selects=node.selection_set is not None)
        if (child is None) != (node.selection_set is None):  # a leaf here, a thing there
            self.left_out.add(path)
            return None
        selected = None
        if node.selection_set is not None and child is not None:
            kept = self.selections(node.selection_set, child)
            if not kept and parent == "Mutation":  # what it does counts, not what it answers
                kept = (FieldNode(name=NameNode(value="__typename")),)
            if not kept or not self._is_use(child, node.selection_set, kept):
                self.left_out.add(path)
                return None
            selected = SelectionSetNode(selections=kept)
        self._use(node, arguments, facts)
        self.visited.add((parent, name))
        return FieldNode(
            alias=node.alias, name=node.name, arguments=arguments, directives=node.directives, selection_set=selected
        )

    def _is_use(self, parent: str, asked: SelectionSetNode, kept: tuple[SelectionNode, ...]) -> bool:
        """Whether what is left of the selections on a type is of use without the rest."""
        needed = NEEDED.get(parent)
        if needed is None or not self.for_use:
            return True
        wanted = needed & {node.name.value for node in self._written_out(asked)}
        return wanted <= {node.name.value for node in kept if isinstance(node, FieldNode)}

    def _under_older_name(self, node: FieldNode, parent: str, path: str) -> FieldNode | None:
        older = OLDER_NAMES.get(path)
        if older is None:
            return None
        return self._field(
            FieldNode(
                alias=node.alias or node.name,
                name=NameNode(value=older),
                arguments=node.arguments,
                directives=node.directives,
                selection_set=node.selection_set,
            ),
            parent,
        )

    def known(self, parent: str) -> Mapping[str, FieldFacts] | None:
        """The fields of a type, as the server describes it; None when it does not."""
        described = self.facts.types.get(parent)
        return described.fields if described is not None else None

    def child(self, parent: str, name: str, facts: FieldFacts | None, *, selects: bool) -> str | None:
        """The type of a field's value, None for a leaf: by the server's word, else as a current server has it.

        Where neither tells, `selects` decides: whether the document asks for fields of the value.
        """
        if facts is not None:
            return facts.child
        return composite_of(parent, name) or (f"{parent}.{name}" if selects else None)

    def _arguments(self, node: FieldNode, path: str, facts: FieldFacts | None) -> tuple[ArgumentNode, ...] | None:
        """The arguments that the server takes; None when the field is no use without one, or lacks one."""
        kept: list[ArgumentNode] = []
        for argument in node.arguments or ():
            name = f"{path}({argument.name.value})"
            if name in self.facts.lacking or (facts is not None and argument.name.value not in facts.arguments):
                self.left_out.add(name)
                if name not in DISPENSABLE:
                    return None
            else:
                kept.append(argument)
        given = {argument.name.value for argument in kept}
        missing = [name for name in (facts.required if facts is not None else ()) if name not in given]
        if missing:
            self.left_out.add(f"{path}({missing[0]})")
            return None
        return tuple(kept)

    def _use(self, node: FieldNode, arguments: tuple[ArgumentNode, ...], facts: FieldFacts | None) -> None:
        for argument in arguments:
            wanted = facts.arguments[argument.name.value] if facts is not None else None
            for name in _variables_in(argument.value):
                whole = isinstance(argument.value, VariableNode)  # else it is a part of the argument's value
                before = self.uses.get(name)
                self.uses[name] = _stricter(before, wanted if whole else None)
        for directive in node.directives or ():
            for argument in directive.arguments or ():
                for name in _variables_in(argument.value):
                    self.uses.setdefault(name, None)


def _variables_in(value: ValueNode) -> Iterator[str]:
    if isinstance(value, VariableNode):
        yield value.name.value
    for part in (*getattr(value, "fields", ()), *getattr(value, "values", ())):
        yield from _variables_in(getattr(part, "value", part))


def _stricter(before: str | None, wanted: str | None) -> str | None:
    """The type that serves both uses of a variable: a value that may not be null fits where null may stand."""
    if before is None or wanted is None:
        return before or wanted
    return before if before.endswith("!") else wanted


def _definitions(
    operation: OperationDefinitionNode, name: str, uses: Mapping[str, str | None], facts: ServerFacts
) -> Iterator[VariableDefinitionNode]:
    """The variables that are still used, with the types that the server wants them to have."""
    for node in operation.variable_definitions or ():
        variable = node.variable.name.value
        if variable not in uses:
            continue
        wanted = facts.retyped.get(f"{name} ${family(variable)}") or uses[variable]
        kind = node.type
        if wanted is not None:
            with contextlib.suppress(GraphQLSyntaxError):  # a server may say what it likes
                kind = parse_type(wanted, no_location=True)
        yield VariableDefinitionNode(
            variable=VariableNode(name=NameNode(value=variable)), type=kind, directives=node.directives
        )


def field_at(text: str, facts: ServerFacts, line: int, column: int) -> tuple[str, str] | None:
    """Parent type and name of the field at a place in a fitted document; None when no field is there.

    Args:
        text: `Fitted.text`.
        facts: those that it was fitted to.
        line: from 1.
        column: from 1; anywhere in the field's name or arguments.
    """
    (operation,) = parse(text).definitions
    assert isinstance(operation, OperationDefinitionNode)
    offset = sum(len(before) + 1 for before in text.split("\n")[: line - 1]) + column - 1
    fitter = _Fitter(facts=facts, fragments={})
    parent, selected = _ROOTS[operation.operation], operation.selection_set
    while True:
        around = next(
            (
                node
                for node in selected.selections
                if isinstance(node, FieldNode) and node.loc is not None and node.loc.start <= offset < node.loc.end
            ),
            None,
        )
        if around is None:
            return None
        name, inner = around.name.value, around.selection_set
        known = fitter.known(parent)
        child = fitter.child(parent, name, known.get(name) if known is not None else None, selects=inner is not None)
        if inner is None or inner.loc is None or child is None or not inner.loc.start < offset < inner.loc.end:
            return parent, name
        parent, selected = child, inner
