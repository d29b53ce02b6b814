"""Taking types, fields and arguments out of a schema, as a server that never had them.

References: `Type`, `Type.field`, `Type.field(argument)`; fields of input types and values of enums are spelled like
fields. A type that is gone takes with it whatever needs it, and types that nothing leads to are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
)

Composite = GraphQLObjectType | GraphQLInterfaceType


def prune(schema: GraphQLSchema, references: Iterable[str]) -> GraphQLSchema:
    """`schema` without what `references` name. The types are changed in place: give a schema of your own.

    Raises:
        ValueError: the schema has no such thing.
    """
    hidden = set(references)
    unknown = hidden - set(_references(schema))
    if unknown:
        raise ValueError(f"the schema has no {', '.join(sorted(unknown))}")
    for reference in hidden:
        _remove(schema, reference)
    gone = {name for name in hidden if name in schema.type_map}
    while gone:
        for named in schema.type_map.values():
            _remove_uses(named, gone)
        emptied = {named.name for named in schema.type_map.values() if _is_empty(named)}
        gone, hidden = emptied - hidden, hidden | emptied
    return _reachable(schema, hidden)


def retype(schema: GraphQLSchema, reference: str, type_name: str) -> None:
    """Give the field `Type.field` another nullable type."""
    owner, _, field_name = reference.partition(".")
    named, wanted = schema.type_map[owner], schema.type_map[type_name]
    assert isinstance(named, Composite)
    assert isinstance(wanted, Composite)
    named.fields[field_name].type = wanted


def _remove(schema: GraphQLSchema, reference: str) -> None:
    owner, _, member = reference.partition(".")
    field_name, _, argument = member.rstrip(")").partition("(")
    named = schema.type_map[owner]
    if argument:
        assert isinstance(named, Composite)
        if field_name in named.fields:
            named.fields[field_name].args.pop(argument, None)
    elif isinstance(named, Composite | GraphQLInputObjectType):
        named.fields.pop(field_name, None)
    elif isinstance(named, GraphQLEnumType):
        named.values.pop(field_name, None)


def _remove_uses(named: GraphQLNamedType, gone: set[str]) -> None:
    """Drop the fields, arguments and members of `named` whose type is gone."""
    if isinstance(named, Composite):
        for name, field in list(named.fields.items()):
            if get_named_type(field.type).name in gone:
                del named.fields[name]
                continue
            for argument_name, argument in list(field.args.items()):
                if get_named_type(argument.type).name in gone:
                    del field.args[argument_name]
        named.interfaces = tuple(interface for interface in named.interfaces if interface.name not in gone)
    elif isinstance(named, GraphQLInputObjectType):
        for name, given in list(named.fields.items()):
            if get_named_type(given.type).name in gone:
                del named.fields[name]
    elif isinstance(named, GraphQLUnionType):
        named.types = tuple(member for member in named.types if member.name not in gone)


def _is_empty(named: GraphQLNamedType) -> bool:
    if isinstance(named, Composite | GraphQLInputObjectType):
        return not named.fields
    if isinstance(named, GraphQLUnionType):
        return not named.types
    return isinstance(named, GraphQLEnumType) and not named.values


def _reachable(schema: GraphQLSchema, hidden: set[str]) -> GraphQLSchema:
    """A schema of the types that the roots lead to, and of those that implement one of them."""
    query, changes = schema.query_type, schema.mutation_type
    reached = set(GraphQLSchema(query, changes, assume_valid=True).type_map)
    implementers = [
        named
        for name, named in schema.type_map.items()
        if name not in hidden
        and isinstance(named, GraphQLObjectType)
        and any(interface.name in reached for interface in named.interfaces)
    ]
    return GraphQLSchema(query, changes, types=implementers, assume_valid=True)


def _references(schema: GraphQLSchema) -> Iterator[str]:
    """Everything in the schema that can be named."""
    for name, named in schema.type_map.items():
        yield name
        if isinstance(named, Composite):
            for field_name, field in named.fields.items():
                yield f"{name}.{field_name}"
                yield from (f"{name}.{field_name}({argument})" for argument in field.args)
        elif isinstance(named, GraphQLInputObjectType):
            yield from (f"{name}.{field_name}" for field_name in named.fields)
        elif isinstance(named, GraphQLEnumType):
            yield from (f"{name}.{value}" for value in named.values)
