"""What runs contain: along with their page, for several runs at once, and page by page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.api.client import Client
from mirror.api.rows.contents import to_contents_or_bad
from mirror.api.rows.lenient import sound_json
from mirror.api.rows.listed import ListedContents
from mirror.api.rows.pages import BadRun
from mirror.errors import AuthError, Forbidden, NotFound, ServerError
from mirror.sandbox import Fault, Match, Sandbox
from tests.api.clients import TEAM, client_on, contents_of, page_of

pytestmark = pytest.mark.anyio

HOSTILE = [
    "../up.txt",
    "/etc/passwd",
    "C:\\windows\\x",
    "a\\b",
    "con",
    " blank ",
    "x" * 300,
    "Case.txt",
    "case.txt",
    "🦉/\u202e.png",
    "a%2F..%2Fb?c#d",
    "new\nline",
]


def add_run(sandbox: Sandbox, run: str = "r0", **given: Any) -> None:
    sandbox.state.add_run(TEAM, "p", run, **given)


def steps(count: int) -> list[dict[str, Any]]:
    return [{"_step": step, "loss": step / 2} for step in range(count)]


async def test_a_page_with_contents_costs_one_request(client: Client, sandbox: Sandbox) -> None:
    for number in range(5):
        add_run(
            sandbox,
            f"r{number}",
            history=steps(9),
            parts=3,
            files={"a.txt": b"hello", "b.bin": b""},
            console=["one", "two"],
            events=[{"_timestamp": 1}],
        )
    made = sandbox.state.add_artifact(TEAM, "p", "model", files={"w": b"1"}, run="r3", aliases=["best"])
    page = await page_of(client, with_contents=True, with_counts=True)
    assert list(page.contents) == [run.run_id for run in page.runs]
    contents = page.contents["r3"]
    assert isinstance(contents, ListedContents)
    assert [(file.name, file.size, file.md5) for file in contents.files] == [
        ("a.txt", 5, "XUFAKrxLKna5cZ2REBfFkg=="),
        ("b.bin", 0, "1B2M2Y8AsgTpgAmY7PhCfg=="),
    ]
    assert (contents.file_count, contents.events_line_count, contents.log_line_count) == (2, 1, 2)
    assert len(contents.export_urls) == 3
    assert (contents.live_steps, contents.has_live_rows, contents.has_more_files) == ((), False, False)
    (ref,) = contents.logged.artifacts
    assert (ref.artifact_id, ref.name, ref.type) == (made.id, "model:v0", "dataset")
    assert set(ref.aliases) == {"best", "latest"}
    assert contents.used.artifacts == ()
    assert client.spent.graphql_requests == 1


async def test_what_is_not_asked_costs_nothing(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, files={"a": b""})
    assert (await page_of(client)).contents == {}
    (request,) = sandbox.requests
    assert "parquetUrls" not in (request.query or "")


async def test_contents_are_the_same_whichever_way_they_were_fetched(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, files={"a": b"1"}, console=["x"])
    listed = (await page_of(client, with_contents=True)).contents["r0"]
    fetched = await contents_of(client)
    assert isinstance(listed, ListedContents)
    assert [file.url.part_key for file in listed.files] == [file.url.part_key for file in fetched.files]
    no_urls: dict[str, Any] = {"files": (), "export_urls": ()}
    assert msgspec.structs.replace(listed, **no_urls) == msgspec.structs.replace(fetched, **no_urls)


async def test_live_steps_come_as_floats_and_become_whole(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, state="running", history=steps(8), exported=5)
    contents = await contents_of(client)
    assert contents.live_steps == (5, 6, 7)
    assert contents.has_live_rows


@pytest.mark.parametrize(
    ("live", "found"),
    [
        (
            [{"_step": 1.5}, {"_step": None}, {}, {"_step": "NaN"}, {"_step": True}, {"_step": 1e300}, {"_step": 3}],
            (3,),
        ),
        ([{}], ()),
    ],
)
async def test_live_rows_without_a_whole_step_are_tolerated(
    client: Client, sandbox: Sandbox, live: list[Any], found: tuple[int, ...]
) -> None:
    add_run(sandbox)
    sandbox.faults.add(
        Fault.lie(lambda answer: answer["data"]["project"]["r0"]["parquetHistory"].update(liveData=live))
    )
    contents = await contents_of(client)
    assert contents.live_steps == found
    assert contents.has_live_rows


async def test_null_live_data_is_none(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    sandbox.faults.add(Fault.lie(lambda answer: answer["data"]["project"]["r0"].update(parquetHistory=None)))
    contents = await contents_of(client)
    assert (contents.export_urls, contents.live_steps, contents.has_live_rows) == ((), (), False)


@pytest.mark.parametrize("keys", ["{}", '{"lastStep": 3, "keys": {}}', {"lastStep": 3}])
async def test_history_keys_may_be_text_beside_contents(client: Client, sandbox: Sandbox, keys: object) -> None:
    add_run(sandbox)

    def lie(answer: Any) -> None:
        answer["data"]["project"]["runs"]["edges"][0]["node"]["historyKeys"] = keys

    sandbox.faults.add(Fault.lie(lie))
    page = await page_of(client, with_contents=True)
    assert page.runs[0].history_keys_text
    assert isinstance(page.contents["r0"], ListedContents)


async def test_files_of_hostile_names_come_through_unchanged(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, files=dict.fromkeys(HOSTILE, b"x"))
    contents = await contents_of(client)
    assert {file.name for file in contents.files} == set(HOSTILE)
    named = await client.file_urls(TEAM, "p", "r0", HOSTILE)
    assert {file.name for file in named.files} == set(HOSTILE)


async def test_a_missing_md5_is_none_and_a_wrong_one_is_kept(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    for name, md5 in {"none": None, "empty": "", "wrong": "zzz"}.items():
        sandbox.state.add_file(TEAM, "p", "r0", name, b"x", md5=md5)
    found = {file.name: file.md5 for file in (await contents_of(client)).files}
    assert found == {"none": None, "empty": None, "wrong": "zzz"}


async def test_a_reference_file_is_listed_with_its_own_address(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    sandbox.state.add_file(TEAM, "p", "r0", "ref", b"", reference="s3://bucket/key?versionId=1")
    (file,) = (await contents_of(client)).files
    assert file.url.reveal() == "s3://bucket/key?versionId=1"
    assert not file.url.is_fetchable


def _file(contents: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = contents["files"]["edges"][0]["node"]
    return node


# Each lie, and the part of the contents that is lost by it; None: nothing but the lying value.
LIES: list[tuple[Callable[[dict[str, Any]], object], str | None]] = [
    (lambda run: run.update(fileCount="many"), None),
    (lambda run: run.update(files=[]), "files"),
    (lambda run: _file(run).update(name=7), None),
    (lambda run: _file(run).update(name=None), None),
    (lambda run: _file(run).update(sizeBytes=-1), None),
    (lambda run: _file(run).update(sizeBytes="big"), None),
    (lambda run: _file(run).update(directUrl=[]), None),
    (lambda run: run["files"]["edges"].append(None), None),
    (lambda run: run["files"]["pageInfo"].update(hasNextPage=True) or run["files"].update(edges=[]), "files"),
    (lambda run: run["parquetHistory"].update(parquetUrls="x"), "history"),
    (lambda run: run["parquetHistory"].update(parquetUrls=[None]), None),
    (lambda run: run["parquetHistory"].update(liveData={"_step": 1}), "history"),
    (lambda run: run.update(loggedArtifacts={"edges": 1}), "artifacts"),
    (lambda run: run.update(logLineCount=1.5), None),
]


@pytest.mark.parametrize(("lie", "lost"), LIES)
async def test_contents_that_lie_cost_one_part_of_one_run_at_the_most(
    client: Client, sandbox: Sandbox, lie: Callable[[dict[str, Any]], object], lost: str | None
) -> None:
    for number in range(3):
        files = {"a": b"1", "b": b"2"}
        add_run(sandbox, f"r{number}", files=files, created_at=f"2024-01-01T00:00:0{number}")
    page_lie = Fault.lie(lambda answer: lie(answer["data"]["project"]["runs"]["edges"][1]["node"]) and None)
    sandbox.faults.add(page_lie)
    page = await page_of(client, with_contents=True)
    assert len(page.runs) == 3
    assert [_lost(page.contents[f"r{number}"]) for number in range(3)] == [set(), {lost} - {None}, set()]
    sandbox.faults.clear()
    sandbox.faults.add(Fault.lie(lambda answer: lie(answer["data"]["project"]["r0"]) and None))
    again = await client.run_contents(TEAM, "p", ["r0", "r1"])
    assert (_lost(again["r0"]), _lost(again["r1"])) == ({lost} - {None}, set())


def _lost(contents: ListedContents | BadRun | None) -> set[str]:
    assert isinstance(contents, ListedContents)
    assert all(reason and "\n" not in reason for reason in contents.failed.values())
    return set(contents.failed)


async def test_a_file_that_cannot_be_read_is_counted_and_the_others_are_listed(
    client: Client, sandbox: Sandbox
) -> None:
    add_run(sandbox, files={"a": b"1", "b": b"22"})
    sandbox.faults.add(Fault.lie(lambda answer: _file(answer["data"]["project"]["r0"]).update(name=7)))
    contents = await contents_of(client)
    assert [file.name for file in contents.files] == ["b"]
    assert contents.unreadable_files == 1


async def test_a_size_may_come_as_text_or_not_at_all(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, files={"a": b"1", "b": b"1"})

    def lie(answer: Any) -> None:
        edges = answer["data"]["project"]["r0"]["files"]["edges"]
        edges[0]["node"]["sizeBytes"] = "9007199254740993"
        edges[1]["node"]["sizeBytes"] = None

    sandbox.faults.add(Fault.lie(lie))
    assert [file.size for file in (await contents_of(client)).files] == [9007199254740993, None]


async def test_many_runs_are_asked_in_few_documents(client: Client, sandbox: Sandbox) -> None:
    for number in range(120):
        add_run(sandbox, f"r{number}")
    names = [f"r{number}" for number in range(120)]
    found = await client.run_contents(TEAM, "p", [*names, "gone", *names])
    assert client.spent.graphql_requests == 3
    assert found["gone"] is None
    assert all(isinstance(found[name], ListedContents) for name in names)
    assert await client.run_contents(TEAM, "p", []) == {}
    assert await client.run_contents(TEAM, "nowhere", ["r0"]) == {"r0": None}


async def test_a_run_that_fails_is_found_and_the_others_are_served(client: Client, sandbox: Sandbox) -> None:
    for number in range(9):
        add_run(sandbox, f"r{number}")
    add_run(sandbox, 'quo"te}')
    sandbox.faults.add(
        Fault.graphql_error("internal error", match=Match(variables=lambda given: "r4" in given.values()))
    )
    names = [*(f"r{number}" for number in range(9)), 'quo"te}']
    found = await client.run_contents(TEAM, "p", names)
    bad = found["r4"]
    assert isinstance(bad, BadRun)
    assert "internal error" in bad.reason
    assert [name for name in names if isinstance(found[name], ListedContents)] == [
        name for name in names if name != "r4"
    ]


async def test_an_error_that_is_about_no_run_is_an_error(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    sandbox.faults.add(Fault.status(404))
    with pytest.raises(NotFound):
        await client.run_contents(TEAM, "p", ["r0", "r1"])
    assert len(sandbox.requests) == 2  # one of them the smallest question there is


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_run_that_is_refused_is_found_and_the_others_are_served(
    client: Client, sandbox: Sandbox, status: int
) -> None:
    names = [f"r{number}" for number in range(9)]
    for name in names:
        add_run(sandbox, name)
    sandbox.faults.add(Fault.status(status, match=Match(variables=lambda given: "r4" in given.values())))
    found = await client.run_contents(TEAM, "p", names)
    assert isinstance(found["r4"], BadRun)
    assert [name for name in names if isinstance(found[name], ListedContents)] == [n for n in names if n != "r4"]
    assert isinstance((await client.run_contents(TEAM, "p", ["r4"]))["r4"], BadRun)


async def test_what_is_refused_whatever_the_run_is_an_error_soon(client: Client, sandbox: Sandbox) -> None:
    for number in range(50):
        add_run(sandbox, f"r{number}")
    sandbox.faults.add(Fault.status(403, match=Match(operation="MirrorRunContents")))
    with pytest.raises(Forbidden):
        await client.run_contents(TEAM, "p", [f"r{number}" for number in range(50)])
    assert len(sandbox.requests) < 100


async def test_a_key_that_is_refused_from_now_on_is_an_error_soon(client: Client, sandbox: Sandbox) -> None:
    names = [f"r{number}" for number in range(200)]
    for name in names:
        add_run(sandbox, name)
    await client.run_contents(TEAM, "p", names[:1])
    before = len(sandbox.requests)
    sandbox.faults.add(Fault.status(401, match=Match(variables=lambda given: names[-1] in given.values())))
    sandbox.faults.add(Fault.status(401, match=Match(operation="MirrorPing")))
    with pytest.raises(AuthError):
        await client.run_contents(TEAM, "p", names)
    assert len(sandbox.requests) < before + 8


@pytest.mark.parametrize(
    "path", [None, ["run"], ["project"], ["project", "r1"], ["project", "other", "files"]], ids=str
)
async def test_an_error_that_names_nothing_lacking_costs_no_run_and_a_null_beside_it_is_named(
    client: Client, sandbox: Sandbox, path: list[str] | None
) -> None:
    for name in ("r0", "r1", "r2"):
        add_run(sandbox, name, files={"a.txt": b"a"})

    def reports(answer: Any) -> None:
        answer["errors"] = [{"message": "some shard is slow", **({} if path is None else {"path": path})}]
        answer["data"]["project"]["r2"]["files"] = None

    sandbox.faults.add(Fault.lie(reports, match=Match(operation="MirrorRunContents")))
    found = await client.run_contents(TEAM, "p", ["r0", "r1", "r2"])
    assert [isinstance(run, ListedContents) and run.failed for run in found.values()] == [
        {},
        {},
        {"files": "some shard is slow"},
    ]


async def test_what_is_answered_of_another_run_is_held_under_none(client: Client, sandbox: Sandbox) -> None:
    for name in ("r0", "r1", "r2"):
        add_run(sandbox, name)

    def swapped(answer: Any) -> None:
        runs = answer["data"]["project"]
        runs["r0"], runs["r1"] = runs["r1"], runs["r0"]

    sandbox.faults.add(Fault.lie(swapped, match=Match(operation="MirrorRunContents")))
    found = await client.run_contents(TEAM, "p", ["r0", "r1", "r2"])
    assert [isinstance(run, BadRun) for run in found.values()] == [True, True, False]


async def test_an_old_server_tells_what_runs_contain() -> None:
    with Sandbox.start(legacy=True) as old:
        add_run(old, files={"a": b"1"}, history=steps(3))
        old.state.add_artifact(TEAM, "p", "data", files={"w": b"1"}, run="r0")
        async with client_on(old) as client:
            contents = (await page_of(client, with_contents=True)).contents["r0"]
            assert isinstance(contents, ListedContents)
            assert len(contents.logged.artifacts) == len(contents.files) == len(contents.export_urls) == 1
            assert client.spent.graphql_requests == 2  # one refusal, and never again


async def test_files_come_page_by_page_from_where_the_contents_ended(client: Client, sandbox: Sandbox) -> None:
    names = [f"{number:03d}.txt" for number in range(130)]
    add_run(sandbox, files=dict.fromkeys(names, b"x"))
    contents = await contents_of(client)
    found = [file.name for file in contents.files]
    assert (len(found), contents.has_more_files, contents.file_count) == (50, True, 130)
    after, more = contents.files_after, True
    while more:
        page = await client.files_page(TEAM, "p", "r0", after, first=40)
        found += [file.name for file in page.files]
        after, more = page.after, page.has_more
    assert found == names


async def test_files_by_name_are_exactly_those(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, files={f"f{number}": b"x" for number in range(300)})
    wanted = [f"f{number}" for number in range(250)]
    found = await client.file_urls(TEAM, "p", "r0", [*wanted, "gone"])
    assert sorted(file.name for file in found.files) == sorted(wanted)
    assert (await client.file_urls(TEAM, "p", "r0", [])).files == ()
    with pytest.raises(NotFound):
        await client.file_urls(TEAM, "p", "nope", ["f0"])
    with pytest.raises(NotFound):
        await client.files_page(TEAM, "p", "nope")


async def test_a_list_of_files_that_goes_nowhere_never_loops_for_ever(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox, files={"a": b"", "b": b"", "c": b""})
    begun = await client.files_page(TEAM, "p", "r0", first=1)

    def lie(answer: Any) -> None:
        files = answer["data"]["project"]["run"]["files"]
        files["pageInfo"]["hasNextPage"] = True
        for edge in files["edges"]:
            edge["cursor"] = begun.after

    sandbox.faults.add(Fault.lie(lie))
    with pytest.raises(ServerError, match="no place to continue from"):
        await client.files_page(TEAM, "p", "r0", begun.after)


async def test_a_server_without_exports_is_not_asked_for_them_twice_and_tells_the_rest(
    client: Client, sandbox: Sandbox
) -> None:
    add_run(sandbox, files={"a": b"1"})
    refused = 'Cannot query field "parquetHistory" on type "Run".'
    sandbox.faults.add(Fault.graphql_error(refused, status=400, match=Match(query="parquetHistory")))
    page = await page_of(client, with_contents=True)
    contents = page.contents["r0"]
    assert isinstance(contents, ListedContents)
    assert ([file.name for file in contents.files], contents.export_urls) == (["a"], ())
    assert len(sandbox.requests) == 2
    await client.run_contents(TEAM, "p", [f"r{number}" for number in range(50)])
    assert len(sandbox.requests) == 3
    assert [lack.capability for lack in client.lacks] == ["history exports"]


async def test_a_document_that_is_too_much_is_asked_in_halves_soon(client: Client, sandbox: Sandbox) -> None:
    for number in range(8):
        add_run(sandbox, f"r{number}")
    too_many = Match(operation="MirrorRunContents", variables=lambda given: "r4" in given)
    sandbox.faults.add(Fault.status(502, match=too_many))
    found = await client.run_contents(TEAM, "p", [f"r{number}" for number in range(8)])
    assert all(isinstance(contents, ListedContents) for contents in found.values())
    assert client.spent.graphql_requests == 4


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["edges", "node", "pageInfo"]), inner),
    max_leaves=6,
)
FIELDS = ["id", "name", "files", "parquetHistory", "loggedArtifacts", "usedArtifacts", "fileCount", "logLineCount"]


@given(st.dictionaries(st.sampled_from(FIELDS), values, max_size=8))
def test_no_answer_whatever_is_more_than_a_bad_run(node: dict[str, Any]) -> None:
    sound = {"id": "s", "name": "r", "files": None, "parquetHistory": None} | dict.fromkeys(FIELDS[4:6]) | node
    result = to_contents_or_bad(sound_json(json.dumps(sound).encode()), files_first=50, artifacts_first=20)
    assert isinstance(result, ListedContents | BadRun)
