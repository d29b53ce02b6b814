"""What a pull left behind, or did not come to, is one judgement: the pull's and that of `status`."""

from __future__ import annotations

import signal
import subprocess

from mirror.records.passes import SOON_ATTEMPTS
from mirror.sandbox import Fault, Match, Sandbox
from tests.cli.conftest import Cli
from tests.cli.test_two_processes import PATIENCE_S, slow, wait_until

__all__ = ["slow"]


def findings(cli: Cli, code: int) -> list[str]:
    """Names of what `status` finds."""
    said = cli("status", "--json", code=code).json
    assert said["healthy"] == (code == 0)
    return [finding["name"] for finding in said["findings"]]


def test_what_was_left_behind_is_said_by_each_pull_and_by_status_until_it_is_over(cli: Cli, sandbox: Sandbox) -> None:
    for number in range(3):
        sandbox.state.add_run("team", "proj", f"r{number}", state="finished", files={"a.txt": b"a"})
    at = cli.at(sandbox).configure("team/proj")
    sandbox.faults.add(Fault.status(500, match=Match(kind="storage")))
    at("pull", code=9)
    assert findings(at, 9) == ["left_behind"]
    said = at("status", code=9).out
    assert "left_behind: items that a pull left behind: 3\n    `wandb-mirror pull` tries again" in said
    for _ in range(SOON_ATTEMPTS):
        at("pull", code=9)
    sandbox.faults.clear()
    report = at("pull", "--json", code=9).json
    assert (report["projects"][0]["failed"], report["projects"][0]["left_behind"]) == ([], 3), "none is due yet"
    assert "left behind earlier: 3 items of team/proj" in at("pull", code=9).err
    at("pull", "team/proj/r0", code=0)
    at("pull", "--retry-quarantined", code=0)
    assert findings(at, 0) == []


def test_a_first_pull_that_was_interrupted_waits_for_another(slow: Cli, sandbox: Sandbox) -> None:
    with slow.start("pull", stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: sandbox.requests.count("MirrorRuns") >= 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
    assert findings(slow, 9) == ["pull_unfinished"]
    sandbox.faults.clear()
    slow("pull", code=0)
    assert findings(slow, 0) == []


def test_a_first_pull_that_was_stopped_before_its_first_commit_waits_as_well(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.state.add_run("team", "proj", "r0", state="finished", files={"a.txt": b"a"})
    sandbox.faults.add(Fault.latency(30.0, match=Match(kind="graphql")))
    at = cli.at(sandbox).configure("team/*")
    with at.start("pull", stderr=subprocess.DEVNULL) as process:
        wait_until((at.home / "pull.begun").exists)
        process.kill()
        process.wait(PATIENCE_S)
    sandbox.faults.clear()
    assert findings(at, 9) == ["pull_unfinished"]
    at("pull", "--dry-run", code=0)
    at("pull", "team/proj/r0", code=0)
    at("pull", "--source", "team/proj", code=0)
    assert findings(at, 9) == ["pull_unfinished"], "one run, or one project, is not all"
    at("pull", code=0)
    assert findings(at, 0) == []
