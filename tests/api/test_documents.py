"""Every GraphQL text that is ever sent is valid against the schema."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

import mirror.sandbox
from mirror.api import documents
from mirror.api.documents import DOCUMENTS, operation_name

SCHEMA = build_schema((Path(mirror.sandbox.__file__).parent / "schema.graphql").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_valid_against_the_schema(name: str) -> None:
    assert validate(SCHEMA, parse(DOCUMENTS[name])) == []


def test_every_text_with_an_operation_is_listed() -> None:
    texts = {value for name, value in vars(documents).items() if name.isupper() and isinstance(value, str)}
    operations = {text for text in texts if not text.lstrip().startswith("fragment")}
    assert operations == set(DOCUMENTS.values())


def test_every_operation_says_who_asks() -> None:
    assert all(name.startswith("Mirror") for name in DOCUMENTS)


def test_a_document_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="named"):
        operation_name("{ viewer { id } }")
