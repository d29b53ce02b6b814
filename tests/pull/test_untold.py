"""What a server ceases to tell, for one run or for good, costs nothing that is held; what it tells again is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import assert_equal, failures, fill, mirror_of
from tests.soaking import thin

LISTING = Match(operation="MirrorRuns")


def told_of(server: Sandbox) -> None:
    """Runs with something in every field that a server may cease to tell."""
    fill(server, "p", runs=3)
    for run in ("r000", "r001", "r002"):
        server.state.edit_run(ENTITY, "p", run, tags=["t"], notes="n", summary={"x": 1})


def everything(mirror: Mirror) -> dict[str, Any]:
    """All that is held, but for digests, and for times, which each sandbox has its own of."""
    times = "synced_at, updated_at, updated_at_text"
    runs = f"SELECT * EXCLUDE (fingerprint, {times}), updated_at IS NULL FROM lake.runs ORDER BY run_id"
    artifacts = f"SELECT * EXCLUDE (created_at, created_at_text, {times}) FROM lake.artifacts ORDER BY artifact_id"
    with mirror.open(views=False) as rows:
        return {
            "runs": rows(runs),
            "files": rows("SELECT run_id, name, status, object, md5 FROM lake.files ORDER BY ALL"),
            "links": rows("SELECT * FROM lake.run_artifacts ORDER BY ALL"),
            "artifacts": rows(artifacts),
            "metrics": rows("SELECT run_id, key, step, value, text FROM lake.metrics ORDER BY ALL"),
            "events": rows("SELECT run_id, key, number, value FROM lake.system_metrics ORDER BY ALL"),
            "console": rows("SELECT run_id, number, line, level FROM lake.console_lines ORDER BY ALL"),
            "generations": rows("SELECT * FROM lake.generations"),
        }


def edits(change: Callable[[dict[str, Any]], object]) -> Callable[[Any], None]:
    """A lie about every run of an answer, whichever document it answers."""

    def edit(body: Any) -> None:
        project = (body.get("data") or {}).get("project") or {}
        for edge in (project.get("runs") or {}).get("edges") or ():
            change(edge["node"])
        for name, node in project.items():
            if isinstance(node, dict) and name not in {"runs", "sweeps"}:
                change(node)

    return edit


def setting(field: str, value: Any) -> Callable[[Any], None]:
    """A lie that puts a value in place of a field that was asked for."""
    return edits(lambda node: node.__setitem__(field, value) if field in node else None)


HIDDEN = {
    "documents": (
        *("Run.config", "Run.summaryMetrics", "Run.tags", "Run.notes", "Run.historyKeys"),
        *("Run.updatedAt", "Run.user"),
    ),
    "times and counts": ("Run.createdAt", "Run.heartbeatAt", "Run.state", "User.name", "Run.historyLineCount"),
    "ids": ("Run.id",),
    "files": ("Run.files", "Run.fileCount"),
    "artifacts": ("Run.outputArtifacts", "Run.inputArtifacts"),
    "leaves": (
        *("File.md5", "File.updatedAt", "LogLine.level"),
        *("Artifact.aliases", "Artifact.updatedAt", "Artifact.tags", "Artifact.metadata", "Artifact.digest"),
    ),
    "streams": ("Run.events", "Run.logLines", "Run.parquetHistory", "Run.history"),
}
# What says nothing of one another is hidden at once; one after the other, it is for `soak`.
HIDDEN["contents"] = (*HIDDEN["files"], *HIDDEN["artifacts"], *HIDDEN["streams"])
HIDDEN["fields"] = (*HIDDEN["documents"], *HIDDEN["times and counts"])


@pytest.mark.parametrize("hidden", thin(HIDDEN, keep=["fields", "contents"]))
def test_what_a_server_tells_no_more_stays_as_it_was_held(home: Home, hidden: tuple[str, ...]) -> None:
    with Sandbox.start(features=["A"]) as before:
        told_of(before)
        mirror = mirror_of(before, home, "p")
        assert mirror.pull().failures == 0
        held = everything(mirror)
    with Sandbox.start(port=before.port, api_key=before.api_key, hide=hidden, features=["A", "B"]) as after:
        told_of(after)
        for _ in range(2):  # the first notices that the server is another one
            report = mirror.pull(force_walk=True)
            assert (report.errors, report.failures) == ([], 0)
        assert everything(mirror) == held
    with Sandbox.start(port=before.port, api_key=before.api_key, features=["A"]) as again:
        told_of(again)
        for _ in range(2):
            assert mirror.pull(force_walk=True).failures == 0
        assert_equal(again, mirror, "p")
        assert mirror.ask("SELECT * FROM lake.generations") == []


def test_a_server_that_begins_to_tell_ids_shows_the_same_runs(home: Home) -> None:
    with Sandbox.start(hide=["Run.id"], features=["A"]) as before:
        told_of(before)
        mirror = mirror_of(before, home, "p")
        mirror.pull()
    with Sandbox.start(port=before.port, api_key=before.api_key, features=["A", "B"]) as after:
        told_of(after)
        for _ in range(2):
            assert mirror.pull(force_walk=True).failures == 0
        assert mirror.ask("SELECT * FROM lake.generations") == []
        assert all(row["storage_id"] for row in mirror.ask("SELECT storage_id FROM lake.runs"))
        assert_equal(after, mirror, "p")


@pytest.mark.parametrize("failing", thin({"of another type": False, "failing": True}, keep=["failing"]))
def test_a_run_whose_id_cannot_be_read_costs_its_id_and_no_other_project(home: Home, failing: bool) -> None:
    def lie(body: Any) -> None:
        for place, edge in enumerate((body["data"].get("project") or {}).get("runs", {}).get("edges", ())):
            if edge["node"]["name"] == "r001":
                edge["node"]["id"] = None if failing else 5
                if failing:
                    path = ["project", "runs", "edges", place, "node", "id"]
                    body.setdefault("errors", []).append({"message": "no id", "path": path})

    with Sandbox.start() as server:
        fill(server, "p", runs=2)
        fill(server, "q", runs=2)
        mirror = mirror_of(server, home, "p")
        mirror.sources = (f"{ENTITY}/p", f"{ENTITY}/q")
        mirror.pull()
        held = {row["run_id"]: row["storage_id"] for row in mirror.ask("SELECT * FROM lake.runs WHERE project = 'p'")}
        server.clock.advance(60)
        server.faults.add(Fault.lie(lie, match=LISTING))
        for project, run in (("p", "r001"), ("q", "r000")):
            server.state.edit_run(ENTITY, project, run, notes="moved", touch_heartbeat=True)
        assert mirror.pull().errors == []
        assert ("r001", "field storage_id") in failures(mirror)
        moved = "SELECT project, run_id FROM lake.runs WHERE notes = 'moved' ORDER BY 1"
        assert [tuple(row.values()) for row in mirror.ask(moved)] == [("p", "r001"), ("q", "r000")]
        now = {row["run_id"]: row["storage_id"] for row in mirror.ask("SELECT * FROM lake.runs WHERE project = 'p'")}
        assert now == held
        server.faults.clear()
        server.clock.advance(3600)
        mirror.pull()
        assert failures(mirror) == {}


def test_a_run_that_was_made_again_gets_nothing_of_the_one_before_it(home: Home) -> None:
    with Sandbox.start() as server:
        told_of(server)
        mirror = mirror_of(server, home, "p")
        mirror.pull()
        server.state.delete_run(ENTITY, "p", "r001")
        server.clock.advance(60)
        server.state.add_run(ENTITY, "p", "r001", created_at="2024-06-01T00:00:00")
        server.faults.add(Fault.field_error("Run.notes", run="r001", message="it broke"))
        mirror.pull(force_walk=True)
        assert mirror.run("r001")["notes"] is None
