"""The mirror is right about any server: whatever its schema lacks, all that can be had is mirrored, and nothing fails.

The judge is `tests.truth`: everything that the lake holds beside everything that the server has. What may differ is
said for each name that a server lacks; what is not said may not differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from mirror.api.documents.every_document import every_document
from mirror.api.fitting.fit import fit
from mirror.errors import NotOffered
from mirror.layout import Home
from mirror.records.server import ServerFacts
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY
from tests.pull.contents import fill, history, mirror_of
from tests.soaking import thin
from tests.truth import differences

EXPORTS = ("exports of", "tail of")  # rows come one by one, as a tail
FILES = ("files of", "file ")
LOGGED = ("artifacts of", "manifest of", "entry", "bytes of")
MANIFESTS = ("manifest of", "entry", "bytes of")
TAIL = ("metrics of r002", "tail of r002", "metrics of new", "tail of new")  # of runs that are not exported (whole)

# What a lake may lack, or hold in another form, when a server lacks a name: beginnings of `differences`.
LOST: dict[str, tuple[str, ...]] = {
    "Run.parquetHistory": EXPORTS,
    "Run.parquetHistory(liveKeys)": EXPORTS,
    "ParquetHistory.parquetUrls": EXPORTS,
    "Run.history": TAIL,
    "Run.events": ("system metrics of",),
    **dict.fromkeys(("Run.logLines", "LogLineConnection.edges", "LogLineEdge.node"), ("console of",)),
    **dict.fromkeys(("LogLine.number", "LogLine.line", "LogLine.level", "LogLine.label"), ("console of",)),
    **dict.fromkeys(("Run.files", "FileConnection.edges", "FileEdge.node", "File.name"), FILES),
    **dict.fromkeys(("Run.outputArtifacts", "ArtifactConnection.edges", "ArtifactEdge.node"), LOGGED),
    **dict.fromkeys(("Artifact.id", "Artifact.artifactSequence", "ArtifactSequence.name"), LOGGED),
    **dict.fromkeys(("Query.artifact", "Artifact.currentManifest", "ArtifactManifest.file"), MANIFESTS),
    "Artifact.files": ("bytes of",),
}
NEEDED = {"Query.project", "Project.runs", "RunConnection.edges", "RunEdge.node", "Run.name"}
ASKED = sorted(
    {
        f"{parent}.{field}"
        for fitted in (fit(document, ServerFacts()) for document in every_document())
        for parent, field in fitted.visited
        if parent != "Mutation" and not parent.endswith("Payload") and "Upload" not in fitted.operation
    }
)
# One of each kind of loss, what sets of older servers lack, and what says how far to read. The rest is for `soak`.
TELLING = (
    *("Run.parquetHistory", "Run.history", "Run.events", "LogLine.label", "Run.files", "Run.outputArtifacts"),
    *("Artifact.currentManifest", "Artifact.files", "Run.updatedAt", "Run.fileCount", "ServerInfo.features"),
    *("Run.historyKeys", "Run.id", "RunConnection.pageInfo", "File.directUrl"),
)
ARGUMENTS = (
    *("Project.runs(filters)", "Project.runs(after)", "Project.runs(order)", "Project.runCount(filters)"),
    *("Run.files(after)", "Run.outputArtifacts(after)", "Run.parquetHistory(liveKeys)", "Project.sweeps(first)"),
)


def compare(server: Sandbox, home: Home, lost: Iterable[str] = (), **policy: Any) -> None:
    """Pull twice, with something new in between, and let nothing differ that may not."""
    mirror = mirror_of(server, home, "p", **policy)
    fill(server, "p")
    allowed = tuple(lost)
    for attempt in range(2):
        report = mirror.pull()
        assert [str(error) for error in report.errors] == []
        assert [failure for project in report.projects for failure in project.failed] == []
        found = [line for line in differences(server, mirror, project="p") if not line.startswith(allowed or ("\0",))]
        assert found == [], f"pull {attempt}"
        server.state.log_rows(ENTITY, "p", "r002", history(20, 24))
        server.state.add_run(ENTITY, "p", f"new{attempt}", history=history(0, 3), exported=False, console=["x"])
        server.clock.advance(60)


def lost_by(names: Iterable[str]) -> set[str]:
    return {beginning for name in names for beginning in LOST.get(name, ())}


@pytest.mark.parametrize(
    ("age", "introspection"),
    thin(
        [(age, introspection) for age in ("now", "2024", "2023", "2021") for introspection in (True, False)],
        keep=[("now", False), ("2023", False), ("2021", True)],
    ),
)
def test_a_server_of_any_age_is_mirrored_as_far_as_it_can_be(age: Any, introspection: bool, home: Home) -> None:
    with Sandbox.start(age=age, introspection=introspection) as server:
        exports = EXPORTS if age in {"2023", "2021"} else ()
        compare(server, home, {*exports, *(("console of",) if age != "now" else ())})


@pytest.mark.parametrize(
    "hidden",
    [
        *thin(sorted(NEEDED), keep=["Query.project", "RunConnection.edges"]),
        *thin(TELLING, keep=["Run.files", "Run.history", "Run.updatedAt"]),
        *thin(ARGUMENTS, keep=["Project.runs(order)"]),
    ],
)
def test_one_field_less_costs_what_it_tells_and_nothing_else(hidden: str, home: Home) -> None:
    with Sandbox.start(hide=[hidden]) as server:
        if hidden in NEEDED:
            fill(server, "p")
            (error,) = mirror_of(server, home, "p").pull().errors
            assert isinstance(error, NotOffered)
            assert "run listings" in error.message
        else:
            compare(server, home, lost_by([hidden]))


@pytest.mark.soak
@pytest.mark.parametrize("introspection", [True, False], ids=["describes itself", "does not"])
@pytest.mark.parametrize("hidden", [name for name in ASKED if name not in NEEDED])
def test_any_field_less_costs_what_it_tells_and_nothing_else(hidden: str, introspection: bool, home: Home) -> None:
    with Sandbox.start(hide=[hidden], introspection=introspection) as server:
        compare(server, home, lost_by([hidden]))


def test_learning_a_server_costs_three_requests_at_the_most_and_once(home: Home) -> None:
    for introspection, most in ((True, 2), (False, 3)):
        with Sandbox.start(introspection=introspection) as server:
            fill(server, "p")
            mirror = mirror_of(server, Home(home.root / str(introspection)), "p")
            home.root.mkdir(exist_ok=True)
            first = mirror.pull().requests
            asked = [record.operation for record in server.requests if record.operation in LEARNING]
            assert len(asked) <= most
            server.requests.clear()
            assert mirror.pull().requests == 1
            assert first <= 8


LEARNING = {"MirrorSchema", "MirrorFeatures", "MirrorSelf"}


def test_an_upgrade_is_noticed_by_the_way_and_what_it_brought_is_taken(home: Home) -> None:
    with Sandbox.start(hide=["Run.parquetHistory"], features=["A"]) as old:
        fill(old, "p")
        mirror = mirror_of(old, home, "p")
        mirror.pull()
        assert "Run.parquetHistory" in home.server_facts.read_text()
        port = old.port
    with Sandbox.start(port=port, features=["A", "B"], api_key=old.api_key) as new:
        fill(new, "p")
        mirror.pull()  # notices, and asks
        new.requests.clear()
        mirror.pull(force_walk=True)
        assert any("parquetHistory" in (record.query or "") for record in new.requests)
    assert "Run.parquetHistory" not in home.server_facts.read_text()


@pytest.mark.parametrize("introspection", thin([True, False], keep=[False]))
def test_what_a_server_lacked_and_has_by_now_comes_when_a_person_asks(home: Home, introspection: bool) -> None:
    """Nothing told of an upgrade: neither the version nor the features are other ones."""
    with Sandbox.start(hide=["Run.files", "Run.events"], introspection=introspection) as old:
        fill(old, "p", runs=3)
        mirror = mirror_of(old, home, "p")
        mirror.pull()
        key, port = old.api_key, old.port
    with Sandbox.start(port=port, api_key=key, introspection=introspection) as new:
        fill(new, "p", runs=3)
        mirror.pull()
        assert mirror.ask("FROM lake.files") == []
        mirror.pull(force_walk=True)
        assert differences(new, mirror, project="p") == []
        assert mirror.pull().projects[0].kind == "look"
