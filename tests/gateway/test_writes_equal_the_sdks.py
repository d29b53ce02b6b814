"""The SDK's writes against the gateway, with the server away, then delivered: the server ends as if it had been asked.

Each write is done by the same SDK to twin runs: to one at the server, to the other at the gateway.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mirror as local
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.both import typed
from tests.contract.conftest import ENTITY
from tests.contract.test_local_writes_equal_sdk import STATES, WRITES, Write, _made, _shown
from tests.gateway.conftest import sdk
from tests.gateway.served import COMMAND, environment, served
from tests.mirroring import Mirror
from tests.replaying import Sender

PROJECT = "writes"
PATH = f"{ENTITY}/{PROJECT}"


def _twice(run: Any, _: Path) -> None:
    run.notes = "first"
    run.update()
    run.config["lr"] = 0.3
    run.update()
    run.summary["best"] = 2
    run.summary.update()


def _upload_twice(run: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for content in ("first", "second"):
        (folder / "twice.txt").write_text(content)
        run.upload_file(str(folder / "twice.txt"), root=str(folder))


def _upload_and_delete(run: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "short.txt").write_text("short-lived")
    run.upload_file(str(folder / "short.txt"), root=str(folder)).delete()


ALL: dict[str, Write] = {
    **WRITES,
    "two updates": _twice,
    "two uploads": _upload_twice,
    "an upload and its deletion": _upload_and_delete,
    "delete with artifacts": lambda run, _: run.delete(delete_artifacts=True),
    "failed": lambda run, _: run.update_state("failed"),
}
_STATES = {**STATES, "failed": "running"}


@dataclass(frozen=True)
class Written:
    """What came of all writes."""

    place: Mirror
    shown: dict[str, tuple[Any, Any]]  # by write: the run at the gateway and in `mirror.Api`, before anything is sent
    kinds: dict[str, set[str]]  # of what was queued
    listed: str  # by `wandb-mirror outbox`
    sandbox: Sandbox


def _seen(run: Any) -> Any:
    return typed(
        [run.state, sorted(run.tags or []), run.notes, run.name, run.group, run.job_type, run.description, run.config,
         dict(run.summary_metrics), sorted(file.name for file in run.files())]
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    folder = tmp_path_factory.mktemp("writes")
    with Sandbox.start() as sandbox:
        for name in ALL:
            for who in ("theirs", "ours"):
                _made(sandbox, PROJECT, f"{name} {who}", _STATES.get(name, "finished"))
        place = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=Home(folder / "home"), sources=(PATH,))
        assert place.pull().errors == []
        online = sdk(sandbox.url, sandbox.api_key)
        for name, write in ALL.items():
            write(online.run(f"{PATH}/{name} theirs"), folder / name / "theirs")
        shown, kinds = {}, {}
        with sandbox.outage(), served(place.home) as gateway:
            ours = sdk(gateway.url, gateway.key)
            for name, write in ALL.items():
                write(ours.run(f"{PATH}/{name} ours"), folder / name / "ours")
                mine = local.Api(place.home).run(f"{PATH}/{name} ours")
                kinds[name] = {item.kind for item in mine.pending}
                shown[name] = (
                    _seen(sdk(gateway.url, gateway.key).run(f"{PATH}/{name} ours")), _seen(mine)
                )  # fmt: skip
        done = subprocess.run(
            [*COMMAND, "outbox", "list", "--json"],
            env=environment(place.home),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        sender = Sender(url=sandbox.url, api_key=sandbox.api_key, home=place.home)
        replayed = sender.replay()
        assert (replayed.buried, replayed.held, replayed.put_back, sender.counts()) == (0, 0, 0, {})
        yield Written(place=place, shown=shown, kinds=kinds, listed=done.stdout, sandbox=sandbox)


@pytest.mark.parametrize("name", ALL)
def test_a_write_ends_on_the_server_as_if_it_had_been_there(name: str, written: Written) -> None:
    runs = written.sandbox.state.project(ENTITY, PROJECT).runs
    assert typed(_shown(runs.get(f"{name} ours"))) == typed(_shown(runs.get(f"{name} theirs")))


@pytest.mark.parametrize("name", ALL)
def test_a_write_shows_at_once_at_the_gateway_as_in_the_local_api(name: str, written: Written) -> None:
    at_gateway, in_api = written.shown[name]
    assert at_gateway == in_api


def test_writes_are_the_operations_that_the_local_run_queues(written: Written) -> None:
    assert {name: kinds for name, kinds in written.kinds.items() if kinds != {"edit"}} == {
        "no fields": set(), "nothing changed": set(), "upload_file": {"upload_file"}, "two uploads": {"upload_file"},
        "an upload and its deletion": {"upload_file", "delete_file"}, "delete a file": {"delete_file"},
        "pending": {"update_state"}, "failed": {"update_state"}, "stop": {"stop"},
        "delete": {"delete"}, "delete with artifacts": {"delete"},
    }  # fmt: skip
    assert {entry["run_id"] for entry in json.loads(written.listed)} == {
        f"{name} ours" for name, kinds in written.kinds.items() if kinds
    }


def test_what_was_delivered_has_receipts(written: Written) -> None:
    rows = written.place.ask("SELECT DISTINCT outcome FROM receipts")
    assert [row["outcome"] for row in rows] == ["applied"]
