"""All documents that the client ever asks, for whoever has to know what that is."""

from __future__ import annotations

from mirror.api.documents import contents as content_documents
from mirror.api.documents import queries as documents
from mirror.api.documents import syncing as sync_documents
from mirror.api.documents import writes as write_documents
from mirror.api.documents.contents import artifacts_document, contents_document, streams_document


def every_document() -> tuple[str, ...]:
    """Every document, written for a current server; those for several things, for one."""
    constants = (
        documents.DOCUMENTS, content_documents.DOCUMENTS, write_documents.DOCUMENTS, sync_documents.DOCUMENTS,
    )  # fmt: skip
    return (
        *(text for texts in constants for text in texts.values()),
        contents_document(1),
        streams_document(1),
        artifacts_document(1),
        sync_documents.runs_there_document(1),
        sync_documents.synced_runs_document(1),
        sync_documents.create_files_document(1),
    )
