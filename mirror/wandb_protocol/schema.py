"""The schema with resolvers: the text is W&B's, how each field is answered is its server's."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from importlib import resources

from graphql import (
    DocumentNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLTypeResolver,
    GraphQLUnionType,
    build_ast_schema,
    parse,
)

from mirror.wandb_protocol.resolvers import Resolvers


def executable_schema(tables: Iterable[Resolvers], types: Mapping[str, GraphQLTypeResolver]) -> GraphQLSchema:
    """A fresh executable schema.

    Args:
        tables: how fields are answered.
        types: how the type of a value is told, by interface or union.
    """
    built = build_ast_schema(_document(), assume_valid=True)
    for table in tables:
        for path, resolver in table.items():
            type_name, _, field_name = path.partition(".")
            named = built.get_type(type_name)
            assert isinstance(named, GraphQLObjectType), type_name
            named.fields[field_name].resolve = resolver
    for name, resolve_type in types.items():
        abstract = built.get_type(name)
        assert isinstance(abstract, GraphQLInterfaceType | GraphQLUnionType), name
        abstract.resolve_type = resolve_type
    return built


@functools.cache
def _document() -> DocumentNode:
    """The parsed text: most of the time that a schema takes."""
    text = resources.files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8")
    return parse(text, no_location=True)
