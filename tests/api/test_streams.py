"""History, system metrics and console lines: exactly as sent, page by page, and of several runs at once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mirror.api.client import Client
from mirror.api.rows.listed import LogPage, RunStreams, StreamAsk
from mirror.api.rows.pages import BadRun
from mirror.errors import GraphQLError, NotFound
from mirror.sandbox import ConsoleLine, Fault, Match, Sandbox
from tests.api.clients import TEAM, client_on

pytestmark = pytest.mark.anyio


def add_run(sandbox: Sandbox, run: str = "r0", **given: Any) -> None:
    sandbox.state.add_run(TEAM, "p", run, **given)


def steps(*numbers: int) -> list[dict[str, Any]]:
    return [{"_step": step, "loss": float("nan")} for step in numbers]


async def all_lines(client: Client, run: str = "r0", first: int = 4) -> list[LogPage]:
    pages = [await client.log_lines(TEAM, "p", run, first=first)]
    while pages[-1].has_more:
        pages.append(await client.log_lines(TEAM, "p", run, pages[-1].after, first=first))
    return pages


async def test_history_rows_are_the_texts_that_were_sent(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, history=steps(0, 1, 5, 9))
    rows = await client.history_rows(TEAM, "p", "r0", 1, 9)
    assert rows == ('{"_step":1,"loss":NaN}', '{"_step":5,"loss":NaN}')
    (request,) = sandbox.requests
    assert (request.variables["minStep"], request.variables["maxStep"], request.variables["samples"]) == (1, 9, 8)
    assert await client.history_rows(TEAM, "p", "r0", 100, 200) == ()
    with pytest.raises(NotFound, match="no run"):
        await client.history_rows(TEAM, "p", "nope", 0, 10)
    with pytest.raises(NotFound):
        await client.history_rows(TEAM, "nowhere", "r0", 0, 10)


@pytest.mark.parametrize("field", ["history", "events", "logLines"])
async def test_a_field_that_takes_its_run_along_gives_the_servers_words(
    client: Client, sandbox: Sandbox, field: str
) -> None:
    add_run(sandbox, history=steps(0))

    def climb(body: dict[str, Any]) -> None:  # nulls climb from a field that may not be null
        body["data"]["project"]["run"] = None
        body["errors"] = [{"message": "internal error in it", "path": ["project", "run", field]}]

    sandbox.faults.add(Fault.lie(climb))
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        "history": lambda: client.history_rows(TEAM, "p", "r0", 0, 10),
        "events": lambda: client.events(TEAM, "p", "r0", 10),
        "logLines": lambda: client.log_lines(TEAM, "p", "r0"),
    }
    with pytest.raises(GraphQLError, match="internal error in it"):
        await asks[field]()


async def test_a_server_that_says_by_an_error_that_there_is_no_run_has_none(client: Client, sandbox: Sandbox) -> None:
    def deny(body: dict[str, Any]) -> None:
        body["data"]["project"]["run"] = None
        body["errors"] = [{"message": "run not found", "path": ["project", "run"]}]

    add_run(sandbox)
    sandbox.faults.add(Fault.lie(deny))
    with pytest.raises(NotFound):
        await client.events(TEAM, "p", "r0", 10)


async def test_a_range_is_never_sampled_down(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, history=steps(*range(1500)))
    assert len(await client.history_rows(TEAM, "p", "r0", 0, 1500)) == 1500


async def test_events_are_asked_for_with_as_many_samples_as_there_are_lines(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, events=[{"_timestamp": n, "system.cpu": float("inf")} for n in range(900)])
    rows = await client.events(TEAM, "p", "r0", 900)
    assert len(rows) == 900
    assert rows[7] == '{"_timestamp":7,"system.cpu":Infinity}'
    with pytest.raises(NotFound):
        await client.events(TEAM, "p", "nope", 10)


async def test_console_lines_page_forward(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, console=[f"line {n}" for n in range(10)])
    pages = await all_lines(client)
    lines = [line for page in pages for line in page.lines]
    assert [(line.number, line.line) for line in lines] == [(n, f"line {n}") for n in range(10)]
    assert [page.is_tail for page in pages] == [False] * 3
    assert pages[0].line_count == 10
    assert lines[0].at is not None


async def test_a_page_cut_short_by_a_budget_is_not_the_end(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, console=[f"line {n}" for n in range(10)])
    sandbox.state.log_page_lines = 3

    def lie(answer: Any) -> None:
        answer["data"]["project"]["run"]["logLines"]["pageInfo"]["hasNextPage"] = False

    sandbox.faults.add(Fault.lie(lie))
    pages = await all_lines(client, first=100)
    assert [line.number for page in pages for line in page.lines] == list(range(10))
    assert len(pages) == 4


@pytest.mark.parametrize("cursor", [None, "", "same"])
async def test_lines_without_a_place_to_go_on_never_loop_for_ever(
    client: Client, sandbox: Sandbox, cursor: str | None
) -> None:
    add_run(sandbox, console=["a", "b", "c"])
    after = (await client.log_lines(TEAM, "p", "r0", first=1)).after

    def lie(answer: Any) -> None:
        page_info = answer["data"]["project"]["run"]["logLines"]["pageInfo"]
        page_info.update(hasNextPage=True, endCursor=after if cursor == "same" else cursor)

    sandbox.faults.add(Fault.lie(lie))
    page = await client.log_lines(TEAM, "p", "r0", after, first=1)
    assert not page.has_more
    assert page.after == after


async def test_a_run_that_never_wrote_has_no_lines(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    page = await client.log_lines(TEAM, "p", "r0")
    assert (page.lines, page.has_more, page.line_count) == ((), False, 0)


async def test_lines_keep_their_level_and_odd_times(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, console=[ConsoleLine(line="\x1b[31mno\r50%", level="error", label="rank 1", timestamp="soon")])
    (line,) = (await client.log_lines(TEAM, "p", "r0")).lines
    assert (line.line, line.level, line.label, line.at, line.at_text) == (
        "\x1b[31mno\r50%",
        "error",
        "rank 1",
        None,
        "soon",
    )


async def test_an_old_server_gives_its_newest_lines_and_is_not_asked_twice() -> None:
    with Sandbox.start(legacy=True) as old:
        add_run(old, console=[f"line {n}" for n in range(10)])
        old.state.log_page_lines = 4
        async with client_on(old) as client:
            page = await client.log_lines(TEAM, "p", "r0")
            assert page.is_tail
            assert [line.number for line in page.lines] == [6, 7, 8, 9]
            assert (page.has_more, page.line_count) == (False, 10)
            assert client.spent.graphql_requests == 2
            await client.log_lines(TEAM, "p", "r0")
            streams = (await client.run_streams(TEAM, "p", [StreamAsk(run_id="r0", with_log=True)]))["r0"]
            assert isinstance(streams, RunStreams)
            assert streams.log == page
            assert client.spent.graphql_requests == 4


async def test_an_old_server_serves_streams_of_several_runs() -> None:
    with Sandbox.start(legacy=True) as old:
        for n in range(30):
            add_run(old, f"r{n}", console=["x"])
        async with client_on(old) as client:
            found = await client.run_streams(TEAM, "p", [StreamAsk(run_id=f"r{n}", with_log=True) for n in range(30)])
            assert all(isinstance(streams, RunStreams) for streams in found.values())
            assert client.spent.graphql_requests == 3  # one refusal, and never again


async def test_another_error_about_lines_is_an_error(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, console=["a"])
    sandbox.faults.add(Fault.graphql_error("out of order"))
    with pytest.raises(GraphQLError, match="out of order"):
        await client.log_lines(TEAM, "p", "r0")
    assert len(sandbox.requests) <= 5  # of which some see whether the form is to blame


@pytest.mark.parametrize("number", [None, -1, 1.5, "first"])
async def test_a_line_without_a_number_is_counted_and_the_others_come(
    client: Client, sandbox: Sandbox, number: object
) -> None:
    add_run(sandbox, console=["a", "b"])

    def lie(answer: Any) -> None:
        answer["data"]["project"]["run"]["logLines"]["edges"][0]["node"]["number"] = number

    sandbox.faults.add(Fault.lie(lie))
    page = await client.log_lines(TEAM, "p", "r0")
    assert ([line.line for line in page.lines], page.unreadable) == (["b"], 1)


async def test_streams_of_many_runs_are_asked_in_few_documents(client: Client, sandbox: Sandbox) -> None:
    for n in range(50):
        add_run(sandbox, f"r{n}", history=steps(0, n + 1), events=[{"n": n}], console=[str(n)])
    asks = [
        StreamAsk(run_id=f"r{n}", events_samples=100, with_log=n % 2 == 0, history_from=1, history_to=100)
        for n in range(50)
    ]
    found = await client.run_streams(TEAM, "p", [*asks, StreamAsk(run_id="gone", with_log=True)])
    assert client.spent.graphql_requests == 3
    assert found["gone"] is None
    for n in range(50):
        streams = found[f"r{n}"]
        assert isinstance(streams, RunStreams)
        assert streams.events == (f'{{"n":{n}}}',)
        assert [json.loads(row or "")["_step"] for row in streams.history or ()] == [n + 1]
        if n % 2:
            assert streams.log is None
        else:
            assert streams.log is not None
            assert [line.line for line in streams.log.lines] == [str(n)]


async def test_what_was_not_asked_is_none(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, history=steps(0), events=[{}], console=["x"])
    streams = (await client.run_streams(TEAM, "p", [StreamAsk(run_id="r0")]))["r0"]
    assert isinstance(streams, RunStreams)
    assert (streams.events, streams.log, streams.history) == (None, None, None)


async def test_lines_go_on_behind_a_cursor_in_streams_too(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, console=["a", "b", "c"])
    after = (await client.log_lines(TEAM, "p", "r0", first=2)).after
    ask = StreamAsk(run_id="r0", with_log=True, log_after=after)
    streams = (await client.run_streams(TEAM, "p", [ask]))["r0"]
    assert isinstance(streams, RunStreams)
    assert streams.log is not None
    assert [line.line for line in streams.log.lines] == ["c"]


async def test_streams_that_lie_or_fail_never_spoil_the_others(client: Client, sandbox: Sandbox) -> None:
    for n in range(6):
        add_run(sandbox, f"r{n}", events=[{"n": n}])

    def lie(answer: Any) -> None:
        for run in answer["data"]["project"].values():
            if run["name"] == "r2":
                run["events"] = 7

    sandbox.faults.add(Fault.lie(lie))
    sandbox.faults.add(Fault.graphql_error("too heavy", match=Match(variables=lambda given: "r4" in given.values())))
    found = await client.run_streams(TEAM, "p", [StreamAsk(run_id=f"r{n}", events_samples=9) for n in range(6)])
    assert {name for name, streams in found.items() if isinstance(streams, BadRun)} == {"r4"}
    lost = {name: set(streams.failed) for name, streams in found.items() if isinstance(streams, RunStreams)}
    assert lost == {"r0": set(), "r1": set(), "r2": {"system metrics"}, "r3": set(), "r5": set()}
