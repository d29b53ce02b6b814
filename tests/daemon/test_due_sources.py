"""A pull of some sources leaves to the others what is theirs."""

from __future__ import annotations

import anyio

from mirror.config import SourceSettings
from mirror.pull import PullRequest
from mirror.sandbox import Sandbox
from tests.mirroring import Mirror

SOURCES = (SourceSettings(path="team/proj"), SourceSettings(path="team/*"), SourceSettings(path="other/one"))


def pulled(mirror: Mirror, *due: str) -> list[str]:
    report = anyio.run(mirror.pull_async, PullRequest(sources=SOURCES, due=frozenset(due)))
    assert not report.errors
    return [str(project.key) for project in report.projects]


def test_a_project_that_an_earlier_source_names_is_not_pulled_with_a_later_one(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    for entity, project in (("team", "proj"), ("team", "second"), ("other", "one")):
        sandbox.state.add_run(entity, project, "r")
    assert pulled(mirror, "team/*") == ["team/second"]
    assert pulled(mirror, "team/proj", "other/one") == ["other/one", "team/proj"]
    assert pulled(mirror) == ["other/one", "team/proj", "team/second"]
