"""A run of any id can be named, at the command line and in Python: what a path cannot hold is percent-encoded."""

from __future__ import annotations

import shlex
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from mirror import Api
from mirror.cli.run_paths import parse_run_path
from mirror.records.addresses import RunPath
from mirror.sandbox import Sandbox
from mirror.texts.typed_paths import id_of_typed, in_shell, typed_of_id
from tests.cli.conftest import Cli

ODD = {" a ": "%20a%20", "x/y": "x%2Fy", "50%2F": "50%252F", "100%": "100%", "é:1": "é:1"}


@given(st.text(min_size=1))
def test_every_id_has_a_form_that_names_it(run_id: str) -> None:
    assert id_of_typed(typed_of_id(run_id)) == run_id
    assert "/" not in typed_of_id(run_id)
    assert typed_of_id(run_id).strip() == typed_of_id(run_id)


@given(*(st.text(min_size=1) for _ in range(3)))
def test_a_command_that_is_pasted_names_the_run(entity: str, project: str, run_id: str) -> None:
    (word,) = shlex.split(in_shell(entity, project, run_id))
    path, _, typed = word.rpartition("/")
    assert (path, id_of_typed(typed)) == (f"{entity}/{project}", run_id)


def test_a_run_of_any_id_is_pulled_shown_and_edited(cli: Cli, sandbox: Sandbox) -> None:
    for number, run_id in enumerate(ODD):
        sandbox.state.add_run("team", "proj", run_id, config={"n": number}, history=[{"_step": 0, "x": number}])
    at = cli.at(sandbox).configure("team/proj")
    at("pull", code=0)
    api = Api(at.home)
    for number, (run_id, typed) in enumerate(ODD.items()):
        assert typed_of_id(run_id) == typed
        path = f"team/proj/{typed}"
        assert at("show", path, "--json", code=0).json["run_id"] == run_id
        address = f"{sandbox.url}/team/proj/runs/{quote(run_id, safe='')}/overview"
        assert parse_run_path(address) == RunPath("team", "proj", run_id)
        assert at("history", path, "--json", code=0).json == [{"_step": 0, "x": number}]
        run = api.run(path)
        assert (run.id, run.config) == (run_id, {"n": number})
        at("edit", path, "--add-tag", "seen", code=0)
    at("replay", code=0)
    assert all(sandbox.state.run("team", "proj", run_id).tags == ["seen"] for run_id in ODD)


def test_a_run_that_is_not_held_is_named_as_it_is_to_be_typed(cli: Cli, sandbox: Sandbox) -> None:
    at = cli.at(sandbox).configure("team/proj")
    sandbox.state.add_run("team", "proj", "r0")
    at("pull", code=0)
    assert "`wandb-mirror pull team/proj/x%2Fy`" in at.fails(5, "show", "team/proj/x%2Fy").hint
    sandbox.state.add_run("team", "proj", "x/y")
    at("pull", "team/proj/x%2Fy", code=0)
    at("show", "team/proj/x%2Fy", code=0)
