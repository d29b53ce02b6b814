"""The client's questions against the sandbox."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

from mirror.api.client import Client
from mirror.api.rows.pages import BadRun
from mirror.errors import AuthError, GraphQLError, ServerError, Unreachable
from mirror.records.runs import RunRecord
from mirror.sandbox import Fault, Match, Sandbox
from tests.api.clients import TEAM, client_on, page_of

pytestmark = pytest.mark.anyio


def add_runs(sandbox: Sandbox, count: int, project: str = "p") -> None:
    for number in range(count):
        sandbox.state.add_run(TEAM, project, f"r{number}", created_at=f"2024-01-01T00:00:{number:02d}")


async def walk(client: Client, first: int) -> list[str]:
    """Run ids of the project, page by page."""
    names: list[str] = []
    after: str | None = None
    while True:
        page = await page_of(client, first=first, after=after)
        names += [run.run_id for run in page.runs]
        if not page.has_next:
            return names
        after = page.after


async def test_the_viewer_is_known_with_their_teams(client: Client) -> None:
    viewer = await client.viewer()
    assert (viewer.username, viewer.entity) == ("sandy", TEAM)
    assert TEAM in viewer.teams


async def test_a_key_that_nobody_has_is_an_auth_error(sandbox: Sandbox) -> None:
    async with client_on(sandbox, "z" * 40) as client:
        with pytest.raises(AuthError):
            await client.viewer()


async def test_a_viewer_of_null_is_an_auth_error(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.add(Fault.lie(lambda answer: answer["data"].update(viewer=None)))
    with pytest.raises(AuthError, match="does not know this API key"):
        await client.viewer()


async def test_features_that_are_on_are_listed(client: Client) -> None:
    assert "UPDATE_RUN_STATE" in await client.features()


async def test_an_old_server_has_no_features() -> None:
    with Sandbox.start(legacy=True) as sandbox:
        async with client_on(sandbox) as client:
            assert await client.features() == frozenset()


async def test_features_that_fail_are_as_they_were_told_before(sandbox: Sandbox, client: Client) -> None:
    before = await client.current_features(dt.datetime.now(dt.UTC))
    sandbox.faults.add(Fault.graphql_error("out of order"))
    assert await client.features() == before != frozenset()


async def test_projects_come_page_by_page_with_their_run_counts(client: Client, sandbox: Sandbox) -> None:
    for number in range(103):
        sandbox.state.add_project(TEAM, f"project-{number:03d}")
    add_runs(sandbox, 2, "project-007")
    pages = [page async for page in client.projects(TEAM)]
    assert [len(page) for page in pages] == [100, 3]
    held = {project.project: project for page in pages for project in page}
    assert len(held) == 103
    assert held["project-007"].run_count == 2
    assert held["project-007"].internal_id
    assert [page async for page in client.projects("nobody")] in ([], [()])


async def test_a_project_that_is_not_there_is_none(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 2)
    project = await client.project(TEAM, "p")
    assert project is not None
    assert (project.entity, project.project, project.run_count) == (TEAM, "p", 2)
    assert await client.project(TEAM, "nope") is None
    assert await client.runs_page(TEAM, "nope", first=5) is None
    assert await client.run(TEAM, "nope", "r0") is None
    assert await client.run(TEAM, "p", "nope") is None
    assert await client.run_cursors(TEAM, "nope", first=5) == ()
    assert (await client.sweeps(TEAM, "nope")).sweeps == ()


@pytest.mark.parametrize("first", [1, 2, 3, 7, 10])
async def test_a_walk_sees_every_run_once_whatever_the_page_size(client: Client, sandbox: Sandbox, first: int) -> None:
    add_runs(sandbox, 7)
    assert await walk(client, first) == [f"r{number}" for number in range(7)]


async def test_a_walk_continues_from_the_last_edge_as_the_sdk_does(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 5)

    def lie(answer: Any) -> None:
        answer["data"]["project"]["runs"]["pageInfo"]["endCursor"] = "nowhere"

    sandbox.faults.add(Fault.lie(lie))
    assert await walk(client, 2) == [f"r{number}" for number in range(5)]


async def test_a_page_costs_one_request_with_everything_in_it(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 3)
    sandbox.state.add_sweep(TEAM, "p", "sweep1")
    page = await page_of(client, first=2, with_counts=True, with_sweeps=True, filters={"state": "finished"})
    assert (page.counted, page.total, page.project.run_count) == (3, 3, 3)
    assert page.sweeps is not None
    assert [sweep.sweep_id for sweep in page.sweeps.sweeps] == ["sweep1"]
    assert client.spent.graphql_requests == len(sandbox.requests) == 1


async def test_what_is_not_asked_is_not_answered(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 1)
    page = await page_of(client)
    assert (page.counted, page.total, page.sweeps) == (None, None, None)


async def test_filters_and_order_reach_the_server(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 4)
    sandbox.state.edit_run(TEAM, "p", "r1", tags=["best"])
    best = {"tags": "best"}
    page = await page_of(client, filters=best, with_counts=True)
    assert [run.run_id for run in page.runs] == ["r1"]
    page = await page_of(client, count_filters=best, with_counts=True)
    assert len(page.runs) == 4
    assert (page.counted, page.total) == (1, 4)
    assert [run.run_id for run in (await page_of(client, order="-created_at")).runs] == ["r3", "r2", "r1", "r0"]


async def test_a_run_is_the_same_value_whichever_way_it_was_fetched(client: Client, sandbox: Sandbox) -> None:
    sandbox.state.add_run(
        TEAM, "p", "r0", config={"lr": 0.1, "name": "🦉\u0000"}, summary={"loss": float("nan")}, tags=["x"], notes="n"
    )
    listed = (await page_of(client)).runs[0]
    assert await client.run(TEAM, "p", "r0") == listed
    assert listed.summary_text is not None
    assert "NaN" in listed.summary_text


async def test_a_run_that_lies_never_spoils_its_page(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 5)

    def lie(answer: Any) -> None:
        edges = answer["data"]["project"]["runs"]["edges"]
        edges[1]["node"]["tags"] = "none"
        edges[2]["node"]["historyLineCount"] = "many"
        edges[3]["node"] = None

    sandbox.faults.add(Fault.lie(lie, match=Match(operation="MirrorRuns")))
    page = await page_of(client)
    assert {run.run_id: set(run.flaws) for run in page.runs} == {
        "r0": set(),
        "r1": {"tags"},
        "r2": {"history_line_count"},
        "r4": set(),
    }
    assert (page.bad, page.empty) == ((), 1)


async def test_bare_tokens_and_broken_texts_are_read_all_the_same(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 2)

    def lie(answer: Any) -> None:
        node = answer["data"]["project"]["runs"]["edges"][0]["node"]
        node["summaryMetrics"] = {"loss": float("nan")}
        node["displayName"] = "half \ud83e"

    sandbox.faults.add(Fault.lie(lie))
    page = await page_of(client)
    assert page.bad == ()
    assert page.runs[0].display_name == "half \ufffd"
    assert json.loads(page.runs[0].summary_text or "") == {"loss": "NaN"}


async def test_one_run_whose_name_cannot_be_read_is_a_bad_run(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 1)
    sandbox.faults.add(Fault.lie(lambda answer: answer["data"]["project"]["run"].update(name=7)))
    bad = await client.run(TEAM, "p", "r0")
    assert isinstance(bad, BadRun)
    assert bad.storage_id is not None


async def test_cursors_step_over_a_run_that_cannot_be_served(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 3)
    sandbox.faults.add(Fault.graphql_error("too heavy", match=Match(operation="MirrorRuns", query="config"), times=1))
    with pytest.raises(GraphQLError):
        await page_of(client, first=1)
    (cursor,) = await client.run_cursors(TEAM, "p", first=1)
    assert cursor.run_id == "r0"
    rest = await page_of(client, after=cursor.cursor)
    assert [run.run_id for run in rest.runs] == ["r1", "r2"]


async def test_cursors_step_over_a_run_whose_very_name_fails(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 3)
    sandbox.faults.add(Fault.graphql_error("internal error", match=Match(operation="MirrorRunCursors")))
    (cursor,) = await client.run_cursors(TEAM, "p", first=1)
    assert (cursor.run_id, cursor.storage_id) == (None, None)
    assert [run.run_id for run in (await page_of(client, after=cursor.cursor)).runs] == ["r1", "r2"]


async def test_a_caller_may_ask_for_fewer_tries(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 1)
    sandbox.faults.add(Fault.status(502))
    with pytest.raises(Unreachable) as raised:
        await page_of(client, attempts=2)
    assert raised.value.answered
    assert len(sandbox.requests) == 2


async def test_sweeps_come_page_by_page(client: Client, sandbox: Sandbox) -> None:
    for number in range(101):
        sandbox.state.add_sweep(TEAM, "p", f"s{number:03d}")
    page = await page_of(client, with_sweeps=True)
    assert page.sweeps is not None
    assert (len(page.sweeps.sweeps), page.sweeps.has_next) == (100, True)
    rest = await client.sweeps(TEAM, "p", page.sweeps.after)
    assert (len(rest.sweeps), rest.has_next) == (1, False)
    assert len({sweep.sweep_id for sweep in page.sweeps.sweeps + rest.sweeps}) == 101
    assert rest.sweeps[0].config_text


async def test_a_sweep_that_lies_is_left_out_with_its_reason(client: Client, sandbox: Sandbox) -> None:
    sandbox.state.add_sweep(TEAM, "p", "s0")
    sandbox.state.add_sweep(TEAM, "p", "s1")

    def lie(answer: Any) -> None:
        answer["data"]["project"]["sweeps"]["edges"][0]["node"]["name"] = []
        answer["data"]["project"]["sweeps"]["edges"][1]["node"]["bestLoss"] = []

    sandbox.faults.add(Fault.lie(lie))
    page = await client.sweeps(TEAM, "p")
    assert len(page.sweeps) == len(page.bad) == 1


def without_rows(listing: dict[str, Any], _: str) -> None:
    listing["edges"] = []
    listing["pageInfo"].update(hasNextPage=True, endCursor=None)


def on_one_cursor(listing: dict[str, Any], cursor: str) -> None:
    for edge in listing["edges"]:
        edge["cursor"] = cursor
    listing["pageInfo"].update(hasNextPage=True, endCursor=cursor)


@pytest.mark.parametrize("stick", [without_rows, on_one_cursor])
@pytest.mark.parametrize("what", ["runs", "sweeps", "models"])
async def test_a_listing_that_goes_nowhere_never_loops_for_ever(
    client: Client, sandbox: Sandbox, what: str, stick: Callable[[dict[str, Any], str], None]
) -> None:
    add_runs(sandbox, 2)
    sandbox.state.add_sweep(TEAM, "p", "s0")
    cursors: list[str] = []

    def lie(answer: Any) -> None:
        """Every page of this listing ends at the place where the first page ended."""
        listing = answer["data"].get(what) or answer["data"]["project"][what]
        cursors.extend(edge["cursor"] for edge in listing["edges"])
        stick(listing, cursors[0])

    async def walk_for_ever() -> None:
        after: str | None = None
        while what == "runs":
            after = (await page_of(client, after=after)).after
        while what == "sweeps":  # these never cost the runs that came along, so they end with a word about it
            page = await client.sweeps(TEAM, "p", after)
            after = page.after
            if not page.has_next:
                raise ServerError(page.bad[0])
        assert [page async for page in client.projects(TEAM)] == []

    operation = {"runs": "MirrorRuns", "sweeps": "MirrorSweeps", "models": "MirrorProjects"}[what]
    sandbox.faults.add(Fault.lie(lie, match=Match(operation=operation)))
    with pytest.raises(ServerError, match=r"no place to continue from|in circles"):
        await walk_for_ever()
    assert len(sandbox.requests) < 10


@pytest.mark.parametrize(
    "data", [[], 7, {"project": 7}, {"project": {"runs": None}}, {"project": {"runs": {"edges": {}}}}, {}]
)
async def test_a_page_of_another_shape_is_one_clear_line(client: Client, sandbox: Sandbox, data: object) -> None:
    add_runs(sandbox, 1)
    sandbox.faults.add(Fault.lie(lambda _: {"data": data}))
    with pytest.raises(ServerError) as raised:
        await page_of(client)
    assert "\n" not in str(raised.value)
    assert f":{sandbox.port}" in str(raised.value)


async def test_records_are_values(client: Client, sandbox: Sandbox) -> None:
    add_runs(sandbox, 1)
    first, second = await page_of(client), await page_of(client)
    assert isinstance(first.runs[0], RunRecord)
    assert first.runs == second.runs
