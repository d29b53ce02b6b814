"""The SDK against a server that lacks the newer fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import wandb

from mirror.sandbox import Sandbox

from .conftest import ENTITY


@pytest.fixture
def old(server: Sandbox) -> Any:
    del server  # its environment keeps the SDK inside the temporary folder
    with Sandbox.start(legacy=True) as sandbox:
        yield sandbox


@pytest.fixture
def old_api(old: Sandbox) -> Any:
    return wandb.Api(overrides={"entity": ENTITY, "base_url": old.url}, api_key=old.api_key)


def test_missing_features_are_read_as_off_and_uploads_still_work(old: Sandbox, old_api: Any, tmp_path: Path) -> None:
    record = old.state.add_run(ENTITY, "p", "r")
    (tmp_path / "f.txt").write_text("bytes")
    run = old_api.run(f"{ENTITY}/p/r")
    assert run.upload_file(str(tmp_path / "f.txt"), root=str(tmp_path)).size == 5
    assert old.requests.count("MarkRunFilesUploaded") == 0
    assert record.state == "finished"


def test_setting_a_state_is_refused(old: Sandbox, old_api: Any) -> None:
    old.state.add_run(ENTITY, "p", "r", state="failed")
    with pytest.raises(wandb.errors.CommError, match="updateRunState"):
        old_api.run(f"{ENTITY}/p/r").update_state("pending")


def test_console_logs_page_only_by_their_tail(old: Sandbox, old_api: Any) -> None:
    old.state.add_run(ENTITY, "p", "r", console=["one", "two"])
    run = old_api.run(f"{ENTITY}/p/r")
    assert [line.content for line in run.console_logs(last=5)] == ["one", "two"]
    with pytest.raises(wandb.errors.CommError):
        list(run.console_logs())
