"""A field of a row that fails costs that field: the row, its list and its run are mirrored, and the field is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Sandbox
from tests.mirroring import ENTITY
from tests.pull.contents import assert_equal, failures, fill, history, mirror_of
from tests.pull.test_untold import edits, everything, setting
from tests.soaking import thin
from tests.truth import differences

ITEMS = {
    "File.directUrl": "files (in part)",
    "Artifact.tags": "artifact set0:v0 (in part)",
    "LogLine.label": "console (in part)",
    "ParquetHistory.liveData": "history",
    "File.md5": "files (in part)",
    "File.updatedAt": "files (in part)",
    "Artifact.aliases": "artifacts (in part)",
    "Artifact.updatedAt": "artifacts (in part)",
    "Artifact.metadata": "artifact set0:v0 (in part)",
    "LogLine.timestamp": "console (in part)",
}
# What says nothing of one another fails at once; one after the other, it is for `soak`.
AT_ONCE = ("File.directUrl", "Artifact.tags", "LogLine.label", "ParquetHistory.liveData")


@pytest.mark.parametrize("fields", thin([(AT_ONCE,), *(((name,),) for name in ITEMS)], keep=[(AT_ONCE,)]))
def test_a_leaf_that_fails_costs_neither_its_row_nor_its_list(home: Home, fields: tuple[str, ...]) -> None:
    with Sandbox.start() as server:
        fill(server, "p", runs=3)
        mirror = mirror_of(server, home, "p")
        server.faults.add(*(Fault.field_error(field, message="it broke") for field in fields))
        assert mirror.pull().errors == []
        for field in fields:
            assert ("r000", ITEMS[field]) in failures(mirror)
            assert "it broke" in failures(mirror)["r000", ITEMS[field]]["reason"]
        assert differences(server, mirror, project="p") == []
        held = everything(mirror)
        mirror.pull(force_walk=True)
        assert everything(mirror) == held
        server.faults.clear()
        server.clock.advance(7200)
        mirror.pull(force_walk=True)
        assert failures(mirror) == {}
        assert_equal(server, mirror, "p")


@pytest.mark.parametrize(
    "fields",
    thin(
        [
            (("LogLine.line", "Artifact.metadata"),),
            *(((name,),) for name in ("LogLine.level", "LogLine.line", "Artifact.metadata", "Artifact.description")),
        ],
        keep=[(("LogLine.line", "Artifact.metadata"),)],
    ),
)
def test_what_was_held_of_a_leaf_stays_when_it_fails(home: Home, fields: tuple[str, ...]) -> None:
    with Sandbox.start() as server:
        fill(server, "p", runs=3)
        mirror = mirror_of(server, home, "p")
        assert mirror.pull().failures == 0
        held = everything(mirror)
        server.faults.add(*(Fault.field_error(field, message="it broke") for field in fields))
        server.clock.advance(60)
        for run in ("r000", "r001", "r002"):
            server.state.edit_run(ENTITY, "p", run, touch_heartbeat=True)
        mirror.pull()
        now = everything(mirror)
        assert (now["console"], now["artifacts"]) == (held["console"], held["artifacts"])


def rows_of(field: str, change: Callable[[list[str]], list[Any]]) -> Callable[[Any], None]:
    """A lie about the rows of a stream."""
    return edits(lambda node: node.__setitem__(field, change(node[field])) if node.get(field) else None)


LISTS: dict[str, Callable[[Any], None]] = {
    "cursors are numbers": edits(
        lambda node: [edge.__setitem__("cursor", 3) for edge in (node.get("files") or {}).get("edges") or ()]
    ),
    "live rows are texts": edits(
        lambda node: (
            node.get("parquetHistory")
            and node["parquetHistory"].update(liveData=[json.dumps(row) for row in node["parquetHistory"]["liveData"]])
        )
    ),
    "live rows are one text": edits(
        lambda node: (
            node.get("parquetHistory")
            and node["parquetHistory"].update(liveData=json.dumps(node["parquetHistory"]["liveData"]))
        )
    ),
    "rows of history are objects": rows_of("history", lambda rows: [json.loads(row) for row in rows]),
    "rows of events are objects": rows_of("events", lambda rows: [json.loads(row) for row in rows]),
    "steps are texts": rows_of(
        "history", lambda rows: [json.dumps({**(row := json.loads(text)), "_step": str(row["_step"])}) for text in rows]
    ),
    "numbers of lines are texts": edits(
        lambda node: [
            edge["node"].update(number=str(edge["node"]["number"]))
            for edge in (node.get("logLines") or {}).get("edges") or ()
        ]
    ),
}


def both(*lies: Callable[[Any], None]) -> Callable[[Any], None]:
    """Lies about what says nothing of one another, told at once; one after the other, they are for `soak`."""

    def lie(body: Any) -> None:
        for each in lies:
            each(body)

    return lie


SPELT = ("live rows are one text", "steps are texts", "numbers of lines are texts", "rows of events are objects")
LISTS["several of these"] = both(*(LISTS[name] for name in SPELT))


@pytest.mark.parametrize("lie", thin(LISTS, keep=["several of these"]))
def test_values_in_another_spelling_are_taken_as_what_they_are(home: Home, lie: Callable[[Any], None]) -> None:
    with Sandbox.start() as server:
        fill(server, "p", runs=3)
        server.faults.add(Fault.lie(lie))
        mirror = mirror_of(server, home, "p")
        report = mirror.pull()
        assert (report.errors, report.failures) == ([], 0)
        assert differences(server, mirror, project="p") == []


NOT_TOLD: dict[str, Callable[[Any], None]] = {
    "outputArtifacts is null": setting("loggedArtifacts", None),
    "files and their count are null": edits(
        lambda node: node.update(files=None, fileCount=None) if "files" in node else None
    ),
    "edges of files are null": edits(lambda node: node["files"].update(edges=None) if node.get("files") else None),
    "edges of lines are null": edits(
        lambda node: (
            node["logLines"].update(edges=[None] * len(node["logLines"]["edges"])) if node.get("logLines") else None
        )
    ),
    "lines are null": setting("logLines", None),
    "lines and their count are null": edits(
        lambda node: node.update(logLines=None, logLineCount=None) if "logLines" in node else None
    ),
    "rows of events are null": rows_of("events", lambda rows: [None] * 3),
    "rows of history are null": rows_of("history", lambda rows: [None] * len(rows)),
    "historyKeys are null": setting("historyKeys", None),
    "parquetHistory is null": setting("parquetHistory", None),
}


NO_LISTS = ("files and their count are null", "parquetHistory is null", "lines are null", "outputArtifacts is null")
NO_ROWS = ("edges of lines are null", "rows of history are null", "edges of files are null")
NOT_TOLD["lists"] = both(*(NOT_TOLD[name] for name in NO_LISTS))
NOT_TOLD["rows"] = both(*(NOT_TOLD[name] for name in NO_ROWS))


@pytest.mark.parametrize("lie", thin(NOT_TOLD, keep=["lists", "rows"]))
def test_null_in_place_of_a_list_is_no_empty_list(home: Home, lie: Callable[[Any], None]) -> None:
    with Sandbox.start() as server:
        fill(server, "p", runs=3)
        mirror = mirror_of(server, home, "p")
        mirror.pull()
        held = everything(mirror)
        server.clock.advance(3600)
        for run in ("r000", "r002"):
            server.state.edit_run(ENTITY, "p", run, notes="moved", touch_heartbeat=True)
        server.faults.add(Fault.lie(lie))
        assert mirror.pull(force_walk=True).errors == []
        now = everything(mirror)
        assert {name: rows for name, rows in now.items() if name != "runs"} == {
            name: rows for name, rows in held.items() if name != "runs"
        }
        server.faults.clear()
        server.clock.advance(7200)
        mirror.pull(force_walk=True)
        assert failures(mirror) == {}
        assert_equal(server, mirror, "p")


@pytest.mark.parametrize(
    ("field", "broken"),
    thin(
        [(field, broken) for field in ("history", "events") for broken in (None, "{", "[1]", 7)],
        keep=[("history", None), ("events", "{")],
    ),
)
def test_a_row_that_cannot_be_read_is_named_and_tried_again_and_the_others_are_held(
    home: Home, field: str, broken: Any
) -> None:
    with Sandbox.start() as server:
        fill(server, "p", runs=3)
        server.faults.add(Fault.lie(rows_of(field, lambda rows: [rows[0], broken, *rows[2:]])))
        mirror = mirror_of(server, home, "p")
        assert sum(project.skipped for project in mirror.pull().projects) > 0
        item = "history (in part)" if field == "history" else "system metrics (in part)"
        assert ("r002", item) in failures(mirror)
        (found,) = differences(server, mirror, project="p")[:1]
        assert found.startswith(("metrics of r002", "system metrics of r000"))
        server.faults.clear()
        server.clock.advance(7200)
        mirror.pull()
        assert failures(mirror) == {}
        assert_equal(server, mirror, "p")


def test_a_row_that_stays_broken_does_not_keep_new_ones_out(home: Home) -> None:
    def breaks(rows: list[str]) -> list[Any]:
        return [None if json.loads(row)["_step"] == 13 else row for row in rows]

    with Sandbox.start() as server:
        fill(server, "p", runs=3)
        server.faults.add(Fault.lie(rows_of("history", breaks)))
        mirror = mirror_of(server, home, "p")
        for start in (20, 22, 24):
            mirror.pull()
            server.state.log_rows(ENTITY, "p", "r002", history(start, start + 2))
            server.clock.advance(60)
        mirror.pull()
        steps = [row["step"] for row in mirror.ask("SELECT step FROM lake.tails ORDER BY step")]
        assert steps == [12, *range(14, 26)]
        assert ("r002", "history (in part)") in failures(mirror)
