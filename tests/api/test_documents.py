"""Every GraphQL text that is ever asked is valid against the schema of a current server; fitted, against any other."""

from __future__ import annotations

import functools
from types import ModuleType

import pytest
from graphql import GraphQLInputObjectType, GraphQLSchema, get_named_type, introspection_from_schema, parse, validate

from mirror.api.documents import contents as content_documents
from mirror.api.documents import queries as documents
from mirror.api.documents import writes as write_documents
from mirror.api.documents.contents import artifacts_document, contents_document, streams_document
from mirror.api.documents.every_document import every_document
from mirror.api.documents.queries import operation_name
from mirror.api.fitting.expected_types import COMPOSITE, INPUTS
from mirror.api.fitting.fit import fit
from mirror.api.fitting.learning import by_current_names, types_in
from mirror.records.capabilities import explained
from mirror.records.server import ServerFacts
from mirror.sandbox.schema.endpoint import schema
from tests.soaking import thin

SCHEMA = schema()
OLD_SCHEMA = schema(legacy=True)
DOCUMENTS = {**documents.DOCUMENTS, **content_documents.DOCUMENTS, **write_documents.DOCUMENTS}
FOR_OLDER_SERVERS = {"UPLOAD_ADDRESSES"}
CURRENT = ServerFacts()


@functools.cache
def facts_of(asked: GraphQLSchema) -> ServerFacts:
    """What a server with this schema says about itself."""
    described = types_in(introspection_from_schema(asked)["__schema"]["types"])
    return ServerFacts(types=by_current_names(described).types, introspected=True)


@pytest.mark.parametrize("name", sorted(set(DOCUMENTS) - FOR_OLDER_SERVERS))
def test_every_document_is_valid_against_the_schema(name: str) -> None:
    fitted = fit(DOCUMENTS[name], CURRENT)
    assert fitted.text is not None
    assert validate(SCHEMA, parse(fitted.text)) == []
    assert fitted.left_out == frozenset()


@pytest.mark.parametrize("asked", [SCHEMA, OLD_SCHEMA], ids=["current", "old"])
@pytest.mark.parametrize("document", every_document(), ids=operation_name)
def test_what_a_server_is_asked_is_valid_there(document: str, asked: GraphQLSchema) -> None:
    text = fit(document, facts_of(asked)).text
    assert text is None or validate(asked, parse(text)) == []


@pytest.mark.parametrize("count", thin([1, 2, 50], keep=[1, 2]))
def test_a_document_for_several_things_is_valid_whatever_their_number(count: int) -> None:
    old = facts_of(OLD_SCHEMA)
    for document in (contents_document(count), streams_document(count), artifacts_document(count)):
        assert validate(SCHEMA, parse(fit(document, CURRENT).text or "")) == []
    for document in (contents_document(count), streams_document(count, modern=False), artifacts_document(count)):
        assert validate(OLD_SCHEMA, parse(fit(document, old).text or "")) == []


@pytest.mark.parametrize("module", [documents, content_documents, write_documents])
def test_every_text_with_an_operation_is_listed(module: ModuleType) -> None:
    texts = {
        value for name, value in vars(module).items() if name.isupper() and name[0] != "_" and isinstance(value, str)
    }
    operations = {text for text in texts if not text.lstrip().startswith("fragment")}
    assert operations == set(module.DOCUMENTS.values())


def test_the_types_that_documents_expect_are_those_of_the_schema() -> None:
    for parent, fields in COMPOSITE.items():
        for field, expected in fields.items():
            if (parent, field) == ("Run", "inputArtifacts") or parent.startswith("InputArtifact"):
                continue  # servers differ in it
            told = SCHEMA.type_map[parent].fields[field]  # type: ignore[attr-defined]
            assert get_named_type(told.type).name == expected, f"{parent}.{field}"
    for mutation, expected in INPUTS.items():
        assert SCHEMA.mutation_type is not None
        argument = SCHEMA.mutation_type.fields[mutation].args["input"]
        assert get_named_type(argument.type).name == expected
        assert isinstance(get_named_type(argument.type), GraphQLInputObjectType)


def test_what_is_lost_on_an_old_server_is_said_in_words_of_a_person() -> None:
    fitted = [fit(document, facts_of(OLD_SCHEMA)) for document in every_document()]
    lost = {lack.capability: lack.without for lack in explained(name for each in fitted for name in each.left_out)}
    assert "newest lines" in lost["paging of console lines"]
    assert "registers uploaded files by itself" in lost["registering uploads"]
    assert "features" not in lost["server features"]


def test_every_operation_says_who_asks() -> None:
    assert all(operation_name(text).startswith("Mirror") for text in every_document())


def test_a_document_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="named"):
        operation_name("{ viewer { id } }")
