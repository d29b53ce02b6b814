"""Changing runs with the public API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.apis.public import Run

from mirror.sandbox import RunRecord, Sandbox

from .conftest import ENTITY


@pytest.fixture
def record(server: Sandbox, project: str) -> RunRecord:
    return server.state.add_run(
        ENTITY,
        project,
        "r",
        config={"lr": 0.1},
        summary={"loss": 1.0, "old": 2},
        tags=["t"],
        history=[{"_step": 0, "loss": 1.0}],
        files={"a/b.txt": b"hello", "c.json": b"{}", "d.txt": b"d"},
        console=["first", "second", "third"],
    )


@pytest.fixture
def run(api: Any, record: RunRecord, project: str) -> Any:
    return api.run(f"{ENTITY}/{project}/r")


def test_update_writes_config_tags_notes_names_and_summary(run: Any, record: RunRecord) -> None:
    run.config["lr"] = 0.2
    run.config["new"] = {"deep": [1]}
    run.tags.append("u")
    run.notes, run.display_name, run.description = "n", "renamed", "d"
    run.summary["loss"] = 0.5
    del run.summary["old"]
    run.update()
    assert record.config["lr"]["value"] == 0.2
    assert record.config["new"]["value"] == {"deep": [1]}
    assert record.config["_wandb"]["value"]["cli_version"] == "0.31.0"
    assert (record.tags, record.notes, record.display_name, record.description) == (["t", "u"], "n", "renamed", "d")
    assert record.summary["loss"] == 0.5
    assert "old" not in record.summary
    assert record.state == "finished"


def test_clearing_tags_clears_them(run: Any, record: RunRecord) -> None:
    run.tags = []
    run.update()
    assert record.tags == []


@pytest.mark.parametrize(
    ("before", "wanted", "allowed"),
    [
        *[(state, "pending", True) for state in ("running", "failed", "crashed", "preempted")],
        *[(state, "failed", True) for state in ("pending", "running")],
        ("finished", "pending", False),
        ("finished", "failed", False),
        ("failed", "failed", False),
        ("pending", "pending", False),
        ("running", "finished", False),
    ],
)
def test_only_allowed_state_transitions_pass(
    api: Any, server: Sandbox, project: str, before: str, wanted: str, allowed: bool
) -> None:
    record = server.state.add_run(ENTITY, project, "s", state=before)
    run = api.run(f"{ENTITY}/{project}/s")
    if allowed:
        assert run.update_state(wanted) is True
        assert record.state == wanted
    else:
        with pytest.raises(wandb.errors.CommError, match="invalid state transition"):
            run.update_state(wanted)
        assert record.state == before


def test_the_state_of_a_sweep_run_cannot_be_set(api: Any, server: Sandbox, project: str) -> None:
    server.state.add_run(ENTITY, project, "s", state="failed", sweep="sw")
    with pytest.raises(wandb.errors.CommError, match="sweep"):
        api.run(f"{ENTITY}/{project}/s").update_state("pending")


def test_stop_marks_the_run_and_may_be_repeated(run: Any, record: RunRecord) -> None:
    run.stop()
    run.stop()
    assert record.stop_requested


def test_delete_removes_the_run(api: Any, run: Any, server: Sandbox, project: str) -> None:
    run.delete()
    assert "r" not in server.state.project(ENTITY, project).runs
    assert len(api.runs(f"{ENTITY}/{project}")) == 0


@pytest.mark.parametrize("state", ["running", "pending"])
def test_create_makes_a_run_and_its_project(api: Any, server: Sandbox, project: str, state: Any) -> None:
    made = Run.create(api, run_id="made", project=project, entity=ENTITY, state=state)
    record = server.state.run(ENTITY, project, "made")
    assert made.storage_id == record.id
    assert record.state == state


def test_files_are_listed_by_name_and_by_pattern(run: Any) -> None:
    assert [file.name for file in run.files(per_page=2)] == ["a/b.txt", "c.json", "d.txt"]
    assert [file.name for file in run.files(names=["c.json"])] == ["c.json"]
    assert [file.name for file in run.files(pattern="%.txt")] == ["a/b.txt", "d.txt"]
    assert [file.name for file in run.files(pattern="_.json")] == ["c.json"]
    assert len(run.files()) == 3
    with pytest.raises(wandb.errors.CommError, match="list index out of range"):
        run.file("missing")


def test_a_file_downloads_through_the_redirect_without_leaking_the_key(
    run: Any, server: Sandbox, tmp_path: Path
) -> None:
    server.requests.clear()
    file = run.file("a/b.txt")
    assert (file.size, file.md5) == (5, "XUFAKrxLKna5cZ2REBfFkg==")
    with file.download(root=str(tmp_path)) as handle:
        assert handle.read() == "hello"
    (redirect,) = server.requests.select(kind="files")
    assert (redirect.status, redirect.authorized) == (302, True)
    assert server.requests.count(kind="storage") >= 1
    assert server.requests.leaks() == []


def test_upload_file_registers_without_reviving_the_run(
    run: Any, record: RunRecord, server: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up.txt").write_text("uploaded")
    file = run.upload_file(str(tmp_path / "sub" / "up.txt"), root=str(tmp_path))
    assert (file.name, file.size) == ("sub/up.txt", 8)
    assert record.state == "finished"
    assert server.requests.count("MarkRunFilesUploaded") > 0


def test_an_upload_to_a_self_hosted_server_waits_for_the_mark(
    run: Any, record: RunRecord, server: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.state, "files_register_on_put", False)
    (tmp_path / "up.txt").write_text("uploaded")
    assert run.upload_file(str(tmp_path / "up.txt"), root=str(tmp_path)).name == "up.txt"
    assert record.files["up.txt"].listed


def test_a_file_can_be_deleted(run: Any, record: RunRecord) -> None:
    run.file("d.txt").delete()
    assert "d.txt" not in record.files


def test_console_logs_page_forward_and_give_a_tail(run: Any) -> None:
    assert [line.content for line in run.console_logs(per_page=2)] == ["first", "second", "third"]
    assert [(line.number, line.content) for line in run.console_logs(last=2)] == [(1, "second"), (2, "third")]


def test_a_run_that_never_wrote_has_no_console(api: Any, server: Sandbox, project: str) -> None:
    server.state.add_run(ENTITY, project, "quiet")
    assert list(api.run(f"{ENTITY}/{project}/quiet").console_logs()) == []


def test_projects_are_created(api: Any, server: Sandbox, project: str) -> None:
    api.create_project(project, ENTITY)
    assert server.state.project(ENTITY, project).name == project
