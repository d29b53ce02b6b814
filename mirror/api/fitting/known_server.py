"""What a client knows of its server: documents are fitted to it, and refusals add to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from mirror.api.fitting.expected_types import INPUTS
from mirror.api.fitting.fitted import Fitted, family, named_type
from mirror.api.fitting.refusals import Refusal, refusal_of
from mirror.errors import DocumentRefused, Reported
from mirror.records.server import ServerFacts, Viewer

MOST_FITTED = 300  # documents that are kept; a document for several things has one text for each number of them

OnLearnt = Callable[[ServerFacts], None]
"""Told the facts whenever they changed, so that they can be kept."""

# Scalars of W&B that a server may not have, and the ones of GraphQL itself that take the same values.
_PLAIN = {"Int64": "Int", "JSONString": "String", "JSON": "String", "DateTime": "String", "ID": "String"}


class KnownServer:
    """Facts of one server, shared by whoever asks it.

    Args:
        facts: as they were kept; None: nothing is known, and the server is taken to be a current one.
        on_learnt: told about new facts.
    """

    def __init__(self, facts: ServerFacts | None = None, on_learnt: OnLearnt | None = None) -> None:
        self.facts = facts or ServerFacts()
        self.is_stale = False  # it was upgraded since
        self._on_learnt = on_learnt
        self._fitted: dict[str, Fitted] = {}
        self._taken: set[str] = set()  # texts whose form the server took
        self._passed = set[str]()  # names in texts that the server took

    def fit(self, document: str, without: Sequence[str] = ()) -> Fitted:
        """A document as this server can be asked.

        Args:
            document: written for a current server.
            without: `Type.field` that is not to be asked this time.
        """
        if without:
            from mirror.api.fitting.fit import fit

            lacking = (*self.facts.lacking, *without)
            return fit(document, msgspec.structs.replace(self.facts, lacking=lacking))
        fitted = self._fitted.get(document)
        if fitted is None:
            if len(self._fitted) >= MOST_FITTED:
                self._fitted.clear()
            from mirror.api.fitting.fit import fit  # takes a quarter of a second, and most commands ask nothing

            fitted = self._fitted[document] = fit(document, self.facts)
        return fitted

    def knows(self, name: str) -> bool:
        """Whether the server has `Type.field` or `Type.field(argument)`, as far as is known."""
        place, _, argument = name.rstrip(")").partition("(")
        if place in self.facts.lacking or name in self.facts.lacking:
            return False
        parent, _, field = place.partition(".")
        described = self.facts.types.get(parent)
        if described is None:
            return True
        found = described.fields.get(field)
        return found is not None and (not argument or argument in found.arguments)

    def takes(self, input_type: str, values: Mapping[str, object]) -> tuple[str, ...]:
        """Names among `values` that the server's input does not have."""
        return tuple(name for name in values if not self.knows(f"{input_type}.{name}"))

    def learn(self, facts: ServerFacts) -> None:
        """Take new facts in place of the old ones."""
        self.is_stale = False
        if facts != self.facts:
            self.facts = facts
            self._fitted.clear()
            self._taken.clear()
            if self._on_learnt is not None:
                self._on_learnt(facts)

    def was_taken(self, fitted: Fitted) -> bool:
        """Whether the server took this text before, so that its form is not to blame for what failed."""
        return fitted.text in self._taken

    def note_taken(self, fitted: Fitted) -> None:
        """The server took this text."""
        if fitted.text is not None and fitted.text not in self._taken and len(self._taken) < MOST_FITTED:
            self._taken.add(fitted.text)
            self._passed.update(f"{parent}.{field}" for parent, field in fitted.visited)

    def learn_lacking(self, names: Iterable[str], *, keeps: bool) -> bool:
        """Take in names that the server does not know; False when that is nothing new.

        Args:
            names: as in `ServerFacts.lacking`. Those that it took in another document are not to blame.
            keeps: they hold for longer than this process: the server left no doubt that it refused the document.
        """
        before = self.facts
        facts = msgspec.structs.replace(before, lacking=tuple(sorted({*before.lacking, *(set(names) - self._passed)})))
        if keeps:
            self.learn(facts)
        elif facts != before:
            self.facts = facts
            self._fitted.clear()
            self._taken.clear()
        return facts != before

    def note_viewer(self, viewer: Viewer) -> None:
        """Take in whom the key belongs to; no document depends on it."""
        if viewer != self.facts.viewer:
            self.facts = msgspec.structs.replace(self.facts, viewer=viewer)
            if self._on_learnt is not None:
                self._on_learnt(self.facts)

    def learn_from(self, fitted: Fitted, error: DocumentRefused) -> bool:
        """Take in why a document was refused; False when that tells nothing new, so that asking again is no use."""
        before = self.facts
        self.learn(with_refusals(before, [fitted], error.reported))
        return self.facts != before


def with_refusals(facts: ServerFacts, documents: Sequence[Fitted], reported: Iterable[Reported]) -> ServerFacts:
    """Facts with what refusals tell.

    Args:
        facts: those that the documents were fitted to.
        documents: what was sent: one document, or several in one request.
        reported: the server's words.
    """
    lacking, retyped = set(facts.lacking), dict(facts.retyped)
    alone = len(documents) == 1  # else a place in the text does not tell the document
    for refusal in map(refusal_of, reported):
        for document in documents:
            for name, value in _told(facts, document, refusal, alone=alone):
                if value is None:
                    lacking.add(name)
                else:
                    retyped[name] = value
    return msgspec.structs.replace(facts, lacking=tuple(sorted(lacking)), retyped=retyped)


def _told(facts: ServerFacts, document: Fitted, refusal: Refusal, *, alone: bool) -> Iterator[tuple[str, str | None]]:
    """What a refusal tells of a document: a name that is lacking, or a variable and its type."""
    if refusal.variable is not None and refusal.expected is not None:
        if refusal.variable in document.variables:
            yield f"{document.operation} ${family(refusal.variable)}", refusal.expected
        return
    if refusal.unknown_type is not None:
        yield from _without_type(document, refusal.unknown_type)
        return
    if refusal.input is not None:
        yield from (
            (f"{INPUTS[field]}.{refusal.input}", None) for parent, field in document.visited if parent == "Mutation"
        )
        return
    suffix = f"({refusal.argument})" if refusal.argument is not None else ""
    for parent, field in _meant(facts, document, refusal, alone=alone):
        yield f"{parent}.{field}{suffix}", None


def _meant(facts: ServerFacts, document: Fitted, refusal: Refusal, *, alone: bool) -> Iterator[tuple[str, str]]:
    """The fields that a refusal is about, by the types of the document: a server may name a type differently."""
    from mirror.api.fitting.fit import field_at

    named = (refusal.type or "", refusal.field or "")
    if named in document.visited or (refusal.field is not None and named[0] in INPUTS.values()):
        yield named
    elif alone:
        place = None
        if refusal.line is not None and refusal.column is not None and document.text is not None:
            place = field_at(document.text, facts, refusal.line, refusal.column)
        if place is not None and refusal.field in {None, place[1]}:
            yield place
        else:  # a name alone may be that of several, most of which it knows; then asking for parts tells
            meant = [visited for visited in document.visited if visited[1] == refusal.field]
            yield from meant if len(meant) == 1 else ()


def _without_type(document: Fitted, unknown: str) -> Iterator[tuple[str, str | None]]:
    """What follows from a type that the server does not have: another one for variables, or a mutation less."""
    for mutation, input_type in INPUTS.items():
        if input_type == unknown:
            yield f"Mutation.{mutation}", None
    if unknown in _PLAIN:
        for variable, kind in re.findall(r"\$(\w+): ([\w!\[\]]+)", (document.text or "").partition("{")[0]):
            if named_type(kind) == unknown:
                yield f"{document.operation} ${family(variable)}", kind.replace(unknown, _PLAIN[unknown])
