"""Every GraphQL text that is ever sent is valid against the schema; those for old servers against theirs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from graphql import build_schema, parse, validate

import mirror.sandbox
from mirror.api import content_documents, documents
from mirror.api.content_documents import artifacts_document, contents_document, streams_document
from mirror.api.documents import operation_name
from mirror.sandbox.graphql_api import schema

SCHEMA = build_schema((Path(mirror.sandbox.__file__).parent / "schema.graphql").read_text(encoding="utf-8"))
OLD_SCHEMA = schema(legacy=True)
DOCUMENTS = {**documents.DOCUMENTS, **content_documents.DOCUMENTS}
NOT_FOR_OLD_SERVERS = {"FEATURES", "LOG_LINES", "ARTIFACT_MANIFEST"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_valid_against_the_schema(name: str) -> None:
    assert validate(SCHEMA, parse(DOCUMENTS[name])) == []


@pytest.mark.parametrize("name", sorted(set(DOCUMENTS) - NOT_FOR_OLD_SERVERS))
def test_what_an_old_server_is_asked_is_valid_there_too(name: str) -> None:
    assert validate(OLD_SCHEMA, parse(DOCUMENTS[name])) == []


@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_document_for_several_things_is_valid_whatever_their_number(count: int) -> None:
    for text in (contents_document(count), streams_document(count), artifacts_document(count)):
        assert validate(SCHEMA, parse(text)) == []
    for text in (
        contents_document(count),
        streams_document(count, modern=False),
        artifacts_document(count, modern=False),
    ):
        assert validate(OLD_SCHEMA, parse(text)) == []


@pytest.mark.parametrize("module", [documents, content_documents])
def test_every_text_with_an_operation_is_listed(module: ModuleType) -> None:
    texts = {
        value for name, value in vars(module).items() if name.isupper() and name[0] != "_" and isinstance(value, str)
    }
    operations = {text for text in texts if not text.lstrip().startswith("fragment")}
    assert operations == set(module.DOCUMENTS.values())


def test_every_operation_says_who_asks() -> None:
    texts = [*DOCUMENTS.values(), contents_document(1), streams_document(1), artifacts_document(1)]
    assert all(operation_name(text).startswith("Mirror") for text in texts)


def test_a_document_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="named"):
        operation_name("{ viewer { id } }")
