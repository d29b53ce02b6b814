"""What is changed on the page goes to the outbox, as `Run.update` would put it there; nothing is overwritten unseen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import mirror
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.records.operations import Stop
from tests.gateway.served import served
from tests.mirroring import ENTITY, PROJECT, SOURCE
from tests.web.site import Site, run_of


@pytest.fixture(scope="module")
def home(pulled: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A copy whose runs may be changed."""
    root = tmp_path_factory.mktemp("changed") / "home"
    shutil.copytree(pulled.root, root)
    return Home(root)


@pytest.fixture(scope="module")
def changed(home: Home) -> Iterator[Site]:
    """Its page."""
    with served(home) as gateway:
        yield Site(gateway)


def edit(site: Site, run_id: str, **changes: tuple[Any, Any]) -> Any:
    """Send changes, each what a value was and what it shall be."""
    named = {name.replace("__", "."): {"was": was, "is": is_} for name, (was, is_) in changes.items()}
    return site.post("edit", {"run": run_of(run_id), "changes": named})


def test_an_edit_is_queued_and_shown_at_once_wherever_one_looks(changed: Site, home: Home) -> None:
    answer = edit(changed, "run02", name=("adam-2", "better"), tags=(["t"], ["t", "x"]), config__lr=(0.1 / 3, 7))
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["queued"]) == 1
    found = changed.get("run", run=run_of("run02"))
    assert (found["name"], found["tags"], found["config"]["lr"]) == ("better", ["t", "x"], 7)
    assert [entry["state"] for entry in found["pending"]] == ["new"]
    row = changed.get("runs", project=SOURCE, search="better", columns=["config.lr"])["rows"][0]
    assert (row["id"], row["pending"], row["cells"]) == ("run02", 1, [7])
    run = mirror.Api(str(home.root)).run(f"{SOURCE}/run02")
    assert (run.name, run.tags, run.config["lr"]) == ("better", ["t", "x"], 7)
    assert changed.get("pulse")["outbox"]["new"] == 1
    (entry,) = [one for one in changed.get("outbox")["entries"] if one["run_id"] == "run02"]
    assert "display_name" in entry["wish"]


def test_what_somebody_changed_meanwhile_is_not_overwritten(changed: Site, home: Home) -> None:
    run = mirror.Api(str(home.root)).run(f"{SOURCE}/run03")
    run.notes = "from elsewhere"
    run.update()
    answer = edit(changed, "run03", notes=("", "mine"))
    assert answer.status_code == 409
    assert changed.get("run", run=run_of("run03"))["notes"] == "from elsewhere"


def test_a_state_is_queued_where_wandb_knows_the_transition(changed: Site) -> None:
    assert changed.get("run", run=run_of("run04"))["states"] == []
    assert edit(changed, "run04", state=("finished", "running")).status_code == 400
    assert changed.get("run", run=run_of("run04"))["pending"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"run": "a/b/c"}', b'{"run": 1, "changes": {}}'])
def test_what_is_no_change_is_refused_in_one_sentence(changed: Site, body: bytes) -> None:
    answer = httpx.post(
        f"{changed.served.url}/-/data/edit", content=body, headers={"x-wandb-mirror": "page"},
        auth=("api", changed.served.key),
    )  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["error"]
    odd_changes: list[dict[str, tuple[Any, Any]]] = [
        {"summary": ({}, {})}, {"tags": (["t"], 5)}, {"tags": (["t"], [1])}, {"name": ("sgd-5", ["x"])},
        {"state": ("finished", None)}, {"state": ("finished", 1)},
    ]  # fmt: skip
    for odd in odd_changes:
        answer = edit(changed, "run05", **odd)
        assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert changed.get("run", run=run_of("run05"))["pending"] == []


def test_entries_are_retried_resolved_and_dropped(changed: Site, home: Home) -> None:
    outbox = Outbox(home)
    path = RunPath(ENTITY, PROJECT, "run06")
    claimed = outbox.claim(outbox.put(path, "id", Stop()))
    assert claimed is not None
    assert changed.post("decide", {"id": claimed.id, "what": "retry"}).status_code == 400  # a replay is at it
    held = outbox.hold(claimed, "somebody else")
    assert changed.post("decide", {"id": held.id, "what": "theirs"}).json()["done"] == "resolved as theirs"
    assert outbox.get(held.id).entry.resolved == "theirs"
    assert changed.post("decide", {"id": held.id, "what": "ours"}).status_code == 400  # in conflict no more
    assert changed.post("decide", {"id": held.id, "what": "retry"}).json()["done"]
    assert changed.post("decide", {"id": held.id, "what": "burn"}).status_code == 400
    assert changed.post("decide", {"id": held.id, "what": "drop"}).status_code == 200
    assert list(outbox.of_run(path)) == []
    assert changed.get("outbox")["receipts"][0]["outcome"] == "dropped"
    assert changed.post("decide", {"id": "nothing", "what": "retry"}).status_code == 404


def test_a_diff_says_what_would_be_sent_and_against_what(changed: Site, home: Home) -> None:
    edit(changed, "run07", name=("sgd-7", "other"))
    (entry,) = [one for one in changed.get("outbox")["entries"] if one["run_id"] == "run07"]
    found = changed.get("diff", id=entry["id"])
    assert found["against"] == "mirror"  # no server is there
    (operation,) = found["operations"]
    (change,) = operation["changes"]
    assert (change["upstream"], change["wanted"]) == ({"value": "sgd-7"}, {"value": "other"})


def test_a_read_only_gateway_changes_nothing(pulled: Home, tmp_path: Path) -> None:
    with served(pulled, "--read-only", log=tmp_path / "log") as gateway:
        site = Site(gateway)
        answer = edit(site, "run00", name=("adam-0", "x"))
        assert answer.status_code == 403
        assert site.post("decide", {"id": "x", "what": "drop"}).status_code == 403
        assert site.post("sql", {"query": "SELECT 1"}).status_code == 200
