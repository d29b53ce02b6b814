"""A shared lake holds what one in a home holds, and is read from any machine."""

from __future__ import annotations

from pathlib import Path

import mirror as wandb_mirror
from mirror.sandbox import Sandbox
from mirror.store.objects.objects import Objects
from tests.cluster.servers import Place
from tests.mirroring import Mirror


def test_what_one_machine_pulls_another_reads_whole(
    sandbox: Sandbox, mirror: Mirror, place: Place, tmp_path: Path
) -> None:
    """Runs, histories, files: the other machine has neither lake nor objects, only the settings."""
    project = sandbox.state.add_project("team", "proj")
    run = sandbox.state.add_run("team", "proj", "one", config={"lr": 0.5})
    assert project is not None
    assert run is not None
    report = mirror.pull()
    assert not report.failures
    other = place.home(tmp_path / "other")
    found = wandb_mirror.Api(home=str(other.root)).run("team/proj/one")
    assert found.config == {"lr": 0.5}
    assert Objects(other).shared is not None
