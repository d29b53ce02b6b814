"""`wandb-mirror doctor`: it finds what would stop a pull, and says what to do."""

from __future__ import annotations

from typing import Any

from mirror.sandbox import Fault, Sandbox
from tests.cli.conftest import Cli, Outcome


def by_name(said: Outcome) -> dict[str, Any]:
    return {check["name"]: check for check in said.json}


def test_a_good_setting_is_found_good_and_left_as_it_is(cli: Cli, server: Sandbox) -> None:
    cli = cli.at(server).configure("team/proj", "team/*")
    said = cli("doctor", code=0)
    marks = [line.split()[0] for line in said.out.splitlines()]
    assert set(marks) == {"ok"}, said.out
    assert "knows sandy" in said.out
    assert "team/proj: 3 runs" in said.out
    assert "team/*: team has 2 projects" in said.out
    assert "of history by step" in said.out
    assert "it takes edits, states, stops" in said.out
    assert [path.name for path in cli.home.iterdir()] == ["mirror.toml"]


def test_what_a_server_lacks_is_said_in_words_of_a_person_and_is_no_failure(cli: Cli) -> None:
    with Sandbox.start(age="2021", introspection=False) as old:
        old.state.add_run("team", "proj", "r", history=[{"_step": 0, "loss": 1.0}], console=["a"])
        said = cli.at(old).configure("team/proj")("doctor", code=0)
    assert "warn  lacks           this server has no history exports: histories come row by row" in said.out
    assert "it does not describe itself; learnt from its refusals" in said.out
    assert "1 row of history by step, 1 console line" in said.out
    assert "FAIL" not in said.out


def test_a_field_that_the_server_cannot_serve_is_found(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.state.add_run("team", "proj", "broken")
    sandbox.faults.add(Fault.field_error("Run.summaryMetrics", run="broken", message="the summary is lost"))
    said = cli.at(sandbox).configure("team/proj")("doctor", code=7)
    assert "FAIL  listing         team/proj/broken: summary_text: the summary is lost" in said.out


def test_a_wrong_key_is_found(cli: Cli, server: Sandbox) -> None:
    cli = cli.configure("team/proj").at(server).using(WANDB_API_KEY="0" * 40)
    checks = by_name(cli("doctor", "--json", code=4))
    assert checks["server"]["outcome"] == "failed"
    assert checks["server"]["exit_code"] == 4
    assert "WANDB_API_KEY" in checks["server"]["hint"]


def test_no_key_and_no_configuration_are_found_together(cli: Cli, server: Sandbox) -> None:
    checks = by_name(cli.at(server).using(WANDB_API_KEY=None)("doctor", "--json", code=4))
    outcomes = {name: check["outcome"] for name, check in checks.items()}
    assert outcomes["config"] == "warning"
    assert "wandb-mirror init" in checks["config"]["hint"]
    assert (outcomes["key"], outcomes["server"]) == ("failed", "skipped")


def test_a_server_that_is_down_is_found(cli: Cli) -> None:
    with Sandbox.start() as gone:
        cli = cli.at(gone).configure("team/proj")
    said = cli("doctor", code=6)
    assert "FAIL  server" in said.out
    assert "connection refused" in said.out


def test_a_clock_that_is_wrong_is_a_warning(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.clock.advance(3600)
    check = by_name(cli.at(sandbox)("doctor", "--json", code=0))["clock"]
    assert check["outcome"] == "warning"
    assert "s behind the server" in check["detail"]


def test_a_project_that_cannot_be_read_is_found_and_the_others_are_still_checked(cli: Cli, server: Sandbox) -> None:
    said = cli.at(server).configure("team/nope", "nobody/*", "team/proj")("doctor", code=5)
    assert "FAIL  source          team/nope does not exist, or this key may not read it" in said.out
    assert "FAIL  source          no project of nobody can be read" in said.out
    assert "ok    source          team/proj: 3 runs" in said.out


def test_a_broken_configuration_is_found(cli: Cli, server: Sandbox) -> None:
    said = cli.at(server).configure(more="[pull]\nover = 1\n")("doctor", code=3)
    assert "FAIL  config" in said.out
    assert "pull.over is not a known setting" in said.out


def test_a_home_of_another_server_is_found(filled: Cli, sandbox: Sandbox) -> None:
    said = filled.at(sandbox)("doctor", code=10)
    assert "FAIL  lake" in said.out
    assert "but the configured server is" in said.out


def test_nonsense_for_an_address_is_found(cli: Cli) -> None:
    said = cli.using(WANDB_BASE_URL="nonsense", WANDB_API_KEY="0" * 40)("doctor", code=3)
    assert "must start with http:// or https://" in said.out
