"""Keys, teams, invitations and registries over plain HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from mirror.sandbox import Sandbox

from .conftest import Ask


def asks(box: Sandbox, key: str) -> Ask:
    """Ask with another key."""

    def send(query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{box.url}/graphql", json=body, auth=("api", key), trust_env=False).json()
        assert isinstance(answer, dict)
        return answer

    return send


def test_a_new_key_lets_its_user_in_until_it_is_deleted(box: Sandbox, ask: Ask) -> None:
    made = ask('mutation { generateApiKey(input: {description: "ci"}) { apiKey { id name description } } }')
    key = made["data"]["generateApiKey"]["apiKey"]
    assert key["description"] == "ci"
    secret = box.state.api_keys[key["id"]].key
    assert secret.startswith(key["name"])
    assert asks(box, secret)("{ viewer { username } }")["data"]["viewer"] == {"username": "sandy"}
    delete = "mutation D($id: String!) { deleteApiKey(input: {id: $id}) { success } }"
    assert ask(delete, id=key["id"])["data"]["deleteApiKey"]["success"]
    assert asks(box, secret)("{ viewer { username } }")["errors"]


def test_a_name_that_nobody_has_is_an_entity_that_is_available(box: Sandbox, ask: Ask) -> None:
    question = "query E($name: String!) { entity(name: $name) { name available members { name } } }"
    assert ask(question, name="free")["data"]["entity"] == {"name": "free", "available": True, "members": []}
    assert ask(question, name="sandbox-team")["data"]["entity"]["available"] is False


def test_a_team_takes_members_in_and_out_and_only_its_admins_may(box: Sandbox, ask: Ask) -> None:
    member = asks(box, box.state.add_user("ada").api_key)
    ask('mutation { createTeam(input: {teamName: "crew"}) { entity { name } } }')
    invite = (
        'mutation { createInvite(input: {entityName: "crew", username: "ada"}) { invite { toUser { username } } } }'
    )
    assert "permission denied" in str(member(invite)["errors"])
    assert ask(invite)["data"]["createInvite"]["invite"]["toUser"] == {"username": "ada"}
    service = 'mutation { createServiceAccount(input: {entityName: "crew", description: "robot"}) { user { id } } }'
    assert ask(service)["data"]["createServiceAccount"]["user"]["id"]

    team = 'query { entity(name: "crew") { members { id username role accountType apiKey } } }'
    people = ask(team)["data"]["entity"]["members"]
    assert [(one["role"], one["accountType"]) for one in people] == [
        ("admin", "USER"),
        ("member", "USER"),
        ("member", "SERVICE"),
    ]
    assert people[1]["apiKey"] is None
    assert asks(box, people[2]["apiKey"])("{ viewer { entity } }")["data"]["viewer"] == {"entity": "crew"}
    delete = 'mutation D($id: String) { deleteInvite(input: {entityName: "crew", id: $id}) { success } }'
    assert ask(delete, id=people[1]["id"])["data"]["deleteInvite"]["success"]
    assert len(ask(team)["data"]["entity"]["members"]) == 2


def test_a_registry_has_members_and_is_listed_with_its_collections(box: Sandbox, ask: Ask) -> None:
    ada = box.state.add_user("ada")
    box.state.add_organization("acme", members={"sandy": "admin", "ada": "member"})
    made = ask(
        "mutation R($input: UpsertModelInput!) { upsertModel(input: $input) { inserted project { id access "
        "allowAllArtifactTypesInRegistry members { username role { name } } } } }",
        input={
            "entityName": "acme_org",
            "name": "wandb-registry-model",
            "access": "PRIVATE",
            "allowAllArtifactTypesInRegistry": True,
        },
    )["data"]["upsertModel"]
    registry = made["project"]
    assert (made["inserted"], registry["access"], registry["allowAllArtifactTypesInRegistry"]) == (
        True,
        "PRIVATE",
        True,
    )
    assert registry["members"] == [{"username": "sandy", "role": {"name": "admin"}}]
    add = "mutation A($input: CreateProjectMembersInput!) { createProjectMembers(input: $input) { success } }"
    ask(add, input={"projectId": registry["id"], "userIds": [ada.id]})
    change = "mutation C($input: UpdateProjectMemberInput!) { updateProjectMember(input: $input) { success } }"
    ask(change, input={"projectId": registry["id"], "userId": ada.id, "userProjectRole": "viewer"})

    artifact = box.state.add_artifact("e", "p", "data", files={"a": b"1"})
    link = "mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex } }"
    where = {"artifactPortfolioName": "best", "entityName": "acme_org", "projectName": "wandb-registry-model"}
    ask(link, input={"artifactID": artifact.id, **where})
    listed = asks(box, ada.api_key)(
        'query { organization(name: "acme") { orgEntity { '
        'projects(filters: "{\\"name\\": {\\"$contains\\": \\"model\\"}}", order: "name") { edges { node { '
        "name members { username role { name } } } } } "
        "artifactCollections(collectionTypes: [PORTFOLIO]) { edges { node { name } } } "
        "artifactMemberships { edges { node { versionIndex artifact { id } } } } } } }"
    )["data"]["organization"]["orgEntity"]
    assert listed["projects"]["edges"][0]["node"]["members"][1] == {"username": "ada", "role": {"name": "viewer"}}
    assert [edge["node"]["name"] for edge in listed["artifactCollections"]["edges"]] == ["best"]
    assert listed["artifactMemberships"]["edges"][0]["node"] == {"versionIndex": 0, "artifact": {"id": artifact.id}}

    outsider = asks(box, box.state.add_user("eve").api_key)
    assert outsider('query { organization(name: "acme") { name } }')["data"]["organization"] is None


def test_a_project_is_renamed_with_all_that_is_in_it_and_deleted_once(box: Sandbox, ask: Ask) -> None:
    run = box.state.add_run("e", "p", "r")
    rename = "mutation R($input: RenameProjectInput!) { renameProject(input: $input) { project { id name } } }"
    given = {"entityName": "e", "oldProjectName": "p", "newProjectName": "q"}
    project = ask(rename, input=given)["data"]["renameProject"]["project"]
    assert project["name"] == "q"
    assert box.state.run("e", "q", "r") is run
    delete = "mutation D($id: String!) { deleteModel(input: {id: $id}) { success } }"
    assert ask(delete, id=project["id"])["data"]["deleteModel"]["success"]
    assert ask(delete, id=project["id"])["errors"][0]["message"] == "project not found"


def test_a_rewound_run_has_lost_the_rows_after_the_step_also_from_its_exports(box: Sandbox, ask: Ask) -> None:
    run = box.state.add_run("e", "p", "r", history=[{"_step": i, "loss": 10 - i} for i in range(10)])
    rewind = """mutation R { rewindRun(input: {entityName: "e", projectName: "p", runName: "r", metricName: "_step",
      metricValue: 4}) { rewoundRun { name historyLineCount state summaryMetrics } } }"""
    rewound = ask(rewind)["data"]["rewindRun"]["rewoundRun"]
    assert (rewound["historyLineCount"], rewound["state"]) == (5, "running")
    assert '"loss":6' in rewound["summaryMetrics"]
    assert [part.rows for part in run.parts] == [5]
    # The client sends its next line with the offset of the rows that are left.
    chunk = {"files": {"wandb-history.jsonl": {"offset": 5, "content": ['{"_step":5,"loss":1}']}}}
    answer = httpx.post(f"{box.url}/files/e/p/r/file_stream", json=chunk, auth=("api", box.api_key), trust_env=False)
    assert answer.status_code == 200
    assert [row["loss"] for row in run.history] == [10, 9, 8, 7, 6, 1]
