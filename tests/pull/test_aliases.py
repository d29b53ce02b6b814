"""An alias names one version of its collection in the mirror, as it does upstream, whatever the runs still list."""

from __future__ import annotations

import pytest

from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import ArtifactRecord
from tests.mirroring import ENTITY, PROJECT, Mirror


@pytest.fixture
def versions(sandbox: Sandbox, mirror: Mirror) -> list[ArtifactRecord]:
    """Two versions of a collection, each logged by a run of its own, mirrored; the second one is the best."""
    made = []
    for number in range(2):
        sandbox.state.add_run(ENTITY, PROJECT, f"maker{number}")
        made.append(
            sandbox.state.add_artifact(
                ENTITY, PROJECT, "model", files={"f": b"%d" % number}, aliases=["best"], run=f"maker{number}"
            )
        )
    assert mirror.pull().errors == []
    assert held(mirror) == {"v0": [], "v1": ["best", "latest"]}
    return made


def held(mirror: Mirror) -> dict[str, list[str]]:
    """Aliases of the versions that can be read."""
    rows = mirror.ask("SELECT version_index, aliases FROM artifacts WHERE state = 'COMMITTED'")
    return {f"v{row['version_index']}": sorted(row["aliases"]) for row in rows}


def test_one_that_moves_leaves_a_version_that_no_run_lists_any_more(
    sandbox: Sandbox, mirror: Mirror, versions: list[ArtifactRecord]
) -> None:
    sandbox.state.delete_run(ENTITY, PROJECT, "maker1")
    aliases = sandbox.state.project(ENTITY, PROJECT).collections["model"].aliases
    aliases["best"] = versions[0]
    assert mirror.pull(force_walk=True).errors == []
    assert held(mirror) == {"v0": ["best"], "v1": ["latest"]}


def test_a_version_that_was_deleted_has_none_and_cannot_be_read(
    sandbox: Sandbox, mirror: Mirror, versions: list[ArtifactRecord]
) -> None:
    sandbox.state.delete_artifact(versions[1])
    assert mirror.pull(force_walk=True).errors == []
    assert held(mirror) == {"v0": ["latest"]}
    ((deleted,),) = [mirror.ask("SELECT aliases, manifest FROM artifacts WHERE state = 'DELETED'")]
    assert (deleted["aliases"], deleted["manifest"] is not None) == ([], True)
    requests = len(sandbox.requests)
    mirror.pull(force_walk=True)
    assert len(sandbox.requests) - requests <= 2, "it is not looked at again"
