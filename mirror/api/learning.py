"""What to ask a server about itself, and its answers as facts. Pure; `Client.learn` does the asking.

Three requests at the most: its types, by introspection; then its features and version, together with types that the
first answer brought up. A server that does not describe itself is sent a document with every field of every document of
ours and one that no server has: it refuses that at once, executes nothing, and its refusal names all that it lacks.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from mirror.api.fitted import Fitted
from mirror.records.server import FieldFacts, ServerFacts, TypeFacts
from mirror.typed import convert

NO_SERVER_HAS_THIS = "mirrorAsksWhatIsMissing"  # a field that makes a server refuse a document

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


class _Named(msgspec.Struct, rename="camel"):
    kind: str
    name: str | None = None
    of_type: _Named | None = None

    def __str__(self) -> str:
        inner = str(self.of_type) if self.of_type is not None else ""
        match self.kind:
            case "NON_NULL":
                return f"{inner}!"
            case "LIST":
                return f"[{inner}]"
            case _:
                return self.name or "Unknown"


class _Value(msgspec.Struct, rename="camel"):
    name: str
    type: _Named
    default_value: str | None = None

    @property
    def is_required(self) -> bool:
        return self.type.kind == "NON_NULL" and self.default_value is None


class _Field(msgspec.Struct):
    name: str
    type: _Named
    args: list[_Value] | None = None


class _Type(msgspec.Struct, rename="camel"):
    kind: str
    name: str | None = None
    fields: list[_Field] | None = None
    input_fields: list[_Value] | None = None


def introspection(names: Sequence[str]) -> str:
    """The document that asks a server to describe some types."""
    return f"query MirrorSchema {{ {described(names)} }}{_DESCRIPTION}"


def described(names: Iterable[str]) -> str:
    """Selections that ask for descriptions of types, an alias each."""
    return " ".join(f'{name}: __type(name: "{name}") {{ ...Described }}' for name in names)


def with_descriptions(document: str, names: Sequence[str]) -> str:
    """A query that also asks for descriptions of some types; `document` as it is when there are none."""
    if not names:
        return document
    head, brace, rest = document.partition("{")
    return f"{head}{brace} {described(names)} {rest}{_DESCRIPTION}"


def types_in(data: Mapping[str, object]) -> dict[str, TypeFacts]:
    """The types that an answer describes, by name; what is described in another shape counts as not described."""
    found: dict[str, TypeFacts] = {}
    for name, value in data.items():
        try:
            told = convert(value, _Type)
        except msgspec.ValidationError:
            continue
        fields = {field.name: _field_facts(field) for field in told.fields or ()}
        fields |= {
            value.name: FieldFacts(type=str(value.type), required=(value.name,) if value.is_required else ())
            for value in told.input_fields or ()
        }
        if told.name == name and (fields or told.kind not in _WITH_FIELDS):
            found[name] = TypeFacts(kind=told.kind, fields=fields)
    return found


def _field_facts(field: _Field) -> FieldFacts:
    arguments = field.args or []
    return FieldFacts(
        type=str(field.type),
        arguments={argument.name: str(argument.type) for argument in arguments},
        required=tuple(argument.name for argument in arguments if argument.is_required),
    )


def missing_types(fitted: Iterable[Fitted], types: Mapping[str, TypeFacts]) -> tuple[str, ...]:
    """Types that the documents reach on this server and that it has not described yet."""
    return tuple(sorted({name for document in fitted for name in document.types} - types.keys()))


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


def with_features(facts: ServerFacts, *, features: frozenset[str], version: str | None, at: dt.datetime) -> ServerFacts:
    """Facts with what the server says of itself.

    Args:
        facts: as learnt so far.
        features: names of those that are on.
        version: of a server of one's own.
        at: now, UTC.
    """
    return msgspec.structs.replace(
        facts, learnt_at=at, version=version, features=tuple(sorted(features)), mark=mark(version, features)
    )
