"""A list that is shorter than the server's own count is not whole: what is held stays, and the shortage is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.run.api import Api
from mirror.sandbox import Fault, Sandbox
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import assert_equal, failures, fill, mirror_of
from tests.pull.test_untold import edits, everything, setting
from tests.soaking import thin

Lie = Callable[[Any], None]
ENDED, ACTIVE = "r000", "r002"  # each logged two versions, and used one of them


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=3)
        for run in (ENDED, ACTIVE):
            made = sandbox.state.add_artifact(ENTITY, "p", f"more-{run}", files={"a": run.encode()}, run=run)
            sandbox.state.note_used(sandbox.state.run(ENTITY, "p", run), made)
        yield sandbox


def cut(field: str, count: int) -> Lie:
    """A list ends after so many rows, which no count tells."""

    def change(node: dict[str, Any]) -> None:
        found = node.get(field)
        if isinstance(found, list):
            node[field] = found[:count]
        elif found:
            found["edges"] = found["edges"][:count]
            found["pageInfo"] = {**found["pageInfo"], "hasNextPage": False}

    return edits(change)


def holes(field: str) -> Lie:
    """Every node of a list is null."""

    def change(node: dict[str, Any]) -> None:
        for edge in (node.get(field) or {}).get("edges") or ():
            edge["node"] = None

    return edits(change)


def touch(server: Sandbox) -> None:
    server.clock.advance(3600)
    for run in ("r000", "r001", "r002"):
        server.state.edit_run(ENTITY, "p", run, notes="moved", touch_heartbeat=True)


EMPTY: dict[str, tuple[Lie, str]] = {
    "no files": (cut("files", 0), "files"),
    "null files": (holes("files"), "files"),
    "no lines": (cut("logLines", 0), "console"),
    "null lines": (holes("logLines"), "console"),
    "no versions that were logged": (cut("loggedArtifacts", 0), "artifacts"),
    "null versions that were logged": (holes("loggedArtifacts"), "artifacts"),
    "a null list of versions that were logged": (setting("loggedArtifacts", None), "artifacts"),
    "no versions that were used": (cut("usedArtifacts", 0), "artifacts"),
    "no rows of system metrics": (cut("events", 0), "system metrics"),
    "null rows of system metrics": (
        edits(lambda node: node.update(events=[None] * 5) if node.get("events") else None),
        "system metrics",
    ),
}
SHORT: dict[str, tuple[Lie, str, str]] = {
    "files": (cut("files", 2), "files (in part)", "counts 3 files and lists 2"),
    "lines": (cut("logLines", 2), "console (in part)", "counts 4 lines and lists 2"),
    "versions": (cut("loggedArtifacts", 1), "artifacts (in part)", "counts 2 versions and lists 1"),
}
SAMPLED: dict[str, tuple[Lie, str]] = {"rows of system metrics": (cut("events", 3), "system metrics")}
TELLING = ("null files", "no lines", "no versions that were logged", "no rows of system metrics")
READ: dict[str, Callable[[Any], Any]] = {
    "files": lambda run: list(run.files()),
    "lines": lambda run: list(run.console_logs()),
    "logged": lambda run: list(run.logged_artifacts()),
    "used": lambda run: list(run.used_artifacts()),
    "metrics": lambda run: list(run.history(stream="system", pandas=False)),
}


def read(mirror: Mirror, name: str, run: str = ENDED) -> Any:
    return READ[next(part for part in READ if part in name)](Api(home=mirror.home.root).run(f"{ENTITY}/p/{run}"))


# What says nothing of one another is told at once; one after the other, it is for `soak`.
@pytest.mark.parametrize("names", thin([(TELLING,), *(((name,),) for name in EMPTY)], keep=[(TELLING,)]))
def test_nothing_where_something_is_counted_is_a_failure_and_no_empty_answer(
    server: Sandbox, home: Home, names: tuple[str, ...]
) -> None:
    items = {EMPTY[name][1] for name in names}
    mirror = mirror_of(server, home, "p")
    server.faults.add(*(Fault.lie(EMPTY[name][0]) for name in names))
    report = mirror.pull()
    assert report.errors == []
    assert report.failures > 0
    found = set(failures(mirror))
    assert {(run, item) for run in (ENDED, ACTIVE) for item in items} <= found
    assert found <= {(f"r{n:03}", item) for n in range(3) for item in items}
    for run in (ENDED, ACTIVE):
        for name in names:
            with pytest.raises(NotMirrored):
                read(mirror, name, run)
    mirror.pull()
    assert all(failures(mirror)[ENDED, item]["attempts"] == 2 for item in items)
    server.faults.clear()
    assert mirror.pull().failures == 0
    assert failures(mirror) == {}
    assert_equal(server, mirror, "p")


@pytest.mark.parametrize("name", thin(SHORT.keys(), keep=["versions"]))
def test_a_list_that_is_too_short_is_taken_and_named_and_tried_again(server: Sandbox, home: Home, name: str) -> None:
    lie, item, words = SHORT[name]
    mirror = mirror_of(server, home, "p")
    server.faults.add(Fault.lie(lie))
    assert mirror.pull().errors == []
    assert words in failures(mirror)[ENDED, item]["reason"]
    assert (ACTIVE, item) not in failures(mirror), "it may have got more since"
    assert read(mirror, "logged" if name == "versions" else name)
    mirror.pull()
    assert failures(mirror)[ENDED, item]["attempts"] == 2
    server.faults.clear()
    assert mirror.pull().failures == 0
    assert failures(mirror) == {}
    assert_equal(server, mirror, "p")


def test_fewer_rows_of_system_metrics_than_are_counted_are_taken_since_servers_sample_them(
    server: Sandbox, home: Home
) -> None:
    mirror = mirror_of(server, home, "p")
    server.faults.add(Fault.lie(SAMPLED["rows of system metrics"][0]))
    assert mirror.pull().failures == 0
    assert len(read(mirror, "metrics")) == 3
    server.faults.clear()
    mirror.pull(force_walk=True)
    assert_equal(server, mirror, "p")


AT_ONCE = ("null files", "no rows of system metrics", "lines")


@pytest.mark.parametrize(
    "names",
    thin(
        [(AT_ONCE,), *(((name,),) for name in (*EMPTY, *SHORT, *SAMPLED))],
        keep=[(AT_ONCE,), *(((name,),) for name in SAMPLED)],
    ),
)
def test_what_is_held_stays_when_a_list_is_shorter_than_its_count(
    server: Sandbox, home: Home, names: tuple[str, ...]
) -> None:
    found = EMPTY | SHORT | SAMPLED
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0
    held = everything(mirror)
    touch(server)
    server.faults.add(*(Fault.lie(found[name][0]) for name in names))
    for _ in range(2):
        assert mirror.pull(force_walk=True).errors == []
        now = everything(mirror)
        assert {part: rows for part, rows in now.items() if part != "runs"} == {
            part: rows for part, rows in held.items() if part != "runs"
        }
    for item in (found[name][1] for name in names):
        assert item.startswith("system metrics") or (ENDED, item) in failures(mirror)
    server.faults.clear()
    server.clock.advance(7200)
    mirror.pull(force_walk=True)
    assert failures(mirror) == {}
    assert_equal(server, mirror, "p")


def test_versions_on_further_pages_are_counted_too(server: Sandbox, home: Home) -> None:
    for number in range(130):
        server.state.add_artifact(ENTITY, "p", f"n{number:03}", files={"a": b"1"}, run="r001")
    mirror = mirror_of(server, home, "p", artifacts_include=())
    assert mirror.pull().failures == 0
    links = "SELECT count(*) AS n FROM lake.run_artifacts WHERE run_id = 'r001'"
    assert mirror.ask(links) == [{"n": 130}]
    server.faults.add(Fault.lie(cut("artifacts", 5)))
    touch(server)
    assert mirror.pull().errors == []
    assert mirror.ask(links) == [{"n": 130}]
    assert "counts 130 versions and lists 25" in failures(mirror)["r001", "artifacts (in part)"]["reason"]
    server.faults.clear()
    assert mirror.pull().failures == 0
    assert failures(mirror) == {}


def test_versions_that_are_really_gone_are_links_no_more(server: Sandbox, home: Home) -> None:
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0

    def fewer(node: dict[str, Any]) -> None:
        if found := node.get("loggedArtifacts"):
            found["edges"], found["totalCount"] = found["edges"][:1], min(1, found["totalCount"])

    server.faults.add(Fault.lie(edits(fewer)))
    touch(server)
    assert mirror.pull().failures == 0
    rows = mirror.ask("SELECT run_id FROM lake.run_artifacts WHERE direction = 'logged' ORDER BY 1")
    assert [row["run_id"] for row in rows] == [ENDED, ACTIVE]


def test_more_than_is_counted_is_no_shortage(server: Sandbox, home: Home) -> None:
    def fewer(node: dict[str, Any]) -> None:
        for name in ("fileCount", "logLineCount", "eventsLineCount"):
            if node.get(name):
                node[name] -= 1

    server.faults.add(Fault.lie(edits(fewer)))
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0
