"""The operator's page on backups: a home that is copied while nobody writes it is the home, wherever it lies."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from mirror.sandbox import Sandbox
from tests.system.service import serving


def test_a_copy_that_is_put_back_elsewhere_holds_everything_and_goes_on(sandbox: Sandbox, tmp_path: Path) -> None:
    for number in range(3):
        sandbox.state.add_run(
            "team", "proj", f"r{number}", config={"lr": number}, files={"model.pt": b"weights"}, history=[{"loss": 1.0}]
        )
    live, backup, restored = (tmp_path / name for name in ("live", "backup", "restored"))
    live.mkdir()
    with serving(live, sandbox) as service:
        service.wait_event("pull_done")
        with sandbox.outage():
            service.cli("edit", "team/proj/r1", "--add-tag", "best", code=0)
            assert service.stop() == 0
            shutil.copytree(live / "mirror", backup)
    shutil.rmtree(live)

    shutil.copytree(backup, restored / "mirror")
    cli = replace(service.cli, folder=restored)
    assert cli("sql", "SELECT count(*) AS n FROM runs", "--json", code=0).json == [{"n": 3}]
    assert len(cli("outbox", "list", "--json", code=0).json) == 1
    cli("checkout", "team/proj/r2", code=0)
    with sandbox.outage():
        cli("runs", code=0)
    cli("pull", code=0)
    cli("replay", code=0)
    assert sandbox.state.run("team", "proj", "r1").tags == ["best"]

    # What the backup still has queued was delivered meanwhile: it is looked at, and not sent again.
    shutil.rmtree(restored / "mirror")
    shutil.copytree(backup, restored / "mirror")
    sandbox.requests.clear()
    cli("replay", code=0)
    assert sandbox.requests.count("MirrorUpsertRun") == 0
    assert cli("outbox", "list", "--json", code=0).json == []
