"""`repair` as a user types it: it says what it will do, asks, and what `verify` says to type is true."""

from __future__ import annotations

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.lake import Lake
from tests.cli.conftest import Cli
from tests.cli.test_json import agrees


@pytest.fixture
def damaged(server: Sandbox, cli: Cli) -> Cli:
    """A mirror in which the one file of a run has other bytes."""
    run = server.state.run("team", "proj", "r1")
    server.state.add_file("team", "proj", "r1", "model.pt", b"weights")
    server.state.changed(run, heartbeat=True)
    mirror = cli.at(server).configure("team/proj")
    mirror("pull", code=0)
    for path in [path for path in (cli.home / "objects").rglob("*") if path.is_file()]:
        if path.read_bytes() == b"weights":
            path.chmod(0o644)
            path.write_bytes(b"weighty")
    return mirror


def test_what_verify_says_to_type_brings_the_bytes_back(damaged: Cli) -> None:
    assert "do: `wandb-mirror repair`, then `wandb-mirror pull`" in damaged("verify", code=9).out
    assert "fetches 1 item again" in damaged("repair", "--yes", code=0).out
    damaged("pull", code=0)
    damaged("verify", code=0)
    damaged("checkout", "team/proj/r1", "out", code=0)
    assert (damaged.folder / "out" / "model.pt").read_bytes() == b"weights"
    assert "nothing to repair" in damaged("repair", code=0).out


def test_a_dry_run_changes_nothing_and_nobody_is_taken_to_have_agreed(damaged: Cli) -> None:
    said = damaged("repair", "--dry-run", "--json", code=0).json
    agrees(said, "wandb-mirror repair --json")
    assert (said["dry_run"], len(said["moved"]), said["to_fetch"]) == (True, 1, 0)
    assert "--dry-run" in damaged("repair", code=10).hint
    assert not (damaged.home / "damaged").exists()
    done = damaged("repair", "--yes", "--json", code=0).json
    agrees(done, "wandb-mirror repair --json")
    assert (done["moved"], done["to_fetch"]) == (said["moved"], 1)


def test_a_writer_is_waited_for_and_a_home_without_a_mirror_is_told(damaged: Cli, server: Sandbox) -> None:
    with Lake(Home(damaged.home), deployment=server.url.removeprefix("http://")):
        assert "another process is writing" in damaged.fails(8, "repair", "--yes").error
        damaged("verify", code=9)
    assert "pull" in damaged.fails(5, "repair", "--home", "nowhere").hint
