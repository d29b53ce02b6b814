"""What a dry run tells is what the pull then does, and what it does not count it says."""

from __future__ import annotations

import anyio
import pytest

from mirror.config import SourceSettings
from mirror.pull import ProjectReport, PullReport, PullRequest
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror


def forecast(mirror: Mirror) -> tuple[PullReport, ProjectReport]:
    request = PullRequest(sources=(SourceSettings(path=SOURCE, **mirror.policy),), dry_run=True)
    report = anyio.run(mirror.pull_async, request)
    (project,) = report.projects
    return report, project


def pulled(mirror: Mirror) -> tuple[PullReport, ProjectReport]:
    report = mirror.pull()
    (project,) = report.projects
    return report, project


def test_a_version_that_several_runs_share_is_counted_once_with_its_requests(sandbox: Sandbox, mirror: Mirror) -> None:
    for name in ("maker", "user"):
        sandbox.state.add_run(ENTITY, PROJECT, name, files={"f": b"12345"})
    for number in range(3):
        made = sandbox.state.add_artifact(ENTITY, PROJECT, f"set{number}", files={"x": b"x"}, run="maker")
        sandbox.state.note_used(sandbox.state.run(ENTITY, PROJECT, "user"), made)
    told, planned = forecast(mirror)
    done, taken = pulled(mirror)
    assert (planned.artifacts, planned.files, planned.cut_short) == (3, 2, 0)
    assert (taken.artifacts, taken.files) == (3, 2)
    assert done.requests == told.requests + planned.requests_ahead
    assert done.transfers == planned.files + planned.artifacts
    told, planned = forecast(mirror)
    assert (planned.artifacts, planned.files, planned.requests_ahead) == (0, 0, 0)


@pytest.mark.parametrize("files", [120, 20])
@pytest.mark.parametrize("versions", [0, 23])
def test_lists_that_go_on_behind_the_first_page_are_told_and_their_requests_counted(
    sandbox: Sandbox, mirror: Mirror, files: int, versions: int
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", files={f"f{number}": b"same" for number in range(files)})
    for number in range(versions):
        sandbox.state.add_artifact(ENTITY, PROJECT, f"set{number}", files={"x": b"x"}, run="r")
    told, planned = forecast(mirror)
    done, taken = pulled(mirror)
    assert planned.cut_short == (files > 50 or versions > 20)
    assert (planned.files, planned.artifacts) == (min(files, 50), min(versions, 20))
    assert (taken.files, taken.artifacts) == (files, versions)
    uncounted = versions - planned.artifacts  # each has a manifest to ask for
    assert done.requests == told.requests + planned.requests_ahead + uncounted
