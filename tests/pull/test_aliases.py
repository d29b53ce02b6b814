"""An alias leads to the version that has it upstream, whatever the runs still list."""

from __future__ import annotations

from typing import Any

import pytest

from mirror import Api
from mirror.errors import CommError
from mirror.sandbox import Fault, Match, Sandbox
from mirror.sandbox.state.records import ArtifactRecord
from tests.mirroring import ENTITY, PROJECT, Mirror

WHOLE = "SELECT version_index, type, sequence, digest, size, file_count, manifest, created_at FROM artifacts ORDER BY 1"


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
    api = Api(mirror.home)
    assert api.artifact(f"{ENTITY}/{PROJECT}/model:best").version == "v0"
    assert api.artifact(f"{ENTITY}/{PROJECT}/model:latest").version == "v1", "nobody else has it"


def nowhere(answer: Any) -> None:
    """A version that was deleted is null."""
    for name, version in answer["data"].items():
        if isinstance(version, dict) and version.get("state") == "DELETED":
            answer["data"][name] = None


@pytest.mark.parametrize("is_null", [False, True], ids=["says so", "null"])
def test_a_version_that_was_deleted_has_none_and_stays_by_its_number(
    sandbox: Sandbox, mirror: Mirror, versions: list[ArtifactRecord], is_null: bool
) -> None:
    if is_null:
        sandbox.faults.add(Fault.lie(nowhere, match=Match(operation="MirrorArtifacts")))
    before = mirror.ask(WHOLE)
    sandbox.state.delete_artifact(versions[1])
    assert mirror.pull(force_walk=True).errors == []
    assert held(mirror) == {"v0": ["latest"]}
    assert mirror.ask(WHOLE) == before
    api = Api(mirror.home)
    assert api.artifact(f"{ENTITY}/{PROJECT}/model:latest").version == "v0"
    assert api.artifact(f"{ENTITY}/{PROJECT}/model:v1").state == "DELETED"
    with pytest.raises(CommError):
        api.artifact(f"{ENTITY}/{PROJECT}/model:best")
    requests = len(sandbox.requests)
    mirror.pull(force_walk=True)
    assert len(sandbox.requests) - requests <= 2, "it is not looked at again"
