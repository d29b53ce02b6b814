"""What to ask a server about itself, and its answers as facts. Pure; `Client.learn` does the asking.

Three requests at the most, beside the one for the key's owner: the types that a current server has, by introspection;
its features and version, together with all its types where it names them differently. A server that does not describe
itself is sent a document with every field of every document of ours and one that no server has: it refuses that at
once, executes nothing, and its refusal names all that it lacks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated

import msgspec

from mirror.api.documents.every_document import every_document
from mirror.api.fitting.expected_types import COMPOSITE, INPUTS
from mirror.api.fitting.fitted import Fitted, named_type
from mirror.records.server import FieldFacts, ServerFacts, TypeFacts
from mirror.typed import convert

NO_SERVER_HAS_THIS = "mirrorAsksWhatIsMissing"  # a field that makes a server refuse a document

ALL_TYPES = "mirrorAllTypes"  # the alias that all types are asked under

_DESCRIPTION = """
fragment Described on __Type {
  kind name
  fields(includeDeprecated: true) { name type { ...Named } args { name defaultValue type { ...Named } } }
  inputFields { name defaultValue type { ...Named } }
}
fragment Named on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name } } }
}
"""


_WITH_FIELDS = frozenset({"OBJECT", "INTERFACE", "INPUT_OBJECT"})
_LEAVES = frozenset({"SCALAR", "ENUM"})


# GraphQL's own rule; what a server names otherwise would reach documents and terminals.
_Name = Annotated[str, msgspec.Meta(pattern="^[_A-Za-z][_0-9A-Za-z]*$", max_length=200)]


class _Named(msgspec.Struct, rename="camel"):
    kind: str
    name: _Name | None = None
    of_type: _Named | None = None

    def __str__(self) -> str:
        inner = str(self.of_type) if self.of_type is not None else "Unknown"  # wrapped more often than was asked
        match self.kind:
            case "NON_NULL":
                return f"{inner}!"
            case "LIST":
                return f"[{inner}]"
            case _:
                return self.name or "Unknown"


class _Value(msgspec.Struct, rename="camel"):
    name: _Name
    type: _Named
    default_value: str | None = None

    @property
    def is_required(self) -> bool:
        return self.type.kind == "NON_NULL" and self.default_value is None


class _Field(msgspec.Struct):
    name: _Name
    type: _Named
    args: list[_Value] | None = None


class _Type(msgspec.Struct, rename="camel"):
    kind: str
    name: _Name | None = None
    fields: list[_Field] | None = None
    input_fields: list[_Value] | None = None


def introspection(names: Sequence[str]) -> str:
    """The document that asks a server to describe some types."""
    types = " ".join(f'{name}: __type(name: "{name}") {{ ...Described }}' for name in names)
    return f"query MirrorSchema {{ {types} }}{_DESCRIPTION}"


def with_all_types(document: str | None) -> str:
    """A query that also asks for descriptions of all types; None: for nothing but those."""
    head, brace, rest = (document or "query MirrorSchema { }").partition("{")
    return f"{head}{brace} {ALL_TYPES}: __schema {{ types {{ ...Described }} }} {rest}{_DESCRIPTION}"


def types_in(described: Iterable[object]) -> dict[str, TypeFacts]:
    """Descriptions of types, by the server's names; what comes in another shape counts as not described."""
    found: dict[str, TypeFacts] = {}
    for value in described:
        try:
            told = convert(value, _Type)
        except msgspec.ValidationError:
            continue
        fields = {field.name: _field_facts(field) for field in told.fields or ()}
        fields |= {
            value.name: FieldFacts(type=str(value.type), required=(value.name,) if value.is_required else ())
            for value in told.input_fields or ()
        }
        if told.name is not None and (fields or told.kind not in _WITH_FIELDS):
            found[told.name] = TypeFacts(kind=told.kind, fields=fields)
    return found


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A server's types as far as the documents reach them, by the names that a current server has for them."""

    types: dict[str, TypeFacts]
    unknown: frozenset[str]  # types that are reached and that it has not described, by its own names


def by_current_names(described: Mapping[str, TypeFacts]) -> Described:
    """Follow the documents through a server's types, and name each as a current server does.

    Args:
        described: by the server's own names.
    """
    types: dict[str, TypeFacts] = {}
    unknown: set[str] = set()
    own_names: dict[str, str] = {}  # by the current ones

    def follow(current: str, own: str) -> None:
        if own not in described:
            unknown.add(own)
            return
        fields = dict(described[own].fields)
        types[current] = TypeFacts(kind=described[own].kind, fields=fields)
        for name, expected in COMPOSITE.get(current, {}).items():
            if name not in fields:
                continue
            child = named_type(fields[name].type)
            if child in described and described[child].kind in _LEAVES:
                continue
            # A type that stands in place of two of a current server's keeps its own name in the second place.
            known_as = expected if own_names.setdefault(expected, child) == child else child
            fields[name] = msgspec.structs.replace(fields[name], child=known_as)
            if known_as not in types:
                follow(known_as, child)
        for name, facts in described[own].fields.items():  # what no document asks fields of: that it has some counts
            child = named_type(facts.type)
            if name not in COMPOSITE.get(current, {}) and child in described and described[child].kind not in _LEAVES:
                fields[name] = msgspec.structs.replace(facts, child=child)

    for root in ("Query", "Mutation"):
        follow(root, root)
    inputs = _inputs_of(types.get("Mutation"))
    types |= {current: described[own] for current, own in inputs.items() if own in described}
    unknown |= set(inputs.values()) - described.keys()
    return Described(types=types, unknown=frozenset(unknown))


def _inputs_of(mutations: TypeFacts | None) -> dict[str, str]:
    """The server's names of the inputs that its mutations take, by the current ones."""
    found: dict[str, str] = {}
    for mutation, expected in INPUTS.items():
        facts = mutations.fields.get(mutation) if mutations is not None else None
        if facts is not None and (text := facts.arguments.get("input")) is not None:
            found[expected] = named_type(text)
    return found


def _field_facts(field: _Field) -> FieldFacts:
    arguments = field.args or []
    return FieldFacts(
        type=str(field.type),
        arguments={argument.name: str(argument.type) for argument in arguments},
        required=tuple(argument.name for argument in arguments if argument.is_required),
    )


def everything(documents: Iterable[Fitted]) -> str:
    """All documents in one, each an operation of its own, and a first one that no server can take.

    A server looks at the whole text before it executes any of it, so that nothing in here is ever executed; and if one
    did not look, it would execute the first operation alone, which asks for nothing.
    """
    operations: list[str] = []
    for number, document in enumerate(documents):
        if document.text is not None:
            # The same operation may stand here twice, as texts for several things do.
            operations.append(re.sub(r"\b(query|mutation) (\w+)", rf"\1 \2_{number}", document.text, count=1))
    return "\n".join([f"query MirrorSchema {{ {NO_SERVER_HAS_THIS} }}", *operations])


def mark(version: str | None, features: Iterable[str]) -> str:
    """A digest of what changes when a server is upgraded; empty when it tells nothing."""
    told = [version or "", *sorted(features)]
    if not any(told):
        return ""
    return hashlib.blake2b("\0".join(told).encode(), digest_size=12).hexdigest()


@cache
def documents_digest() -> str:
    """A digest of the documents as they are now."""
    return hashlib.blake2b("\0".join(every_document()).encode(), digest_size=12).hexdigest()


def with_features(facts: ServerFacts, *, features: frozenset[str], version: str | None) -> ServerFacts:
    """Facts with what the server says of itself.

    Args:
        facts: as learnt so far.
        features: names of those that are on.
        version: of a server of one's own.
    """
    return msgspec.structs.replace(
        facts,
        version=version,
        features=tuple(sorted(features)),
        mark=mark(version, features),
        asked=documents_digest(),
    )
