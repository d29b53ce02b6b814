"""What a pull tells before, while and after it takes what runs contain."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mirror.cli.terminal.pass_line import time_left
from mirror.pull import ProjectReport
from mirror.records.addresses import ProjectKey
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli

ROWS = [{"_step": step, "loss": 1 / (step + 1)} for step in range(10)]
WRONG = "AAAAAAAAAAAAAAAAAAAAAA=="  # an MD5 that no file has


def fill(sandbox: Sandbox) -> None:
    for number in range(3):
        sandbox.state.add_run("team", "proj", f"r{number}", history=ROWS, files={"f": b"x" * 100, "g": b"y"})


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder; SQLite's own files of the moment left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_dry_run_tells_the_plan_and_leaves_no_trace(cli: Cli, sandbox: Sandbox) -> None:
    fill(sandbox)
    script = cli.at(sandbox).configure("team/proj")
    said = script("pull", "--dry-run", code=0)
    row = next(line.split() for line in said.out.splitlines() if line.startswith("team/proj"))
    assert row == ["team/proj", "3", "0", "0", "6", "303", "B", "3", "0", "0"]
    assert said.out.splitlines()[-1].endswith("this look took 3 requests and changed nothing")
    assert "9 downloads" in said.out
    assert [path.name for path in script.home.iterdir()] == ["mirror.toml"]

    assert "9 downloads, 6 files, 3 exports" in script("pull", code=0).err
    before = files(script.home)
    sandbox.state.add_run("team", "proj", "new", files={"f": b"new"})
    sandbox.state.log_rows("team", "proj", "r1", [{"_step": 10, "loss": 0.0}])
    sandbox.state.delete_run("team", "proj", "r2")
    (planned,) = script("pull", "--dry-run", "--json", "--accept-missing", code=0).json["projects"]
    assert (planned["new"], planned["written"], planned["gone"], planned["files"]) == (1, 2, 1, 1)
    assert script("sql", "SELECT count(*) AS n FROM runs", "--json", code=0).json == [{"n": 3}]
    after = files(script.home)
    assert after.keys() == before.keys()
    assert all(after[name] == body for name, body in before.items() if not name.endswith((".sqlite", "writer.json")))
    (pulled,) = script("pull", "--json", "--accept-missing", code=0).json["projects"]
    assert (pulled["new"], pulled["written"], pulled["gone"], pulled["files"]) == (1, 2, 1, 1)


def test_a_dry_run_of_a_server_that_is_away_fails_like_a_pull(cli: Cli, sandbox: Sandbox) -> None:
    script = cli.at(sandbox).configure("team/proj")
    with sandbox.outage():
        script.fails(6, "pull", "--dry-run")
    assert [path.name for path in script.home.iterdir()] == ["mirror.toml"]


def test_what_was_given_up_is_listed_and_tried_again_when_asked(cli: Cli, sandbox: Sandbox) -> None:
    fill(sandbox)
    script = cli.at(sandbox).configure("team/proj")
    for number in range(3):
        sandbox.state.add_file("team", "proj", f"r{number}", "g", b"y", md5=WRONG)
    script("pull", code=9)
    failed = script("status", "--json", code=9).json
    assert {failure["item"] for failure in failed["failures"]} == {"file g"}
    assert "tried again" in script("status", "r0", code=9).out
    # Ten passes with hours in between, in one stroke.
    give_up = """
import sys
from mirror.layout import find_home
from mirror.store.engine.lake import Lake
with Lake(find_home(sys.argv[1]), deployment=sys.argv[2]) as lake, lake.transaction() as engine:
    engine.execute("UPDATE lake.failures SET quarantined = true, attempts = 10")
"""
    subprocess.run([sys.executable, "-c", give_up, str(script.home), failed["deployment"]], check=True)
    for number in range(3):
        sandbox.state.add_file("team", "proj", f"r{number}", "g", b"y")
    shown = script("status", code=9).out
    assert "items given up after many attempts: 3" in shown
    assert "pull --retry-quarantined" in shown
    assert "given up" in script("status", "r0", code=9).out
    script("pull")
    assert script("status", "--json", code=9).json["quarantined"] == 3, "a plain pull leaves them alone"
    script("pull", "--retry-quarantined", code=0)
    assert script("status", "--json", code=0).json["failures"] == []
    assert script("status", "--json", code=0).json["files"] == 6


def test_status_counts_files_and_disk_by_kind(cli: Cli, sandbox: Sandbox) -> None:
    fill(sandbox)
    script = cli.at(sandbox).configure("team/proj")
    script("pull", code=0)
    said = script("status", "--json", code=0).json
    assert (said["files"], said["file_bytes"], said["quarantined"]) == (6, 303, 0)
    held = [path for path in (script.home / "objects").rglob("*") if path.is_file()]
    assert said["disk"]["objects"] == sum(path.stat().st_size for path in held)
    assert said["disk"]["lake"] == said["lake_bytes"] > 0
    shown = script("status", code=0).out
    assert "3 runs and 6 files (303 B) mirrored" in shown
    assert re.search(r"^disk +tables [\d.]+ kB, files and exports [\d.]+ k?B; [\d.]+ [MGT]B free$", shown, re.MULTILINE)


def test_status_of_a_run_says_in_words_what_is_held(cli: Cli, sandbox: Sandbox) -> None:
    fill(sandbox)
    sandbox.state.add_run("team", "proj", "live", state="running", history=ROWS, console=["a", "b"])
    script = cli.at(sandbox).configure("team/proj")
    script("pull", code=0)
    whole = script("status", "r0", code=0).out
    assert "history         complete: 10 rows of 10 logged up to step 9" in whole
    assert "files           2 held (101 B)" in whole
    live = script("status", "team/proj/live", code=0).out
    assert "NOT COMPLETE" in live
    assert "not complete: the run is still active" in live
    assert "10 rows not exported yet" in live
    assert "console         2 lines" in live
    assert "pull team/proj/nope" in script.fails(5, "status", "team/proj/nope").hint


@pytest.mark.parametrize("flag", ["--quiet", "--json"])
def test_quiet_forms_say_nothing_on_the_way(cli: Cli, sandbox: Sandbox, flag: str) -> None:
    fill(sandbox)
    said = cli.at(sandbox).configure("team/proj")("pull", flag, code=0)
    assert said.err == ""


@pytest.mark.parametrize(
    ("settled", "listed", "expected"),
    [(0, 100, ""), (100, 100, ""), (50, 200, "~0:30 left"), (1, 100, "~16:30 left")],
)
def test_the_time_left_is_told_once_it_can_be_known(settled: int, listed: int, expected: str) -> None:
    report = ProjectReport(key=ProjectKey("e", "p"), settled=settled, listed=listed)
    assert time_left(report, 10.0) == expected


def test_a_dry_run_says_what_it_does_not_count(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.state.add_run("team", "proj", "r", files={f"f{number}": b"x" for number in range(60)})
    sandbox.state.add_artifact("team", "proj", "set", files={"a": b"a"}, run="r")
    script = cli.at(sandbox).configure("team/proj")
    told = script("pull", "--dry-run", code=0).out
    assert "of 1 run with long lists of files or artifacts only the first page is counted" in told
    assert "of an artifact its manifest is counted; its files, where artifacts_include wants them, come on top" in told
    (planned,) = script("pull", "--dry-run", "--json", code=0).json["projects"]
    assert (planned["files"], planned["artifacts"], planned["cut_short"]) == (50, 1, 1)
