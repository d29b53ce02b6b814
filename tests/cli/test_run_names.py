"""A run is named as people name it: by what names just one run of the mirror; a slip is met with what may be meant."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mirror import Api, CommError, NotMirrored, RunNotFoundError
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Runs of two projects: one name comes twice, one id is the beginning of another. For reading."""
    with Sandbox.start() as sandbox:
        for project, run_id, name in (
            ("vision", "big50k", "happy-sun-1"),
            ("vision", "abc", "Baseline"),
            ("vision", "abcd", "calm-lake"),
            ("vision", "fold", "resnet/fold1"),
            ("speech", "xyz1", "happy-sun-1"),
            ("speech", "long", "endless" * 50),
        ):
            sandbox.state.add_run("acme", project, run_id, display_name=name, history=[{"_step": 0, "loss": 1.0}])
        cli = Cli(folder=tmp_path_factory.mktemp("named")).at(sandbox).configure("acme/vision", "acme/speech")
        cli("pull", code=0)
        yield cli


@pytest.fixture
def at(named: Cli, cli: Cli) -> Cli:
    """A mirror of them of a test's own."""
    shutil.copytree(named.home, cli.home)
    return replace(named, folder=cli.folder)


@pytest.mark.parametrize(
    ("typed", "run_id"),
    [
        ("big50k", "big50k"),
        ("big", "big50k"),
        ("vision/big50k", "big50k"),
        ("abc", "abc"),  # a whole id, though another begins with it
        ("abcd", "abcd"),
        ("baseline", "abc"),
        ("Base", "abc"),
        ("speech/happy-sun-1", "xyz1"),
        ("vision:happy", "big50k"),
        ("VISION/calm-lake", "abcd"),
        ("resnet/fold1", "fold"),
    ],
)
def test_what_names_one_run_is_enough(typed: str, run_id: str, named: Cli) -> None:
    assert named("show", typed, "--json", code=0).json["run_id"] == run_id


def test_every_command_that_takes_a_run_takes_such_a_name(at: Cli) -> None:
    assert at("history", "calm-lake", "--json", code=0).json == [{"_step": 0, "loss": 1.0}]
    assert at("status", "calm-lake", "--json", code=0).json["run_id"] == "abcd"
    assert "acme/vision: " in at("pull", "calm-lake", code=0).err
    assert "'calm'" in at.fails(5, "pull", "calm").error, "what is pulled is named whole"
    at("checkout", "calm-lake", "out", code=0)
    at("edit", "calm-lake", "--notes", "x", code=0)
    assert [entry["run_id"] for entry in at("outbox", "list", "--run", "calm-lake", "--json", code=0).json] == ["abcd"]


def test_an_edit_goes_to_no_run_whose_name_only_begins_so(at: Cli) -> None:
    assert "did you mean" not in at.fails(5, "edit", "vision/calm", "--notes", "x").hint
    assert at("outbox", "list", "--json", code=0).json == []


def test_the_id_of_a_run_of_the_one_source_is_that_run_whatever_else_begins_so(cli: Cli, sandbox: Sandbox) -> None:
    for run_id in ("exp-10", "exp-20"):
        sandbox.state.add_run("acme", "vision", run_id)
    at = cli.at(sandbox).configure("acme/vision")
    at("pull", code=0)
    Api(at.home).create_run(run_id="exp-2", project="vision", entity="acme")
    assert at("show", "exp-2", "--json", code=0).json["run_id"] == "exp-2"
    at("edit", "exp-2", "--notes", "x", code=0)
    assert {entry["run_id"] for entry in at("outbox", "list", "--json", code=0).json} == {"exp-2"}
    at.fails(5, "edit", "exp-1", "--notes", "x")


def test_several_that_fit_are_listed_with_what_tells_them_apart(named: Cli) -> None:
    said = named.fails(2, "show", "happy-sun-1")
    assert said.error == "error: 'happy-sun-1' fits 2 runs"
    assert "acme/vision/big50k" in said.hint
    assert "acme/speech/xyz1" in said.hint
    assert "finished" in said.hint


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("acme/vison/big50k", "acme/vision/big50k"),
        ("vision/big5k", "acme/vision/big50k"),
        ("calm-lak3", "acme/vision/abcd"),
        ("acme/speech/lon", f"acme/speech/long  {('endless' * 50)[:59]}…  finished"),
        ("acme/vision/calm-lake", "acme/vision/abcd"),  # a name where a path has the id
    ],
)
def test_a_slip_is_met_with_what_may_be_meant(typed: str, meant: str, named: Cli) -> None:
    assert meant in named.fails(5, "show", typed).hint


@pytest.mark.parametrize("typed", ["*", "calm*", "acme/vision/*", "vision/?"])
def test_a_pattern_names_no_run_and_is_met_with_the_command_that_lists_them(typed: str, named: Cli) -> None:
    assert "`wandb-mirror runs` lists them" in named.fails(5, "show", typed).hint


@pytest.mark.parametrize("typed", ["", "  ", "/"])
def test_a_variable_that_is_not_set_names_no_run(typed: str, named: Cli) -> None:
    assert named.fails(3, "show", typed).error == "error: no run is named: the name is empty"


def test_what_is_like_nothing_is_met_with_no_guess(named: Cli) -> None:
    assert "did you mean" not in named.fails(5, "show", "entirely-different").hint


@pytest.fixture
def api(named: Cli) -> Api:
    """The runs of two projects, for Python."""
    return Api(named.home)


@pytest.mark.parametrize(
    ("typed", "run_id"),
    [("big50k", "big50k"), ("Baseline", "abc"), ("speech/happy-sun-1", "xyz1"), ("vision:calm-lake", "abcd")],
)
def test_in_python_a_name_that_just_one_run_has_is_enough(typed: str, run_id: str, api: Api) -> None:
    assert api.run(typed).id == run_id


def test_in_python_the_sdks_meaning_of_a_path_comes_first(cli: Cli, sandbox: Sandbox) -> None:
    for project, run_id, name in (
        ("vision", "abcd", "calm-lake"), ("vision", "big50k", "other"), ("speech", "calm-lake", "another")
    ):  # fmt: skip
        sandbox.state.add_run("acme", project, run_id, display_name=name)
    at = cli.at(sandbox).configure("acme/vision", "acme/speech")
    at("pull", code=0)
    chosen = Api(at.home, overrides={"entity": "acme", "project": "speech"})
    assert chosen.run("calm-lake").name == "another"
    with pytest.raises(RunNotFoundError):
        chosen.run("big50k")  # of a project that was not chosen


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("acme/vison/big50k", "did you mean acme/vision/big50k (happy-sun-1)?"),
        ("acme/speech/lon", f"did you mean acme/speech/long ({('endless' * 50)[:59]}…)?"),
        ("acme/vison/nothing-like-it", "did you mean acme/vision/…?"),
        ("acme/vision/calm-lake", "did you mean acme/vision/abcd (calm-lake)?"),
        ("happy-sun-1", "fits 2 runs: acme/"),
        ("calm", "(missing project)"),  # a beginning means another run tomorrow
    ],
)
def test_in_python_a_slip_is_met_with_what_may_be_meant(typed: str, said: str, api: Api) -> None:
    with pytest.raises(CommError) as caught:
        api.run(typed)
    assert said in str(caught.value)


def test_in_python_a_project_that_is_not_mirrored_is_met_with_what_may_be_meant(api: Api, named: Cli) -> None:
    with pytest.raises(NotMirrored, match="did you mean acme/vision"):
        len(api.runs("acme/vison"))
    assert "acme/vision/…" in named.fails(5, "show", "acme/vison/nothing-like-it").hint
