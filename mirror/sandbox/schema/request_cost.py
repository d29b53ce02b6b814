"""What a GraphQL request counts against: the project it is about, and how dear it is to the project's database."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, GraphQLError, Visitor, parse, value_from_ast_untyped, visit

_HEAVY = frozenset(
    {
        "config",
        "summaryMetrics",
        "systemMetrics",
        "historyKeys",
        "history",
        "sampledHistory",
        "parquetHistory",
        "events",
        "logLines",
    }
)


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a request brought."""

    runs: int  # runs that the answer shows
    heavy_fields: int  # fields of the document that make the database work, each counted once
    body_bytes: int


Cost = Callable[[Served], float]


def cost_by_rows(served: Served) -> float:
    """One unit a request, and a hundredth for each run and each heavy field of it."""
    return 1.0 + 0.01 * served.runs * (1 + served.heavy_fields)


def heavy_fields(query: str | None) -> int:
    """How many of the dear fields the document names."""
    return len({node.name.value for node in _fields(query)} & _HEAVY)


def project_of(query: str | None, variables: Mapping[str, Any]) -> str | None:
    """ "entity/project" of a request with a project path; None for one about users, entities or the server."""
    for node in _fields(query):
        arguments = {
            argument.name.value: value_from_ast_untyped(argument.value, dict(variables))
            for argument in node.arguments or ()
        }
        if node.name.value in ("project", "model") and isinstance(arguments.get("name"), str):
            return f"{arguments.get('entityName') or ''}/{arguments['name']}"
        given = arguments.get("input")
        path = _path_of_input(given) if isinstance(given, Mapping) else None
        if path is not None:
            return path
    return None


def _path_of_input(given: Mapping[str, Any]) -> str | None:
    name = given.get("projectName") or given.get("modelName")
    if name:
        return f"{given.get('entityName') or ''}/{name}"
    try:
        kind, _, _, project, entity = base64.b64decode(str(given.get("id")), validate=True).decode().split(":")[:5]
    except ValueError:
        return None
    return f"{entity}/{project}" if kind == "Run" else None


def _fields(query: str | None) -> Iterator[FieldNode]:
    """Every field of the document; none when it does not parse."""
    found: list[FieldNode] = []

    class Collector(Visitor):
        def enter_field(self, node: FieldNode, *_rest: Any) -> None:
            found.append(node)

    try:
        visit(parse(query or "", no_location=True), Collector())
    except GraphQLError:
        return
    yield from found
