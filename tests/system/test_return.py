"""What a server is asked that is back after an outage: first what waited to be delivered, then pulls; no stampede."""

from __future__ import annotations

from pathlib import Path

from mirror.sandbox import Fault, Match, Sandbox
from tests.system.service import serving, wait_for

PROJECTS = [f"p{number}" for number in range(5)]
RUNS = 3  # of each project
PROBES = {"MirrorViewer", "MirrorFeatures", "MirrorSelf"}
OFTEN = "poll_minutes = 0.05\npoll_active_minutes = 0.05\npoll_quiet_minutes = 0.05\n"


def test_when_the_server_is_back_the_replay_goes_first_then_pulls_without_a_stampede(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    for project in PROJECTS:
        for number in range(RUNS):
            sandbox.state.add_run("team", project, f"r{number}", state="finished")
    with serving(tmp_path, sandbox, *[f"team/{project}" for project in PROJECTS], more=OFTEN) as service:
        wait_for("a pull of each", lambda: all(f'"team/{project}"' in service.log_text for project in PROJECTS))
        service.wait_event("pull_done", len(PROJECTS))
        with sandbox.outage():
            service.wait_event("offline")
            for project in PROJECTS:
                service.cli("edit", f"team/{project}/r0", "--add-tag", "waited", code=0)
                service.cli("edit", f"team/{project}/r1", "--add-tag", "waited", code=0)
            before = len(service.events("pull_done"))
            sandbox.requests.clear()
            sandbox.faults.add(
                Fault.latency(0.3, match=Match(operation="MirrorUpsertRun"))
            )  # long enough to be overtaken
        service.wait_event("replay_done")
        wait_for("the next pull", lambda: len(service.events("pull_done")) > before)
        asked = [str(record.operation) for record in sandbox.requests]
        told = service.log_text
        assert service.stop() == 0
    assert all("waited" in sandbox.state.run("team", project, run).tags for project in PROJECTS for run in ("r0", "r1"))
    assert asked[0] in PROBES, asked
    first_pull = asked.index("MirrorRuns")
    last_write = len(asked) - 1 - asked[::-1].index("MirrorUpsertRun")
    assert last_write < first_pull, (asked, told)
    assert asked.count("MirrorUpsertRun") == 2 * len(PROJECTS)
    # A look before each write and one after it, and two questions a pull; what probes ask is a handful.
    assert len(asked) <= 3 * 2 * len(PROJECTS) + 4 * len(PROJECTS) + 8, asked
