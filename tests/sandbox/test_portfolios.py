"""Portfolios over plain HTTP: versions are linked into them, numbered anew, and taken out again."""

from __future__ import annotations

from typing import Any

from mirror.sandbox import Sandbox

from .conftest import Ask

LINK = """mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex
  artifactMembership { versionIndex aliases { alias } artifactCollection { __typename name } } } }"""
MEMBER = """query M($name: String!) { project(name: "p", entityName: "e") { artifactCollectionMembership(name: $name) {
  versionIndex aliases { alias } artifactCollection { id __typename } artifact { id versionIndex
    artifactMemberships { edges { node { artifactCollection { name } } } } } } } }"""
LISTED = """query V($type: String!, $collection: String!, $order: String, $filters: JSONString) {
  project(name: "p", entityName: "e") { artifactType(name: $type) { artifactCollection(name: $collection) {
    artifacts(order: $order, filters: $filters) { edges { version node { versionIndex } } } } } } }"""


def member(ask: Ask, name: str) -> dict[str, Any] | None:
    found = ask(MEMBER, name=name)["data"]["project"]["artifactCollectionMembership"]
    assert found is None or isinstance(found, dict)
    return found


def link(ask: Ask, artifact: str, *aliases: str) -> dict[str, Any]:
    given = [{"artifactCollectionName": "shelf", "alias": alias} for alias in aliases]
    where = {"artifactPortfolioName": "shelf", "entityName": "e", "projectName": "p", "aliases": given}
    linked = ask(LINK, input={"artifactID": artifact, **where})["data"]["linkArtifact"]
    assert isinstance(linked, dict)
    return linked


def test_a_linked_version_has_a_number_and_aliases_of_its_own_in_the_portfolio(box: Sandbox, ask: Ask) -> None:
    box.state.add_artifact("e", "p", "data", files={"a": b"1"})
    second = box.state.add_artifact("e", "p", "data", files={"a": b"2"}, aliases=["best"])
    linked = link(ask, second.id, "prod")
    assert linked["versionIndex"] == 0
    assert linked["artifactMembership"]["artifactCollection"] == {"__typename": "ArtifactPortfolio", "name": "shelf"}

    there, here = member(ask, "shelf:prod"), member(ask, "data:best")
    assert there is not None
    assert here is not None
    assert (there["versionIndex"], there["artifact"]["versionIndex"]) == (0, 1)
    assert {alias["alias"] for alias in there["aliases"]} == {"prod", "latest"}
    assert {alias["alias"] for alias in here["aliases"]} == {"best", "latest"}
    places = there["artifact"]["artifactMemberships"]["edges"]
    assert [edge["node"]["artifactCollection"]["name"] for edge in places] == ["data", "shelf"]


def test_an_unlinked_version_stays_in_its_sequence_and_its_number_is_never_given_again(box: Sandbox, ask: Ask) -> None:
    first = box.state.add_artifact("e", "p", "data", files={"a": b"1"})
    second = box.state.add_artifact("e", "p", "data", files={"a": b"2"})
    link(ask, first.id)
    place = member(ask, "shelf:v0")
    assert place is not None
    unlink = "mutation U($input: UnlinkArtifactInput!) { unlinkArtifact(input: $input) { success } }"
    given = {"artifactID": first.id, "artifactPortfolioID": place["artifactCollection"]["id"]}
    assert ask(unlink, input=given)["data"]["unlinkArtifact"]["success"]
    assert member(ask, "shelf:v0") is None
    assert member(ask, "data:v0") is not None
    assert link(ask, second.id)["versionIndex"] == 1
    assert link(ask, second.id)["versionIndex"] == 1  # linked already


def test_versions_are_listed_by_order_and_filter(box: Sandbox, ask: Ask) -> None:
    for i in range(3):
        box.state.add_artifact("e", "p", "data", files={"a": str(i).encode()}, tags=["even"] if i % 2 == 0 else [])

    def versions(**arguments: Any) -> list[str]:
        answer = ask(LISTED, type="dataset", collection="data", **arguments)
        found = answer["data"]["project"]["artifactType"]["artifactCollection"]["artifacts"]["edges"]
        return [edge["version"] for edge in found]

    assert versions() == ["v2", "v1", "v0"]
    assert versions(order="version_index") == ["v0", "v1", "v2"]
    assert versions(order="-version_index", filters='{"tag": "even"}') == ["v2", "v0"]


def test_a_deleted_version_leaves_latest_to_the_one_before_and_a_deleted_portfolio_only_its_links(
    box: Sandbox, ask: Ask
) -> None:
    first = box.state.add_artifact("e", "p", "data", files={"a": b"1"})
    second = box.state.add_artifact("e", "p", "data", files={"a": b"2"})
    link(ask, first.id)
    place = member(ask, "shelf")
    assert place is not None
    delete = "mutation D($input: DeleteArtifactInput!) { deleteArtifact(input: $input) { artifact { id } } }"
    ask(delete, input={"artifactID": second.id, "deleteAliases": True})
    latest = member(ask, "data:latest")
    assert latest is not None
    assert latest["artifact"]["id"] == first.id
    drop = """mutation D($input: DeleteArtifactPortfolioInput!) {
      deleteArtifactPortfolio(input: $input) { artifactCollection { state } } }"""
    ask(drop, input={"artifactPortfolioID": place["artifactCollection"]["id"]})
    assert member(ask, "shelf") is None
    assert member(ask, "data:v0") is not None
