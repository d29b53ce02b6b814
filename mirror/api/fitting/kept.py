"""Fitted documents, each made once: in this process, and in the home for the next one.

The GraphQL library takes a tenth of a second to load, which is as long as a pull that finds nothing asks its lake. What
is kept is found again only under the facts, the document and the program that made it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from mirror.api.fitting.fitted import Fitted
from mirror.durable import write_replace
from mirror.records.server import ServerFacts, TypeFacts
from mirror.typed import decode

MOST_FITTED = 300  # documents; one for several things has one text for each number of them
MOST_BYTES = 4_000_000  # of a file of kept documents; one of W&B's current server has 100 kB
_FITTED_BY = ("fit.py", "fitted.py", "expected_types.py")

Form = bytes
"""What of a server's facts decides how documents are fitted."""

_Known = tuple[dict[str, TypeFacts], tuple[str, ...], dict[str, str]]


def form_of(facts: ServerFacts) -> Form:
    """That of these facts."""
    return msgspec.msgpack.encode((facts.types, facts.lacking, facts.retyped))


@lru_cache(maxsize=600)
def fitted_to(form: Form, document: str) -> Fitted:
    """A document, written for a current server, as one of this form can be asked."""
    from mirror.api.fitting.fit import fit  # loads the GraphQL library, and most commands ask nothing

    return fit(document, _facts(form))


@lru_cache(maxsize=8)
def _facts(form: Form) -> ServerFacts:
    types, lacking, retyped = msgspec.msgpack.decode(form, type=_Known)
    return ServerFacts(types=types, lacking=lacking, retyped=retyped)


class _Kept(msgspec.Struct, frozen=True):
    """The file."""

    fitted_to: str  # digest of the form and of the program
    documents: dict[str, Fitted]  # by digest of what they were made of


class KeptDocuments:
    """Fitted documents of one server in a file, which may be lost: they are made anew.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: _Kept | None = None

    def find(self, form: Form, document: str) -> Fitted | None:
        """A document as it was kept; None: it was not, or for another form or by another program."""
        if self._kept is None:
            self._kept = self._read()
        return self._kept.documents.get(_digest(document)) if self._kept.fitted_to == _digest_of_form(form) else None

    def keep(self, form: Form, documents: Mapping[str, Fitted]) -> None:
        """Keep documents of a form, and none of another one, where there is a home.

        Args:
            form: of the server.
            documents: by what they were made of. If all of them are kept already, nothing is written.
        """
        fitted_to, used = _digest_of_form(form), {_digest(document): made for document, made in documents.items()}
        kept = self._kept or self._read()
        before = kept.documents if kept.fitted_to == fitted_to else {}
        if used.keys() <= before.keys() or not self._path.parent.is_dir():
            return
        self._kept = _Kept(fitted_to, used | (before if len(used | before) <= MOST_FITTED else {}))
        content = msgspec.json.encode(self._kept)
        if len(content) <= MOST_BYTES:
            with contextlib.suppress(OSError):  # it costs the next process the work, and no pull
                write_replace(self._path, content, mode=0o600)

    def _read(self) -> _Kept:
        try:
            with self._path.open("rb") as file:
                return decode(file.read(MOST_BYTES), _Kept)
        except (OSError, ValueError, RecursionError):
            return _Kept("", {})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of_form(form: Form) -> str:
    return hashlib.sha256(_program() + form).hexdigest()


@cache
def _program() -> bytes:
    """What tells this program from others that fit in another way; without sources, from every other process."""
    try:
        return b"".join(hashlib.sha256(Path(__file__).with_name(name).read_bytes()).digest() for name in _FITTED_BY)
    except OSError:
        return os.urandom(32)
