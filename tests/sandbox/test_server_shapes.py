"""Which schema a server has: ages, hidden parts, introspection, and the spelling of refusals."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from graphql import GraphQLSchema, assert_valid_schema, parse, validate

from mirror.sandbox import Sandbox
from mirror.sandbox.schema.ages import LACKS
from mirror.sandbox.schema.endpoint import schema

from .conftest import Ask


def fields(served: GraphQLSchema, type_name: str) -> dict[str, Any]:
    """Fields of a type by name."""
    found: dict[str, Any] = served.type_map[type_name].fields  # type: ignore[attr-defined]
    return found


def post(box: Sandbox, query: str) -> httpx.Response:
    return httpx.post(f"{box.url}/graphql", json={"query": query}, auth=("api", box.api_key), timeout=10)


@pytest.mark.parametrize("age", LACKS)
def test_the_schema_of_every_age_is_valid_and_lacks_what_the_age_lacks(age: Any) -> None:
    served = schema(age=age)
    assert_valid_schema(served)
    assert ("ParquetHistory" in served.type_map) is (age in ("now", "2024"))
    assert ("createRunFiles" in fields(served, "Mutation")) is (age in ("now", "2024"))
    assert ("CreateRunFilesInput" in served.type_map) is (age in ("now", "2024"))
    assert ("delta" in fields(served, "RunConnection")) is (age != "2021")
    assert ("features" in fields(served, "ServerInfo")) is (age == "now")
    assert ("useImprovedPagination" in fields(served, "Run")["logLines"].args) is (age == "now")


def test_ages_only_lack_more_the_older_they_are() -> None:
    assert LACKS["now"] < LACKS["2024"] < LACKS["2023"] < LACKS["2021"]


def test_one_hidden_field_is_a_400_with_positions_and_a_code() -> None:
    with Sandbox.start(hide=["Run.parquetHistory"]) as box:
        refused = post(box, '{ project(name: "p") { run(name: "r") { parquetHistory(liveKeys: []) { liveData } } } }')
        assert post(box, "{ viewer { username } }").status_code == 200
    assert refused.status_code == 400
    (error,) = refused.json()["errors"]
    assert error["message"].startswith('Cannot query field "parquetHistory" on type "Run".')
    assert error["locations"] == [{"line": 1, "column": 41}]
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}


def test_arguments_input_fields_and_whole_types_can_be_hidden() -> None:
    served = schema(hide=["Run.files(pattern)", "UpsertBucketInput.notes", "Tag", "UpdateRunStateInput"])
    assert set(fields(served, "Run")["files"].args) == {"names", "after", "first"}
    assert "notes" not in fields(served, "UpsertBucketInput")
    assert "tags" not in fields(served, "Artifact")
    assert "TagEdge" not in served.type_map  # nothing else is in it
    assert "updateRunState" in fields(served, "Mutation")  # the argument went, with its type
    with pytest.raises(ValueError, match=r"the schema has no Run\.nothing"):
        Sandbox.start(hide=["Run.nothing"])


def test_schemas_of_different_servers_do_not_touch_each_other() -> None:
    assert "notes" not in fields(schema(hide=["Run.notes"]), "Run")
    assert "notes" in fields(schema(), "Run")
    assert schema(hide=["Run.notes"]) is schema(hide=["Run.notes"])


def test_inputs_of_a_run_have_their_own_connection_unless_asked() -> None:
    spread = parse("""
      { project(name: "p") { run(name: "r") { inputArtifacts { ...Page } } } }
      fragment Page on ArtifactConnection { totalCount }""")
    assert validate(schema(input_artifacts_type="ArtifactConnection"), spread) == []
    (refusal,) = validate(schema(), spread)
    assert "can never be of type" in refusal.message
    with Sandbox.start(input_artifacts_type="InputArtifactConnection") as box:
        run = box.state.add_run("sandbox-team", "p", "r")
        box.state.note_used(run, box.state.add_artifact("sandbox-team", "p", "data", files={"a": b"1"}))
        query = """{ project(name: "p") { run(name: "r") {
          inputArtifacts { totalCount edges { usedAs cursor node { digest } } } } } }"""
        used = post(box, query).json()["data"]["project"]["run"]["inputArtifacts"]
        assert used["totalCount"] == 1
        assert used["edges"][0]["usedAs"] == []


def test_without_introspection_a_server_tells_nothing_of_itself(ask: Ask) -> None:
    asked = "{ __schema { types { name } } }"
    assert "data" in ask(asked)
    assert "Did you mean" in ask("{ viewer { usernam } }")["errors"][0]["message"]
    with Sandbox.start(introspection=False) as box:
        for query in (asked, '{ __type(name: "Run") { name } }'):
            refused = post(box, query)
            assert refused.status_code == 400
            assert refused.json()["errors"][0]["message"] == "GraphQL introspection is not allowed"
        misspelled = post(box, "{ viewer { usernam } }").json()["errors"][0]["message"]
        assert misspelled == 'Cannot query field "usernam" on type "User".'
        assert post(box, "{ viewer { __typename } }").json()["data"] == {"viewer": {"__typename": "User"}}


@pytest.mark.parametrize(
    ("wording", "argument", "input_field"),
    [
        ("wandb", 'on field "runs" of type "Project"', 'In field "nothing": Unknown field.'),
        ("graphql-js", 'on field "Project.runs"', 'Field "nothing" is not defined by type "DeleteRunInput".'),
    ],
)
def test_unknown_arguments_and_input_fields_are_refused_in_the_servers_words(
    wording: Any, argument: str, input_field: str
) -> None:
    with Sandbox.start(wording=wording) as box:
        refused = post(box, '{ project(name: "p") { runs(nothing: 1) { totalCount } } }')
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["message"].startswith(f'Unknown argument "nothing" {argument}')
        query = "mutation Drop($input: DeleteRunInput!) { deleteRun(input: $input) { clientMutationId } }"
        body = {"query": query, "variables": {"input": {"id": "x", "nothing": 1}}}
        answer = httpx.post(f"{box.url}/graphql", json=body, auth=("api", box.api_key))
        assert answer.status_code == 400
        assert input_field in answer.json()["errors"][0]["message"]
        literal = 'mutation { deleteRun(input: {id: "x", nothing: 1}) { clientMutationId } }'
        assert input_field in post(box, literal).json()["errors"][0]["message"]
