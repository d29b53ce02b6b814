"""What of all documents a server is not asked."""

from __future__ import annotations

from mirror.api.documents.every_document import every_document
from mirror.api.fitting.fitted import Fitted
from mirror.api.fitting.kept import fitted_to, form_of
from mirror.records.server import ServerFacts


def fitted_documents(facts: ServerFacts) -> tuple[Fitted, ...]:
    """Every document, as a server can be asked."""
    form = form_of(facts)
    return tuple(fitted_to(form, document) for document in every_document())


def left_out_by(facts: ServerFacts) -> tuple[str, ...]:
    """What of all documents a server is not asked, sorted."""
    asked = (document for document in fitted_documents(facts) if document.operation not in _SPARE)
    return tuple(sorted({name for document in asked for name in document.left_out}))


# What is asked only where another way is missing.
_SPARE: frozenset[str] = frozenset({"MirrorUploadAddresses", "MirrorLogTail"})
