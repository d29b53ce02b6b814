"""What a client knows of its server: documents are fitted to it, and refusals add to it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from mirror.api.fitting.expected_types import INPUTS
from mirror.api.fitting.failing import ANSWERED_AS
from mirror.api.fitting.fitted import Fitted, family, named_type
from mirror.api.fitting.kept import MOST_FITTED, KeptDocuments, fitted_to, form_of
from mirror.api.fitting.refusals import Refusal, refusal_of
from mirror.clock import utc_now
from mirror.errors import DocumentRefused, Reported
from mirror.records.server import ServerFacts, Viewer

MOST_SEARCHES = 20  # in a pass: for what a server fails at, in texts, and again about single things

OnLearnt = Callable[[ServerFacts], None]
"""Told the facts whenever they changed, so that they can be kept."""

_NOT_OF_RUNS = frozenset({"Query", "Mutation", "User", "ServerInfo", "Team", "Entity"})
# Scalars of W&B that a server may not have, and the ones of GraphQL itself that take the same values.
_PLAIN = {"Int64": "Int", "JSONString": "String", "JSON": "String", "DateTime": "String", "ID": "String"}


class KnownServer:
    """Facts of one server, shared by whoever asks it.

    Args:
        facts: as they were kept; None: nothing is known, and the server is taken to be a current one.
        on_learnt: told about new facts.
        kept: documents as they were fitted before.
    """

    def __init__(
        self,
        facts: ServerFacts | None = None,
        on_learnt: OnLearnt | None = None,
        kept: KeptDocuments | None = None,
    ) -> None:
        self.facts = facts or ServerFacts()
        self._form = form_of(self.facts)
        self._kept = kept
        self.is_stale = False  # it was upgraded since
        self.at: dt.datetime | None = None  # UTC, as far as was told; None: the time of this machine
        self._on_learnt = on_learnt
        self._fitted: dict[str, Fitted] = {}
        self._taken: set[str] = set()  # texts whose form the server took
        self._passed = set[str]()  # names in texts that the server took
        self._searched = set[str]()  # texts of which was searched in this pass what it fails at
        self._searches: int | None = None  # likewise about single things; None: no pass has begun

    def fit(self, document: str, without: Sequence[str] = ()) -> Fitted:
        """A document as this server can be asked.

        Args:
            document: written for a current server.
            without: `Type.field` that is not to be asked this time.
        """
        if without:
            return fitted_to(form_of(self.without(without)), document)
        fitted = self._fitted.get(document)
        if fitted is None:
            if len(self._fitted) >= MOST_FITTED:
                self._fitted.clear()
            fitted = self._kept.find(self._form, document) if self._kept is not None else None
            fitted = self._fitted[document] = fitted or fitted_to(self._form, document)
        return fitted

    def keep(self) -> None:
        """Keep the documents that were fitted."""
        if self._kept is not None:
            self._kept.keep(self._form, self._fitted)

    def without(self, names: Sequence[str]) -> ServerFacts:
        """The facts of a server that lacks some names more."""
        return msgspec.structs.replace(self.facts, lacking=(*self.facts.lacking, *names))

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
            self._change(facts)

    def learn_anew(self, facts: ServerFacts, now: dt.datetime) -> None:
        """Take facts that the server was asked for altogether, and note whether it serves more than before.

        Args:
            facts: of the same server, or of another one.
            now: UTC.
        """
        before = self.facts
        if before.deployment == facts.deployment and before.learnt_at is not None:
            # What it failed at is served again when it is in an answer, and not before.
            failing = {name: since for name, since in before.failing.items() if name not in facts.unserved}
            gained = before.unserved - facts.unserved - before.failing.keys()
            gained_at = now if _of_runs(gained) else before.gained_at
            facts = msgspec.structs.replace(facts, failing=failing, gained_at=gained_at)
        self.learn(facts)

    def _change(self, facts: ServerFacts) -> None:
        """Take facts over; the documents are fitted anew where these depend on them."""
        self.facts = facts
        if (form := form_of(facts)) != self._form:
            self._form = form
            self._fitted.clear()
            self._taken.clear()
        if self._on_learnt is not None:
            self._on_learnt(facts)

    def was_taken(self, fitted: Fitted) -> bool:
        """Whether the server took this text before, so that its form is not to blame for what failed."""
        return fitted.text in self._taken

    def note_taken(self, fitted: Fitted) -> None:
        """The server took the form of this text."""
        if fitted.text is not None and fitted.text not in self._taken and len(self._taken) < MOST_FITTED:
            self._taken.add(fitted.text)
            self._passed |= {f"{parent}.{field}" for parent, field in fitted.visited}

    def note_served(self, fitted: Fitted, data: msgspec.Raw) -> None:
        """The server answered this text: what it failed at before and what is in the answer, it serves again.

        Args:
            fitted: what it was asked.
            data: the answer, in JSON. A question about no run at all tells nothing of the fields of runs.
        """
        self.note_taken(fitted)
        suspects = self.suspects(fitted)
        if not suspects:
            return
        answer = bytes(data)
        if served := {name for name in suspects if any(key in answer for key in _keys(name))}:
            failing = {name: since for name, since in self.facts.failing.items() if name not in served}
            gained_at = (self.at or utc_now()) if _of_runs(served) else self.facts.gained_at
            self._change(msgspec.structs.replace(self.facts, failing=failing, gained_at=gained_at))

    def begin_pass(self, at: dt.datetime) -> None:
        """Take over the time, UTC; what the server fails at may be searched for anew."""
        self.at = at
        self._searched.clear()
        self._searches = 0

    def may_search(self, fitted: Fitted | None = None) -> bool:
        """Whether to search in this pass for what the server fails at; counted, since it costs requests.

        Args:
            fitted: a text, asked about nothing that the server has: once in a pass. None: about one thing.
        """
        if self._searches is None:
            return False
        if fitted is None:
            self._searches += 1
            return self._searches <= MOST_SEARCHES
        is_new = fitted.text not in self._searched
        self._searched.add(fitted.text or "")
        return is_new and len(self._searched) <= MOST_SEARCHES

    def untaken(self, names: Iterable[str]) -> frozenset[str]:
        """Those names that the server took in no other document."""
        return frozenset(names) - self._passed

    def learn_lacking(self, names: Iterable[str]) -> bool:
        """Take in names that the server does not know; False when that is nothing new.

        Args:
            names: as in `ServerFacts.lacking`. Those that it took in another document are not to blame.
        """
        before = self.facts
        lacking = {*before.lacking, *self.untaken(names)}
        self.learn(msgspec.structs.replace(before, lacking=tuple(sorted(lacking))))
        return self.facts != before

    def learn_failing(self, names: Iterable[str]) -> bool:
        """Take in names that the server forbids or fails at; False when that is nothing new.

        They are left out until `ask_again`, whatever it took before: servers break as well.
        """
        new = set(names) - set(self.facts.lacking)
        since = self.at or utc_now()
        self._change(
            msgspec.structs.replace(
                self.facts,
                lacking=tuple(sorted({*self.facts.lacking, *new})),
                failing={**self.facts.failing, **dict.fromkeys(new, since)},
            )
        )
        return bool(new)

    def ask_again(self, since: dt.datetime) -> None:
        """Ask once more for what the server forbade or failed at, where that showed at an instant or before it.

        What showed later than now, by a clock that was ahead once, is asked for again as well.
        """
        told = self.facts.failing.items()
        due = {name for name, at in told if at <= since or (self.at is not None and at > self.at)}
        lacking = tuple(name for name in self.facts.lacking if name not in due)
        if lacking != self.facts.lacking:
            self._change(msgspec.structs.replace(self.facts, lacking=lacking))

    def suspects(self, fitted: Fitted) -> frozenset[str]:
        """Names in a document that the server failed at before, and that are asked for again."""
        return frozenset(self.facts.failing) & {f"{parent}.{field}" for parent, field in fitted.visited}

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


def _of_runs(names: Iterable[str]) -> bool:
    """Whether one of some names tells about runs: others are for changing them, or about the server and its people."""
    parents = {name.partition(".")[0] for name in names}
    return any(not parent.endswith(("Input", "Payload")) for parent in parents - _NOT_OF_RUNS)


def _keys(name: str) -> tuple[bytes, ...]:
    """How answers call `Type.field`."""
    field = name.partition(".")[2]
    return tuple(f'"{key}":'.encode() for key in (field, *(key for key, of in ANSWERED_AS.items() if of == field)))


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
