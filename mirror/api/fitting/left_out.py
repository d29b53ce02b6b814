"""What of all documents a server is not asked."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from mirror.api.documents.every_document import every_document
from mirror.api.fitting.fitted import Fitted
from mirror.records.server import ServerFacts, TypeFacts


def fitted_documents(facts: ServerFacts) -> tuple[Fitted, ...]:
    """Every document, as a server can be asked; the same facts are not gone through twice."""
    return _fitted(msgspec.msgpack.encode((facts.types, facts.lacking, facts.retyped)))


@lru_cache(maxsize=8)
def _fitted(known: bytes) -> tuple[Fitted, ...]:
    from mirror.api.fitting.fit import fit  # takes a quarter of a second, and most commands ask nothing

    types, lacking, retyped = msgspec.msgpack.decode(known, type=_Known)
    facts = ServerFacts(types=types, lacking=lacking, retyped=retyped)
    return tuple(fit(document, facts) for document in every_document())


_Known = tuple[dict[str, TypeFacts], tuple[str, ...], dict[str, str]]


def left_out_by(facts: ServerFacts) -> tuple[str, ...]:
    """What of all documents a server is not asked, sorted."""
    asked = (document for document in fitted_documents(facts) if document.operation not in _SPARE)
    return tuple(sorted({name for document in asked for name in document.left_out}))


# What is asked only where another way is missing.
_SPARE: frozenset[str] = frozenset({"MirrorUploadAddresses", "MirrorLogTail"})
