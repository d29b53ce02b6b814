"""What the gateway does not answer: each such field is refused in one sentence, and never empty."""

from __future__ import annotations

from typing import Any, NoReturn

from graphql import GraphQLObjectType, GraphQLSchema

from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolver

# Types whose values are mappings that hold every field.
PLAIN = frozenset(
    {
        "PageInfo", "ServerFeature", "EntityConnection", "EntityEdge", "IntRange", "ProjectConnection", "ProjectEdge",
        "RunConnection", "RunEdge", "RunDiff", "ParquetHistory", "LogLine", "LogLineConnection", "LogLineEdge",
        "FileConnection", "FileEdge", "RunTagCount", "RunInfo", "GitInfo",
    }
)  # fmt: skip


def refuse_the_rest(schema: GraphQLSchema) -> None:
    """Give a resolver that refuses to every field that has none."""
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__") or kind.name in PLAIN:
            continue
        for name, field in kind.fields.items():
            if field.resolve is None:
                is_change = kind is schema.mutation_type
                field.resolve = _refusal(name if is_change else f"{kind.name}.{name}", is_change=is_change)


def _refusal(name: str, *, is_change: bool) -> Resolver:
    text = (
        f"{name} is not possible here: wandb-mirror cannot queue it, and only the W&B server can do it"
        if is_change
        else f"{name} is not mirrored: only the W&B server knows it"
    )

    def refuse(_source: Any, _info: Any, **_arguments: Any) -> NoReturn:
        raise RequestRefused(text)

    return refuse
