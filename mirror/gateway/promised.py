"""Values that the schema promises and the mirror may not have: what the server did not tell, or told as no such type.

A null in such a place would take the whole list along. It becomes a value of its type that says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLNonNull, GraphQLObjectType, GraphQLSchema, default_field_resolver, is_leaf_type

# By type. Enumerations have no such value; what is of one is always known.
_NOTHING: Mapping[str, Any] = {
    "Boolean": False, "DateTime": "1970-01-01T00:00:00", "Duration": 0, "ID": "", "Int": 0, "Int64": 0, "String": "",
}  # fmt: skip


def keep_promises(schema: GraphQLSchema) -> None:
    """Let no field of a plain type that may not be null be null."""
    roots = (schema.query_type, schema.mutation_type)
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__") or kind in roots:
            continue
        for field in kind.fields.values():
            if isinstance(field.type, GraphQLNonNull) and is_leaf_type(field.type.of_type):
                nothing = _NOTHING.get(field.type.of_type.name)
                if nothing is not None:
                    field.resolve = _or_nothing(field.resolve or default_field_resolver, nothing)


def _or_nothing(resolve: Callable[..., Any], nothing: Any) -> Callable[..., Any]:
    def promised(source: Any, info: Any, **arguments: Any) -> Any:
        value = resolve(source, info, **arguments)
        return nothing if value is None else value

    return promised
