"""`maintain` as a user types it: it says what it does, its JSON is documented, and it never disturbs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.lake import Lake
from tests.cli.conftest import Cli
from tests.cli.test_json import agrees

REMOVED = "lake_files, orphans, objects and partials of maintain"


@pytest.fixture
def kept(server: Sandbox, cli: Cli) -> Cli:
    """A mirror with an object that nothing refers to, 5 bytes of long ago, and a queued upload."""
    mirror = cli.at(server).configure("team/proj")
    mirror("pull", code=0)
    old = mirror.home / "objects" / "sha256" / "ab" / ("ab" * 32)
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_bytes(b"12345")
    os.utime(old, (1, 1))
    return mirror


def upload(cli: Cli) -> Path:
    """Queue an upload whose bytes are old; where they lie."""
    (cli.folder / "report.md").write_bytes(b"report")
    cli("upload", "team/proj/r1", "report.md", code=0)
    (path,) = [path for path in (cli.home / "objects").rglob("*") if path.is_file() and path.read_bytes() == b"report"]
    os.utime(path, (1, 1))
    return path


def agree(said: dict[str, Any]) -> None:
    """It is what the document says."""
    agrees(said, "wandb-mirror maintain --json")
    for kind in ("lake_files", "orphans", "objects", "partials"):
        agrees(said[kind], REMOVED)
    for moment in ("before", "after"):
        agrees(said[moment], "disk of status")


def test_a_dry_run_tells_the_bytes_and_the_run_removes_them_but_not_what_an_upload_needs(kept: Cli) -> None:
    queued = upload(kept)
    server_away = kept.using(WANDB_BASE_URL=None)
    kept.config.write_text(f"{kept.config.read_text()}\n[retention]\nobjects_days = 2.0\n")
    refused = server_away("maintain", "--json")
    assert refused.code in {8, 10}, "another server's home is left alone"
    planned = kept("maintain", "--dry-run", "--json", code=0).json
    agree(planned)
    assert planned["objects"] == {"files": 1, "bytes": 5}
    done = kept("maintain", "--json", code=0).json
    agree(done)
    assert (done["dry_run"], done["objects"]) == (False, {"files": 1, "bytes": 5})
    assert queued.read_bytes() == b"report"
    assert "files" in kept("maintain", code=0).out
    assert kept("runs", "--json", code=0).json


def test_a_home_without_a_mirror_is_told_what_to_do(cli: Cli) -> None:
    for arguments in (["maintain"], ["maintain", "--dry-run"]):
        assert "pull" in cli.fails(5, *arguments).hint
    assert not (cli.home / "lake").exists()


def test_a_pull_under_way_is_waited_for_and_a_dry_run_needs_not_wait(kept: Cli, server: Sandbox) -> None:
    with Lake(Home(kept.home), deployment=server.url.removeprefix("http://")):
        assert "another process is writing" in kept.fails(8, "maintain").error
        assert "would be" in kept("maintain", "--dry-run", code=0).out


def test_a_retention_that_is_no_time_is_an_error_with_its_path(kept: Cli) -> None:
    kept.config.write_text(f"{kept.config.read_text()}\n[retention]\nsnapshots_days = 0\n")
    assert "retention.snapshots_days" in kept.fails(3, "maintain").error
