"""A server that is down, slow, foreign or wrong: one line, a hint, the right status, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mirror.sandbox import Fault, Sandbox
from tests.cli.conftest import Cli, broken
from tests.soaking import thin

QUICK = "[pull]\npage_size_start = 1\n"
CASES = [
    (Fault.html(200), 7, "answered a web page (HTML) instead of W&B's JSON"),
    (Fault.html(502), 6, "is not available now (HTTP 502)"),
    (Fault.status(500), 7, "reports (HTTP 500)"),
    (Fault.status(302), 7, "redirects instead of answering (HTTP 302)"),
    (Fault.status(403), 4, "does not allow this to the API key (HTTP 403)"),
    (Fault.status(404), 5, "does not find it (HTTP 404)"),
    (Fault.status(429, retry_after=9999), 6, "asks to wait 60 min"),
    (Fault.graphql_error("boom"), 7, "reports: boom"),
    (Fault.drop(), 6, "broke before the answer was whole"),
    (Fault.lie(lambda answer: []), 7, "instead of W&B's JSON"),
    (Fault.lie(lambda answer: {"data": {"project": 7}}), 7, "in a shape that W&B does not use"),
    (Fault.lie(lambda answer: {"data": {"project": {"runs": {"edges": "x"}}}}), 7, "without its runs"),
]


@pytest.fixture(scope="module")
def script(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A mirror that was pulled once, in a module whose server goes wrong from then on."""
    cli = Cli(folder=tmp_path_factory.mktemp("bad-server")).at(server).configure("team/proj", more=QUICK)
    cli("pull", code=0)
    return cli


@pytest.fixture(autouse=True)
def clear(server: Sandbox) -> Iterator[None]:
    """Every test leaves a good server behind."""
    yield
    server.faults.clear()


# One of each exit status, and one whose words are made of the answer; how each is understood: `tests/api`.
TOLD = (0, 1, 4, 5, 6, 10)


@pytest.mark.parametrize(("fault", "code", "message"), thin(CASES, keep=[CASES[number] for number in TOLD]))
def test_an_answer_that_is_wrong_is_one_line_a_hint_and_a_status(
    script: Cli, server: Sandbox, fault: Fault, code: int, message: str
) -> None:
    server.faults.add(fault)
    said = script.fails(code, "pull")
    assert message in said.error


def test_a_server_that_hangs_is_given_up(cli: Cli, server: Sandbox) -> None:
    cli = cli.at(server)
    cli.home.mkdir()
    cli.config.write_text(
        f'[server]\ntimeout_s = 0.3\nretry_attempts = 1\n{QUICK}[[source]]\npath = "team/proj"\n', encoding="utf-8"
    )
    server.faults.add(Fault.latency(3))
    assert "did not answer within 0.3 s" in cli.fails(6, "pull").error


def test_what_was_mirrored_is_still_there_after_all_of_it(script: Cli, server: Sandbox) -> None:
    with server.outage():
        assert "connection refused" in script.fails(6, "pull").error
        said = script("status", code=0).out
        assert "3 runs and 0 files (0 B) mirrored" in said
        assert "error: team/proj: cannot connect" in said
    script("pull", code=0)
    assert "error" not in script("status", code=0).out


@pytest.mark.parametrize("source", ["team/nope", "nobody/x", "nobody/*"])
def test_a_project_that_is_not_there_is_named(script: Cli, source: str) -> None:
    assert source in script.fails(5, "pull", "--source", source).error


def test_a_project_of_others_looks_as_if_it_were_not_there(script: Cli, server: Sandbox) -> None:
    server.state.add_project("secret", "plans", private=True)
    outsider = server.state.add_user("outsider")
    said = script.using(WANDB_API_KEY=outsider.api_key).fails(5, "pull", "--source", "secret/plans")
    assert "does not exist, or this API key may not read it" in said.error


def test_one_project_that_fails_does_not_stop_the_others(script: Cli) -> None:
    said = script("pull", "--source", "team/nope", "--source", "team/other", "--json", code=9)
    failed, good = sorted(said.json["projects"], key=lambda project: str(project["error"] is None))
    assert failed["error"]["kind"] == "NotFound"
    assert failed["error"]["exit_code"] == 5
    assert failed["error"]["message"] == "project team/nope does not exist, or this API key may not read it"
    assert failed["error"]["hint"]
    assert (good["project"], good["written"], good["error"]) == ("other", 1, None)
    assert said.error == f"error: team/nope: {failed['error']['message']}"


def test_a_run_that_the_server_cannot_show_is_left_behind_with_its_reason(cli: Cli, server: Sandbox) -> None:
    cli = cli.at(server).configure("team/proj")
    server.faults.add(broken("r2"))
    said = cli("pull", code=9)
    assert "left behind: team/proj/r2: " in said.err
    assert "this run is broken" in said.err
    status = cli("status", "--json", code=9).json
    assert status["runs"] == 2
    assert [failure["path"] for failure in status["failures"]] == ["team/proj/r2"]
    server.faults.clear()
    cli("pull", code=0)
    assert cli("status", "--json", code=0).json["failures"] == []


def test_a_listing_that_is_suddenly_empty_is_refused_until_agreed(cli: Cli, sandbox: Sandbox) -> None:
    for number in range(5):
        sandbox.state.add_run("team", "proj", f"r{number}")
    cli = cli.at(sandbox).configure("team/proj")
    cli("pull", code=0)
    for number in range(5):
        sandbox.state.delete_run("team", "proj", f"r{number}")
    said = cli.fails(10, "pull", "--reconcile")
    assert "--accept-missing" in said.hint
    assert cli("status", "--json", code=0).json["runs"] == 5
    cli("pull", "--accept-missing", code=0)
    assert cli("runs", "--json", "--columns", "run_id", code=0).json == []
    assert len(cli("runs", "--gone", "--json", "--columns", "run_id", code=0).json) == 5
