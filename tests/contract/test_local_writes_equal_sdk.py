"""The same writes on twin runs, by the SDK at once and by the mirror offline, then replayed: the server ends alike."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import mirror as local
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import RunRecord
from tests.contract.both import no_sockets, typed
from tests.contract.conftest import ENTITY
from tests.mirroring import Mirror
from tests.replaying import Sender

Write = Callable[[Any, Path], Any]


def _fields(run: Any, _: Path) -> None:
    run.tags.append("new")
    run.notes = "noted\nover lines"
    run.name = "another name ü"
    run.group = "g"
    run.job_type = "eval"
    run.description = "what it is"
    run.update()


def _config(run: Any, _: Path) -> None:
    run.config["lr"] = 0.5
    run.config["added"] = {"deep": [1, 2.5, None, True]}
    del run.config["gone"]
    run.save()


def _summary(run: Any, _: Path) -> None:
    run.summary["best"] = 0.75
    run.summary.update({"nested": {"a": 1}, "list": [1, 2]})
    del run.summary["old"]
    run.summary.update()


def _upload(run: Any, folder: Path) -> None:
    source = folder / "sub" / "f.txt"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(b"bytes \x00 of a file")
    file = run.upload_file(str(source), root=str(folder))
    assert (file.name, file.size) == ("sub/f.txt", 17)
    source.write_bytes(b"changed afterwards")


def _nothing(run: Any, _: Path) -> None:
    for name in ("notes", "description", "name", "group", "job_type", "tags"):
        setattr(run, name, None)
    run.update()


def _cleared(run: Any, _: Path) -> None:
    run.tags, run.name = [], ""
    run.update()


def _not_finite(run: Any, _: Path) -> None:
    run.config["nan"] = math.nan
    run.config["deep"] = [1.5, {"a/b~": math.inf, "c": [-math.inf, "NaN"]}]
    run.config["word"] = "NaN"
    run.summary.update({"list": [math.nan, 1], "word": "Infinity"})
    run.update()


def _arrays(run: Any, _: Path) -> None:
    big = numpy.linspace(-1, 3, 100)
    run.summary.update(
        {"small": numpy.arange(32), "big": big, "whole": numpy.arange(50), "square": numpy.ones((9, 9), "float32"),
         "nested": {"big": big, "one": numpy.float32(1.5)}, "true": numpy.bool_(True), "list": [numpy.int64(3)]}
    )  # fmt: skip


WRITES: dict[str, Write] = {
    "no fields": _nothing,
    "cleared fields": _cleared,
    "not finite": _not_finite,
    "arrays": _arrays,
    "fields": _fields,
    "config": _config,
    "summary": _summary,
    "upload_file": _upload,
    "delete a file": lambda run, _: run.file("there.txt").delete(),
    "pending": lambda run, _: run.update_state("pending"),
    "stop": lambda run, _: run.stop(),
    "delete": lambda run, _: run.delete(),
    "nothing changed": lambda run, _: run.update(),
}
STATES = {"pending": "failed", "stop": "running"}


def _made(server: Sandbox, project: str, run_id: str, state: str) -> RunRecord:
    return server.state.add_run(
        ENTITY, project, run_id, state=state, tags=["a"], display_name="twin",
        config={"lr": 0.1, "gone": 1, "kept": "x"}, summary={"old": 1, "kept": 2**60}, files={"there.txt": b"there"},
    )  # fmt: skip


def _shown(run: RunRecord | None) -> Any:
    """What of a run the server holds, but for its names and times."""
    if run is None:
        return None
    return {
        "state": run.state, "tags": run.tags, "notes": run.notes, "name": run.display_name, "group": run.group,
        "job_type": run.job_type, "description": run.description, "stop": run.stop_requested,
        "config": json.loads(run.config_text or "{}"), "summary": json.loads(run.summary_text or "{}"),
        "files": {name: (file.size, file.md5) for name, file in sorted(run.files.items())},
    }  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_a_write_ends_on_the_server_as_the_sdks(
    name: str, server: Sandbox, api: Any, project: str, tmp_path: Path
) -> None:
    for run_id in ("theirs", "ours"):
        _made(server, project, run_id, STATES.get(name, "finished"))
    place = Mirror(
        url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"), sources=(f"{ENTITY}/{project}",)
    )
    assert place.pull().errors == []
    before = _shown(server.state.run(ENTITY, project, "ours"))
    returned = WRITES[name](api.run(f"{ENTITY}/{project}/theirs"), tmp_path / "theirs")
    with no_sockets():
        run = local.Api(place.home).run(f"{ENTITY}/{project}/ours")
        assert WRITES[name](run, tmp_path / "ours") == returned
        again = local.Api(place.home).run(f"{ENTITY}/{project}/ours")
        assert [item.id for item in again.pending] == [item.id for item in run.pending]
        assert (again.state, typed(again.config)) == (run.state, typed(run.config))
        assert typed(again.summary_metrics) == typed(run.summary_metrics)
    assert _shown(server.state.run(ENTITY, project, "ours")) == before  # nothing was sent yet
    sender = Sender(url=server.url, api_key=server.api_key, home=place.home)
    replayed = sender.replay()
    assert (replayed.buried, replayed.held, replayed.put_back, sender.counts()) == (0, 0, 0, {})
    runs = server.state.project(ENTITY, project).runs
    assert typed(_shown(runs.get("ours"))) == typed(_shown(runs.get("theirs")))


def test_a_run_made_offline_is_the_run_that_the_sdk_makes(
    server: Sandbox, api: Any, project: str, tmp_path: Path
) -> None:
    from wandb.apis.public import Run

    server.state.add_run(ENTITY, project, "first")
    place = Mirror(
        url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"), sources=(f"{ENTITY}/{project}",)
    )
    place.pull()
    Run.create(api, run_id="theirs", project=project, entity=ENTITY, state="pending")
    with no_sockets():
        mine = local.Run.create(local.Api(place.home), run_id="ours", project=project, entity=ENTITY, state="pending")
        assert (mine.id, mine.state, [item.kind for item in mine.pending]) == ("ours", "pending", ["create"])
        assert "ours" in [run.id for run in local.Api(place.home).runs(f"{ENTITY}/{project}")]
    assert Sender(url=server.url, api_key=server.api_key, home=place.home).replay().applied == 1
    theirs, ours = (server.state.run(ENTITY, project, name) for name in ("theirs", "ours"))
    assert ours.state == theirs.state == "pending"
    assert local.Api(place.home).run(f"{ENTITY}/{project}/ours").storage_id == ours.id
