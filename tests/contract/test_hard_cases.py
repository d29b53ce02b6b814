"""Odd names, large projects and broken transfers, as the SDK meets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mirror.sandbox import Fault, Sandbox

from .conftest import ENTITY
from .test_live_runs import begin

ROWS = [{"_step": i, "loss": float(i)} for i in range(10)]


@pytest.mark.parametrize("name", ["two words", "100%", "ünï-☃", 'quo"te', "a+b&c=d"])
def test_runs_with_odd_ids_are_read_and_their_files_downloaded(
    api: Any, server: Sandbox, project: str, tmp_path: Path, name: str
) -> None:
    server.state.add_run(ENTITY, project, name, history=ROWS, files={"dir x/ünï %20.txt": b"odd"})
    (run,) = api.runs(f"{ENTITY}/{project}", filters={"name": name})
    assert run.id == name
    assert [row["_step"] for row in run.scan_history(use_cache=False)] == list(range(10))
    with run.file("dir x/ünï %20.txt").download(root=str(tmp_path)) as handle:
        assert handle.read() == "odd"


@pytest.mark.parametrize("run_id", ["two words", "ünï-☃", "a+b&c=d"])
def test_runs_with_odd_ids_are_logged(server: Sandbox, project: str, run_id: str) -> None:
    run = begin(project, run_id)
    run.log({"a": 1})
    run.finish()
    record = server.state.run(ENTITY, project, run_id)
    assert record.state == "finished"
    assert [row["a"] for row in record.history] == [1]


def test_a_page_size_over_the_limit_still_lists_everything(api: Any, server: Sandbox, project: str) -> None:
    for i in range(1200):
        server.state.add_run(ENTITY, project, f"r{i}")
    runs = api.runs(f"{ENTITY}/{project}", per_page=5000)
    assert len({run.id for run in runs}) == 1200


def test_expired_export_urls_are_reported_and_not_raised(
    api: Any, server: Sandbox, project: str, tmp_path: Path
) -> None:
    server.state.add_run(ENTITY, project, "r", history=ROWS, parts=2)
    run = api.run(f"{ENTITY}/{project}/r")
    server.faults.add(Fault.expired_urls())
    result = run.download_history_exports(tmp_path)
    assert len(result.errors) == 2


def test_the_sdk_takes_a_truncated_file_for_whole(api: Any, server: Sandbox, project: str, tmp_path: Path) -> None:
    server.state.add_run(ENTITY, project, "r", files={"f.txt": b"0123456789"})
    file = api.run(f"{ENTITY}/{project}/r").file("f.txt")
    server.faults.add(Fault.truncate_body(keep=0.5))
    with file.download(root=str(tmp_path)) as handle:
        assert handle.read() == "01234"
    assert file.size == 10


def test_the_sdk_reads_on_after_an_outage(api: Any, server: Sandbox, project: str) -> None:
    server.state.add_run(ENTITY, project, "r")
    path = f"{ENTITY}/{project}/r"
    assert api.run(path).state == "finished"
    with server.outage():
        pass
    api.flush()
    assert api.run(path).state == "finished"
