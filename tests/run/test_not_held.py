"""What a server could not be asked for is no empty list: the error says what it lacks, and the rest reads as ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.run.api import Api
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY
from tests.pull.contents import mirror_of
from tests.soaking import thin

Read = Callable[[Any], Any]
READS: dict[str, Read] = {
    "files": lambda run: list(run.files()),
    "console": lambda run: list(run.console_logs()),
    "logged": lambda run: list(run.logged_artifacts()),
    "used": lambda run: list(run.used_artifacts()),
    "history": lambda run: list(run.scan_history()),
    "system metrics": lambda run: run.history(stream="system", pandas=False),
}


def bare_run(sandbox: Sandbox, home: Home) -> Any:
    """A run that has nothing, pulled."""
    sandbox.state.add_run(ENTITY, "p", "r", config={"n": 1})
    mirror = mirror_of(sandbox, home, "p")
    assert mirror.pull().failures == 0
    return Api(home=home.root).run(f"{ENTITY}/p/r")


# What a server lacks, of which nothing is read then, and the words for that.
LACKS: tuple[tuple[str, str, str], ...] = (
    ("Run.files", "files", f"the files of {ENTITY}/p/r are not in this mirror: the server has no files"),
    ("FileEdge.node", "files", "has no files"),
    ("Run.logLines", "console", f"the console of {ENTITY}/p/r is not in this mirror: the server has no con"),
    ("LogLineConnection.edges", "console", "has no console lines"),
    ("Run.outputArtifacts", "logged", f"the artifacts that {ENTITY}/p/r logged are not in this mirror"),
    ("Run.inputArtifacts", "used", "the server has no used artifacts"),
    ("Run.events", "system metrics", "the server has no system metrics"),
    (
        "Run.history Run.parquetHistory Run.historyKeys Run.historyLineCount",
        "history",
        f"the history of {ENTITY}/p/r is not in this mirror: the server gives no rows of histories",
    ),
)
# Half of it at once, then the other half; one after the other, it is for `soak`.
HALVES = ((LACKS[0], LACKS[3], LACKS[5]), (LACKS[4], LACKS[6], LACKS[7]))


@pytest.mark.parametrize(
    "lacking", thin([*((half,) for half in HALVES), *(((lack,),) for lack in LACKS)], keep=[(half,) for half in HALVES])
)
def test_what_a_server_lacks_is_no_empty_answer(home: Home, lacking: tuple[tuple[str, str, str], ...]) -> None:
    with Sandbox.start(hide=[name for hidden, _, _ in lacking for name in hidden.split()]) as sandbox:
        run = bare_run(sandbox, home)
    lost = {what: words for _, what, words in lacking}
    for name, read in READS.items():
        if name in lost:
            with pytest.raises(NotMirrored, match=lost[name]):
                read(run)
        else:
            assert list(read(run)) == []


def test_what_is_queued_reads_where_the_server_lists_no_files(home: Home, tmp_path: Any) -> None:
    with Sandbox.start(hide=["Run.files"]) as sandbox:
        run = bare_run(sandbox, home)
    (tmp_path / "a.txt").write_text("a")
    assert run.upload_file(str(tmp_path / "a.txt"), root=str(tmp_path)).size == 1
    assert [file.name for file in run.files(names=["a.txt"])] == ["a.txt"]
    with pytest.raises(NotMirrored):
        list(run.files())


def test_a_run_that_was_made_here_has_nothing_whatever_the_server_lacks(home: Home) -> None:
    with Sandbox.start(hide=["Run.files", "Run.logLines"]) as sandbox:
        bare_run(sandbox, home)
    made = Api(home=home.root).create_run(run_id="made", project="p", entity=ENTITY)
    assert list(made.files()) == []


def test_sweeps_that_a_server_does_not_list_are_no_empty_list(home: Home) -> None:
    with Sandbox.start(hide=["Project.sweeps"]) as sandbox:
        bare_run(sandbox, home)
    with pytest.raises(NotMirrored, match="the server has no sweeps"):
        list(Api(home=home.root).project("p", entity=ENTITY).sweeps())
