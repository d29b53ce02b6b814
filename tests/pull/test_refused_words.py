"""Whatever words a server refuses a document in, everything that it knows is mirrored, and it is asked about once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec
import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from mirror.wandb_protocol.wording import Wording
from tests.pull.contents import assert_equal, fill, mirror_of
from tests.soaking import thin

HIDDEN = (
    ["Run.host", "Artifact.updatedAt"],
    ["Run.files(after)"],
    ["Project.internalId", "File.mimetype", "Sweep.priorRuns"],
)


@pytest.mark.parametrize(
    ("wording", "hide"),
    thin(
        [(wording, hide) for wording in get_args(Wording) for hide in HIDDEN],
        keep=[(wording, HIDDEN[number % len(HIDDEN)]) for number, wording in enumerate(get_args(Wording))][::2],
    ),
)
def test_a_refusal_in_any_words_costs_what_the_server_lacks(home: Home, wording: Wording, hide: Sequence[str]) -> None:
    with Sandbox.start(introspection=False, wording=wording, hide=hide) as sandbox:
        fill(sandbox, "p", runs=3)
        mirror = mirror_of(sandbox, home, "p")
        report = mirror.pull()
        assert report.errors == []
        assert report.failures == 0
        assert_equal(sandbox, mirror, "p")
        assert mirror.pull().requests == 1, "what was learnt is kept"


def test_what_a_plan_or_a_key_does_not_have_costs_that_alone(home: Home) -> None:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=3)
        mirror = mirror_of(sandbox, home, "p")
        sandbox.faults.add(
            Fault.graphql_error(
                "your plan has no history exports", status=403, match=Match(kind="graphql", query="parquetHistory")
            )
        )
        report = mirror.pull()
        assert (report.errors, report.failures) == ([], 0)
        assert [
            row["run_id"] for row in mirror.ask("SELECT DISTINCT run_id FROM metrics ORDER BY 1")
        ] == mirror.run_ids()
        assert mirror.ask("FROM exports") == []
        sandbox.faults.clear()
        assert mirror.pull(force_walk=True).failures == 0
        assert_equal(sandbox, mirror, "p")


def test_what_fails_for_another_reason_is_taken_for_no_refusal(home: Home) -> None:
    with Sandbox.start(introspection=False, wording="mute") as sandbox:
        fill(sandbox, "p", runs=4)
        mirror = mirror_of(sandbox, home, "p")
        sandbox.faults.add(
            Fault.graphql_error(
                "invalid query", status=400, match=Match(kind="graphql", contains_run="r001", query="summaryMetrics")
            )
        )
        (report,) = mirror.pull().projects
        assert report.error is None
        assert [failure.run_id for failure in report.failed] == ["r001"]
        sandbox.faults.clear()
        assert mirror.pull().failures == 0
        assert_equal(sandbox, mirror, "p")


def test_a_server_in_passing_trouble_is_asked_about_itself_again(home: Home) -> None:
    with Sandbox.start(hide=["Run.host"], wording="mute") as sandbox:
        fill(sandbox, "p", runs=2)
        mirror = mirror_of(sandbox, home, "p")
        sandbox.faults.add(Fault.status(503, match=Match(kind="graphql", query="__type"), times=4))
        mirror.pull()
        sandbox.faults.clear()
        assert mirror.pull().failures == 0
        assert_equal(sandbox, mirror, "p")


def test_a_limit_that_is_told_in_the_body_is_waited_for(home: Home) -> None:
    def limit(_: object) -> object:
        return {"data": None, "errors": [{"message": "rate limit exceeded", "extensions": {"code": "RATE_LIMITED"}}]}

    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=3)
        mirror = mirror_of(sandbox, home, "p")
        mirror.server = msgspec.structs.replace(mirror.server, rate_limit_patience_minutes=1.0)
        sandbox.faults.add(Fault.lie(limit, match=Match(kind="graphql", operation="MirrorRuns"), times=4))
        assert mirror.pull().failures == 0
        assert_equal(sandbox, mirror, "p")


def test_what_passed_in_another_document_is_not_blamed(home: Home) -> None:
    with Sandbox.start(introspection=False, wording="mute", hide=["Run.logLines"]) as sandbox:
        fill(sandbox, "p", runs=3)
        mirror = mirror_of(sandbox, home, "p")
        assert mirror.pull().errors == []
        lacking = msgspec.json.decode((home.root / "server.json").read_bytes())
        assert "PageInfo" not in str(lacking)
        assert "LogLine" in str(lacking)
