"""No document is refused for its form, whichever field, argument or input field a server lacks.

The servers here are the sandbox's schema less one name; graphql-core's validation is the judge.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import re
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    introspection_from_schema,
    parse,
    print_schema,
    validate,
)

from mirror.api.documents.contents import artifacts_document, streams_document
from mirror.api.documents.every_document import every_document
from mirror.api.documents.queries import RUNS_WITH_CONTENTS
from mirror.api.documents.writes import UPLOAD_ADDRESSES
from mirror.api.fitting.failing import is_failure, parts_with
from mirror.api.fitting.fit import field_at, fit
from mirror.api.fitting.fitted import Fitted, named_type
from mirror.api.fitting.known_server import KnownServer, with_refusals
from mirror.api.fitting.learning import by_current_names, everything, types_in
from mirror.api.fitting.left_out import left_out_by
from mirror.api.fitting.probing import Probe
from mirror.errors import (
    DocumentRefused,
    Forbidden,
    GraphQLError,
    NotOffered,
    RateLimited,
    Reported,
    ServerError,
    Unreachable,
)
from mirror.records.capabilities import explained
from mirror.records.server import FieldFacts, ServerFacts, TypeFacts
from mirror.sandbox.schema.endpoint import schema
from tests.api.test_documents import facts_of
from tests.soaking import thin

SCHEMA = build_schema(print_schema(schema()), assume_valid=True)
FACTS = facts_of(SCHEMA)
WHOLE = {document: fit(document, ServerFacts()) for document in every_document()}
SPARE = WHOLE[UPLOAD_ADDRESSES].visited - {
    place for document, fitted in WHOLE.items() if document != UPLOAD_ADDRESSES for place in fitted.visited
}  # what is asked only where another way is missing
VISITED = sorted({place for fitted in WHOLE.values() for place in fitted.visited} - SPARE)


@contextlib.contextmanager
def without(names: Sequence[tuple[str, str]]) -> Iterator[GraphQLSchema]:
    """The schema less some fields, for a while."""
    taken = []
    for parent, field in names:
        found = SCHEMA.type_map[parent]
        assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType)
        taken.append((found.fields, field, found.fields.pop(field)))
    try:
        yield SCHEMA
    finally:
        for fields, field, value in taken:
            fields[field] = value


def facts_without(parent: str, field: str) -> ServerFacts:
    """What a server says about itself whose schema lacks a field."""
    known = FACTS.types[parent]
    fields = {name: facts for name, facts in known.fields.items() if name != field}
    return msgspec.structs.replace(FACTS, types={**FACTS.types, parent: TypeFacts(kind=known.kind, fields=fields)})


def refusals(asked: GraphQLSchema, text: str) -> Iterator[Reported]:
    for error in validate(asked, parse(text)):
        place = error.locations[0] if error.locations else None
        yield Reported(
            message=error.message,
            code="GRAPHQL_VALIDATION_FAILED",
            line=place.line if place else None,
            column=place.column if place else None,
        )


def asked_of(known: KnownServer, server: GraphQLSchema, document: str, *, mute: bool = False) -> tuple[Fitted, int]:
    """The document as the server takes it, and how often it was refused before."""
    for refused in range(10):
        fitted = known.fit(document)
        errors = tuple(refusals(server, fitted.text)) if fitted.text else ()
        if not errors:
            return fitted, refused
        if mute:
            errors = tuple(Reported(message="no", code=e.code, line=e.line, column=e.column) for e in errors)
        assert known.learn_from(fitted, DocumentRefused("no", reported=errors))
    raise AssertionError("refused again and again")


BY_NAME = {".".join(place): place for place in VISITED}
SOME = list(BY_NAME)[::4]


@pytest.mark.parametrize("hidden", thin(BY_NAME, keep=SOME))
def test_a_server_that_describes_itself_never_refuses_a_document(hidden: tuple[str, str]) -> None:
    facts = facts_without(*hidden)
    with without([hidden]) as server:
        for document, whole in WHOLE.items():
            if hidden in whole.visited:
                fitted = fit(document, facts)
                assert fitted.text is None or validate(server, parse(fitted.text)) == []
                assert ".".join(hidden) in fitted.left_out


@pytest.mark.parametrize("hidden", thin(BY_NAME, keep=SOME))
def test_whatever_a_server_lacks_is_named(hidden: tuple[str, str]) -> None:
    assert any(".".join(hidden) in lack.names for lack in explained(left_out_by(facts_without(*hidden))))


@pytest.mark.parametrize("every", thin([1, 12], keep=[12]))
@pytest.mark.parametrize("mute", [False, True], ids=["in words", "by place"])
def test_a_server_that_does_not_is_understood_by_its_refusals(mute: bool, every: int) -> None:
    for hidden in VISITED[3 * mute :: every]:
        known = KnownServer()
        with without([hidden]) as server:
            for document, whole in WHOLE.items():
                if hidden in whole.visited:
                    fitted, refused = asked_of(known, server, document, mute=mute)
                    assert refused <= 2, hidden
                    assert hidden not in fitted.visited


def test_one_refusal_of_all_documents_teaches_all_that_is_lacking() -> None:
    hidden = [("Run", "parquetHistory"), ("File", "md5"), ("Mutation", "updateRunState"), ("Project", "internalId")]
    fitted = tuple(WHOLE.values())
    with without(hidden) as server:
        facts = with_refusals(ServerFacts(), fitted, tuple(refusals(server, everything(fitted))))
        assert set(facts.lacking) == {".".join(name) for name in hidden}
        for document in WHOLE:
            text = fit(document, facts).text
            assert text is None or validate(server, parse(text)) == []


def test_variables_take_the_types_that_the_server_wants() -> None:
    document = "query Q($a: Int64!, $n0: JSONString) { run(from: $a, filters: $n0) { id } }"
    run = FieldFacts(type="Run", child="Run", arguments={"from": "Int", "filters": "String!"})
    facts = ServerFacts(types={"Query": TypeFacts(kind="OBJECT", fields={"run": run})})
    assert (fit(document, facts).text or "").startswith("query Q($a: Int, $n0: String!)")
    refused = Reported(message='Variable "$n0" of type "JSONString" used in position expecting type "JSON!".')
    told = with_refusals(ServerFacts(), [fit(document, ServerFacts())], [refused])
    assert "$n0: JSON!" in (fit(document, told).text or "")


def test_a_server_may_name_its_types_as_it_likes() -> None:
    def renamed(text: str) -> str:
        return re.sub(r"(?<!Query)(?<!Mutation)(?<!Int64)\b([A-Z]\w+)(?=[!\]]*$)", r"Its\1", text)

    leaves = {"String", "Int", "Float", "Boolean", "ID", "Int64", "JSON", "JSONString", "DateTime", "Duration"}
    described = types_in(introspection_from_schema(SCHEMA)["__schema"]["types"])
    own: dict[str, TypeFacts] = {}
    for name, facts in described.items():
        if facts.kind not in {"OBJECT", "INTERFACE", "UNION"}:
            own[name] = facts
            continue
        fields = {
            field: each if named_type(each.type) in leaves or described[named_type(each.type)].kind == "ENUM"
            else msgspec.structs.replace(each, type=renamed(each.type))
            for field, each in facts.fields.items()
        }  # fmt: skip
        own[name if name in {"Query", "Mutation"} else f"Its{name}"] = TypeFacts(kind=facts.kind, fields=fields)
    found = by_current_names(own)
    assert found.unknown == set()
    server = ServerFacts(types=found.types)
    for document, whole in WHOLE.items():
        assert fit(document, server).visited == whole.visited


def test_one_type_may_stand_where_a_current_server_has_two_and_two_where_it_has_one() -> None:
    def thing(**fields: str) -> TypeFacts:
        return TypeFacts(kind="OBJECT", fields={name: FieldFacts(type=text) for name, text in fields.items()})

    own = {
        "Query": thing(project="Project", artifact="Artifact"),
        "Project": thing(run="Run"),
        "Run": thing(
            id="ID!", outputArtifacts="ArtifactConnection", inputArtifacts="ArtifactConnection", files="Files"
        ),
        "ArtifactConnection": thing(totalCount="Int"),
        "Artifact": thing(id="ID!", files="OtherFiles"),
        "Files": thing(edges="[E]"),
        "OtherFiles": thing(totalCount="Int"),
        "ID": TypeFacts(kind="SCALAR"),
        "Int": TypeFacts(kind="SCALAR"),
    }
    found = by_current_names(own)
    assert found.types["InputArtifactConnection"] == found.types["ArtifactConnection"]
    assert set(found.types["FileConnection"].fields) == {"edges"}
    assert found.types["Artifact"].fields["files"].child == "OtherFiles"
    assert found.unknown == {"E", "Mutation"}


def test_a_field_that_needs_an_argument_or_has_another_shape_is_left_out() -> None:
    fields = {
        "needy": FieldFacts(type="Int", arguments={"must": "Int!"}, required=("must",)),
        "leaf": FieldFacts(type="String"),
        "thing": FieldFacts(type="Thing", child="Thing"),
        "good": FieldFacts(type="Int"),
    }
    types = {"Query": TypeFacts(kind="OBJECT", fields=fields)}
    fitted = fit("query Q { needy leaf { id } thing good }", ServerFacts(types=types))
    assert fitted.left_out == {"Query.needy(must)", "Query.leaf", "Query.thing"}
    assert fitted.visited == {("Query", "good")}


def test_a_mutation_is_sent_even_if_its_answer_has_nothing_of_what_is_asked() -> None:
    facts = ServerFacts(lacking=("StopRunPayload.success",))
    document = next(text for text in WHOLE if "MirrorStopRun" in text)
    assert "stopRun(input: $input) { __typename }" in (fit(document, facts).text or "")


def test_nothing_is_left_of_a_document_whose_root_the_server_lacks() -> None:
    fitted = fit("query Q($a: Int) { viewer { id } }", ServerFacts(lacking=("Query.viewer",)))
    assert (fitted.text, fitted.variables) == (None, {})


def test_a_place_in_a_document_is_found_again() -> None:
    fitted = fit('query Q { project(name: "p") { run(name: "r") { id files { edges { cursor } } } } }', ServerFacts())
    text = fitted.text or ""
    assert field_at(text, ServerFacts(), 1, text.index("cursor") + 2) == ("FileEdge", "cursor")
    assert field_at(text, ServerFacts(), 1, text.index("files") + 1) == ("Run", "files")
    assert field_at(text, ServerFacts(), 1, text.index('"r"') + 1) == ("Project", "run")
    assert field_at(text, ServerFacts(), 1, 2) is None


def test_names_that_graphql_does_not_have_reach_neither_documents_nor_people() -> None:
    told = {"kind": "SCALAR", "name": "Int"}
    fine = {"kind": "OBJECT", "name": "Run", "fields": [{"name": "id", "type": told, "args": []}]}
    evil = {"kind": "OBJECT", "name": "Query", "fields": [{"name": "run\x1b[2J", "type": told, "args": []}]}
    assert set(types_in([fine, evil])) == {"Run"}
    run = FieldFacts(type="Run", child="Run", arguments={"from": "[]"})
    facts = ServerFacts(types={"Query": TypeFacts(kind="OBJECT", fields={"run": run})})
    fitted = fit("query Q($a: Int64!) { run(from: $a) { id } }", facts)
    assert (fitted.text or "").startswith("query Q($a: Int64!)")


def test_what_is_not_asked_this_time_has_a_value_where_the_server_wants_one() -> None:
    fields = {"run": FieldFacts(type="Run", child="Run", arguments={"from": "Int64!", "names": "[String!]!"})}
    facts = ServerFacts(types={"Query": TypeFacts(kind="OBJECT", fields=fields)})
    document = (
        "query Q($a: Int64, $b: [String], $with: Boolean!) { run(from: $a, names: $b) @include(if: $with) { id } }"
    )
    fitted = fit(document, facts)
    assert fitted.values({"a": None, "b": None, "with": False, "gone": 1}) == {"a": 0, "b": [], "with": False}
    assert fit(document, ServerFacts()).values({"a": None}) == {"a": None}


def test_what_a_server_fails_at_is_asked_again_and_what_it_does_not_know_is_not() -> None:
    noon, hour = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC), dt.timedelta(hours=1)
    known = KnownServer()
    known.begin_pass(noon)
    known.learn_lacking(["Run.host"])
    assert known.learn_failing(["Run.parquetHistory", "Run.host"])
    assert known.facts.lacking == ("Run.host", "Run.parquetHistory")
    known.ask_again(noon - hour)
    assert not known.knows("Run.parquetHistory")
    known.begin_pass(noon + hour)
    known.ask_again(noon)
    assert known.knows("Run.parquetHistory")
    assert not known.knows("Run.host")
    document = next(document for document in WHOLE if ("Run", "parquetHistory") in WHOLE[document].visited)
    assert known.suspects(known.fit(document)) == {"Run.parquetHistory"}, "it is the first to be doubted"
    known.note_served(known.fit(document), msgspec.Raw(b'{"project":{"runs":{"edges":[]}}}'))
    assert known.facts.failing, "an answer without runs tells nothing of their fields"
    assert known.facts.gained_at is None
    known.note_served(known.fit(document), msgspec.Raw(b'{"project":{"run":{"parquetHistory":null}}}'))
    assert known.facts.failing == {}, "it does not fail any more"
    assert known.facts.gained_at == noon + hour
    known.learn_failing(["Run.events"])
    known.begin_pass(noon)  # the clock was ahead
    known.ask_again(noon - hour)
    assert known.knows("Run.events")


def test_only_a_failure_as_a_whole_is_searched_and_says_which_part_is_lost() -> None:
    failures = [
        ServerError("a web page", status=500),
        Unreachable("HTTP 502", answered=True, status=502),
        GraphQLError("INTERNAL", reported=(Reported(message="INTERNAL"),)),
    ]
    others = [
        RateLimited("later", answered=True),
        Unreachable("no route"),
        Unreachable("no answer within a minute", answered=True),
        Unreachable("HTTP 504", answered=True, status=504),
        NotOffered("too old"),
        DocumentRefused("no", reported=()),
        ServerError("too large", status=413),
        GraphQLError("no", reported=(Reported(message="no", path=("project", "runs")),)),
        Forbidden("no"),
    ]
    assert [is_failure(error) for error in failures] == [True] * 3
    assert [is_failure(error) for error in others] == [False] * 9


def test_a_failure_inside_of_a_part_is_that_part_s() -> None:
    listing = WHOLE[RUNS_WITH_CONTENTS].visited
    streams, versions = WHOLE[streams_document(1)].visited, WHOLE[artifacts_document(1)].visited
    assert parts_with(["Run.summaryMetrics", "File.md5"], "Run", listing) == {"summaryMetrics", "files"}
    artifacts = {"loggedArtifacts", "usedArtifacts", "outputArtifacts", "inputArtifacts"}
    assert parts_with(["Artifact.aliases"], "Run", listing) == artifacts
    assert parts_with(["LogLine.label"], "Run", streams) == {"logLines", "logTail"}
    assert parts_with(["Tag.name"], "Artifact", versions) == {"tags"}
    assert parts_with(["Sweep.config"], "Run", listing) == set()


@pytest.mark.anyio
@pytest.mark.parametrize("fails", ["File.md5", "Run.parquetHistory", "Sweep.config"])
async def test_the_search_for_what_fails_is_bounded_and_believes_no_flickering_outage(fails: str) -> None:
    asked = 0

    async def serves(text: str, _: object) -> bool:
        nonlocal asked
        asked += 1
        return fails.partition(".")[2] not in text

    variables = {"entity": "e", "project": "p", "first": 1, "filesFirst": 1, "artifactsFirst": 1}
    found = await Probe(RUNS_WITH_CONTENTS, FACTS, variables, serves, about_things=True).failing()
    assert found is not None
    assert fails in found
    assert asked <= 40
    for seed in range(20):
        dice = random.Random(seed)
        left = dice.randrange(1, 60)

        async def flickers(_: str, __: object, dice: random.Random = dice, left: int = left) -> bool:
            return dice.random() < left / 60

        assert not await Probe(RUNS_WITH_CONTENTS, FACTS, variables, flickers, about_things=True).failing()
