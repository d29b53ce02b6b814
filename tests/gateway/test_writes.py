"""Changes through the gateway: what they are based on, those of many runs, and those that are refused at once."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import mirror as local
from mirror.gateway.http.uploads import GIVES_WAY_S, MOST_AT_ONCE
from mirror.layout import Home
from mirror.outbox import OutboxReader
from mirror.sandbox import Sandbox
from mirror.wandb_protocol.wire import config_envelope
from tests.gateway.conftest import sdk
from tests.gateway.served import Served, environment, served
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror
from tests.replaying import Sender

CREATE_FILES = """mutation CreateRunFiles($e: String!, $p: String!, $r: String!, $f: [String!]!) {
  createRunFiles(input: {entityName: $e, projectName: $p, runName: $r, files: $f}) {
    runID uploadHeaders files { name uploadUrl } } }"""
MODIFY = """mutation ModifyRuns($ids: [String], $filters: JSONString, $add: [String], $remove: [String]) {
  modifyRuns(input: {entityName: "team", projectName: "proj", ids: $ids, filters: $filters, addTags: $add,
    removeTags: $remove}) { runs { id name tags } } }"""


@dataclass(frozen=True)
class Place:
    """A server, its mirror, and the gateway over it."""

    sandbox: Sandbox
    mirror: Mirror
    gateway: Served

    def run(self, run_id: str) -> Any:
        """A run as the SDK reads it from the gateway."""
        return sdk(self.gateway.url, self.gateway.key).run(f"{SOURCE}/{run_id}")

    def pending(self, run_id: str) -> list[Any]:
        """What is queued of a run."""
        return [item.operation for item in local.Api(self.mirror.home).run(f"{SOURCE}/{run_id}").pending]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Sandbox.start() as sandbox:
        sandbox.state.add_sweep("team", "proj", "sweep1", config_text="method: grid\nparameters: {}\n")
        for number in range(8):
            sandbox.state.add_run(
                ENTITY, PROJECT, f"r{number}", config={"lr": 0.1, "kept": 1}, tags=["a"],
                summary={"loss": float("nan"), "acc": 1}, state="running" if number == 7 else "finished",
            )  # fmt: skip
        found = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=Home(tmp_path_factory.mktemp("writes") / "home"))
        found.pull()
        with served(found.home) as gateway:
            yield Place(sandbox=sandbox, mirror=found, gateway=gateway)


def _change(place: Place, run_id: str) -> None:
    """Somebody else changes the learning rate upstream."""
    run = place.sandbox.state.run(ENTITY, PROJECT, run_id)
    run.config_text = json.dumps(config_envelope({"lr": 0.9, "kept": 1}))
    place.sandbox.clock.advance(60)
    place.sandbox.state.changed(run)


def test_a_change_is_based_on_what_its_client_saw_and_reverts_nothing_that_came_meanwhile(place: Place) -> None:
    run = place.run("r0")
    assert run.config["lr"] == 0.1
    upstream = place.sandbox.state.run(ENTITY, PROJECT, "r0")
    _change(place, "r0")
    upstream.tags.append("theirs")
    place.mirror.pull()
    assert place.run("r0").config["lr"] == 0.9  # another client is told the new value
    run.notes = "mine"
    run.update()
    (edit,) = place.pending("r0")
    assert (set(edit.fields), edit.config, edit.summary) == ({"notes"}, {}, {})
    run.config["kept"] = 2  # the same object, which still shows the old learning rate
    run.update()
    assert set(place.pending("r0")[-1].config) == {"kept"}
    replayed = Sender(url=place.sandbox.url, api_key=place.sandbox.api_key, home=place.mirror.home).replay()
    assert (replayed.held, replayed.buried) == (0, 0)
    assert (upstream.notes, upstream.tags) == ("mine", ["a", "theirs"])
    values = {key: item["value"] for key, item in json.loads(upstream.config_text or "").items() if key != "_wandb"}
    assert values == {"lr": 0.9, "kept": 2}


def test_a_value_that_its_client_saw_and_somebody_changed_is_a_conflict(place: Place) -> None:
    run = place.run("r1")
    run.config["lr"] = 0.5
    _change(place, "r1")
    place.mirror.pull()
    run.update()
    assert place.pending("r1")[0].config["lr"].base == 0.1
    replayed = Sender(url=place.sandbox.url, api_key=place.sandbox.api_key, home=place.mirror.home).replay()
    assert replayed.held == 1


def test_numbers_that_a_clients_json_cannot_spell_are_no_change(place: Place) -> None:
    mutation = """mutation U($id: String, $s: JSONString) {
      upsertBucket(input: {id: $id, summaryMetrics: $s}) { bucket { id } } }"""
    run = place.run("r2")
    for spelled in ('{"loss": null, "acc": 1}', '{"loss": "NaN", "acc": 1}', '{"loss": NaN, "acc": 1}'):
        assert "errors" not in place.gateway.ask(mutation, id=run.storage_id, s=spelled)
    assert place.pending("r2") == []


def test_tags_of_many_runs_are_added_and_removed_by_ids_or_by_filters(place: Place) -> None:
    ids = [place.run(name).storage_id for name in ("r3", "r4")]
    answer = place.gateway.ask(MODIFY, ids=ids, add=["b"], remove=["a"])
    assert {run["name"]: run["tags"] for run in answer["data"]["modifyRuns"]["runs"]} == {"r3": ["b"], "r4": ["b"]}
    by_filter = place.gateway.ask(MODIFY, filters='{"tags": "b"}', add=["c", "b"])
    assert {run["name"] for run in by_filter["data"]["modifyRuns"]["runs"]} == {"r3", "r4"}
    assert place.run("r3").tags == ["b", "c"]
    assert len(place.pending("r3")) == 1  # folded into one edit


def test_a_run_is_made_changed_and_given_a_file_before_the_server_knows_it(place: Place, tmp_path: Path) -> None:
    from wandb.apis.public import Run

    api = sdk(place.gateway.url, place.gateway.key)
    made = Run.create(api, run_id="made", project=PROJECT, entity=ENTITY, state="pending")
    made = api.run(f"{SOURCE}/made")
    made.name = "made here"
    made.config["lr"] = 1
    made.update()
    (tmp_path / "f.txt").write_text("bytes")
    made.upload_file(str(tmp_path / "f.txt"), root=str(tmp_path))
    assert [type(operation).__name__ for operation in place.pending("made")] == ["Create", "Edit", "UploadFile"]
    Sender(url=place.sandbox.url, api_key=place.sandbox.api_key, home=place.mirror.home).replay()
    upstream = place.sandbox.state.run(ENTITY, PROJECT, "made")
    assert (upstream.display_name, upstream.state, list(upstream.files)) == ("made here", "pending", ["f.txt"])
    made.notes = "by the id that it had before"
    made.update()
    assert [set(operation.fields) for operation in place.pending("made")] == [{"notes"}]


def test_deletions_by_filters_and_of_runs_that_are_gone(place: Place) -> None:
    mutation = """mutation D($f: JSONString!) {
      deleteRuns(input: {entityName: "team", projectName: "proj", filters: $f}) { errors } }"""
    assert place.gateway.ask(mutation, f='{"name": "r5"}')["data"] == {"deleteRuns": {"errors": None}}
    assert [type(operation).__name__ for operation in place.pending("r5")] == ["Delete"]
    run = place.run("r5")  # by its path it can be read on, as a run that was deleted upstream
    assert "r5" not in [listed.id for listed in sdk(place.gateway.url, place.gateway.key).runs(SOURCE)]
    mine = local.Api(place.mirror.home)
    assert "r5" not in [listed.id for listed in mine.runs(SOURCE)]
    assert "r5" in [listed.id for listed in mine.runs(SOURCE, with_gone=True)]
    Sender(url=place.sandbox.url, api_key=place.sandbox.api_key, home=place.mirror.home).replay()
    run.delete()  # W&B's answer is no error
    run.notes = "too late"
    with pytest.raises(Exception, match="was deleted upstream"):
        run.update()


def test_state_changes_that_w_and_b_does_not_know_are_refused(place: Place) -> None:
    with pytest.raises(Exception, match="a run that is running cannot become 'finished'"):
        place.run("r7").update_state("finished")
    answer = place.gateway.ask(
        'mutation { upsertBucket(input: {entityName: "team", modelName: "proj", name: "r7", state: "no"}) {inserted} }'
    )
    assert "updateRunState does" in answer["errors"][0]["message"]
    assert place.pending("r7") == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "", "a//b", "x\0y", "..\\up", "n" * 2000]
)
def test_names_that_lead_out_of_a_run_are_refused(name: str, place: Place) -> None:
    answer = place.gateway.post(
        {"query": CREATE_FILES, "variables": {"e": ENTITY, "p": PROJECT, "r": "r6", "f": [name]}}
    )
    assert answer.status_code == 400
    assert "is no name of a file in a run" in answer.json()["errors"][0]["message"]


def _upload_url(place: Place, name: str = "up.txt") -> str:
    url: str = place.gateway.ask(CREATE_FILES, e=ENTITY, p=PROJECT, r="r6", f=[name])["data"]["createRunFiles"][
        "files"
    ][0]["uploadUrl"]
    return url


def test_an_upload_address_writes_one_file_and_reads_nothing(place: Place) -> None:
    url = _upload_url(place)
    assert httpx.get(url).status_code == 403
    other = _upload_url(place, "other.txt")
    path, query = other.partition("?")[0], url.partition("?")[2]
    assert httpx.put(f"{path}?{query}", content=b"x").status_code == 403
    assert place.pending("r6") == []
    for _ in range(2):  # a client whose answer was lost puts the same bytes again
        assert httpx.put(url, content=b"bytes").status_code == 200
    assert [operation.name for operation in place.pending("r6")] == ["up.txt"]


def test_no_other_user_of_the_machine_reads_what_the_gateway_writes(place: Place) -> None:
    root = place.mirror.home.root
    before = set(root.rglob("*"))
    assert httpx.put(_upload_url(place, "private.txt"), content=b"private bytes").status_code == 200
    # The catalog's own files have the mode of the catalog, which the test itself made.
    written = [path for path in root.rglob("*") if path not in before and path.is_file() and path.parent.name != "lake"]
    assert len(written) >= 2  # the bytes and the entry
    modes = {path: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (*written, place.mirror.home.gateway_key)}
    assert not any(modes.values()), modes
    command_line = Path(f"/proc/{place.gateway.pid}/cmdline")
    assert not command_line.exists() or place.gateway.key.encode() not in command_line.read_bytes()


def test_a_read_only_gateway_takes_no_change(place: Place) -> None:
    url = _upload_url(place, "late.txt")
    before = OutboxReader(place.mirror.home).counts()
    with served(place.mirror.home, "--read-only") as gateway:
        run = sdk(gateway.url, gateway.key).run(f"{SOURCE}/r6")
        run.notes = "no"
        with pytest.raises(Exception, match="read-only: nothing can be changed through it"):
            run.update()
        late = httpx.put(url.replace(place.gateway.url, gateway.url), content=b"x")
        assert (late.status_code, "read-only" in late.text) == (403, True)
    assert OutboxReader(place.mirror.home).counts() == before


def test_a_file_that_is_too_long_is_refused_and_leaves_nothing(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "mirror.toml"
    config.write_text("[serve]\nupload_max_mb = 1\n", encoding="utf-8")
    url = _upload_url(place, "long.bin")
    before = OutboxReader(place.mirror.home).counts()
    with served(place.mirror.home, "--config", str(config)) as gateway:
        for content in (b"x" * 2_000_000, (b"x" * 100_000 for _ in range(20))):  # with a length, and without
            answer = httpx.put(url.replace(place.gateway.url, gateway.url), content=content)
            assert (answer.status_code, "a file may have 1000000 bytes" in answer.text) == (413, True)
    assert OutboxReader(place.mirror.home).counts() == before
    assert not list(place.mirror.home.partial.glob("upload-*"))


def test_uploads_that_stall_give_way_to_others(place: Place) -> None:
    url = _upload_url(place, "slow.bin")
    host, port = place.gateway.url.removeprefix("http://").split(":")
    path = url.removeprefix(place.gateway.url)
    request = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx"
    with contextlib.ExitStack() as opened:
        for _ in range(MOST_AT_ONCE):
            opened.enter_context(socket.create_connection((host, int(port)))).sendall(request.encode())
        time.sleep(1)
        assert httpx.put(url, content=b"fast", timeout=GIVES_WAY_S + 10).status_code == 200


def test_a_part_of_a_file_and_packed_bytes_are_refused(place: Place) -> None:
    url = _upload_url(place, "part.bin")
    for header in ({"content-range": "bytes 0-1/5"}, {"content-encoding": "gzip"}):
        answer = httpx.put(url, content=b"zz", headers=header)
        assert (answer.status_code, next(iter(header)) in answer.json()["errors"][0]["message"]) == (400, True)


AGENT = "import wandb; wandb.Api(); from wandb.cli.cli import cli; cli(['agent', '--count', '1', 'team/proj/sweep1'])"


def test_an_agent_of_a_sweep_is_refused_in_one_sentence_and_at_once(place: Place, tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", AGENT], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env=environment(place.mirror.home) | {
            "WANDB_BASE_URL": place.gateway.url, "WANDB_API_KEY": place.gateway.key, "PYTHONWARNINGS": "ignore",
            "WANDB_DIR": str(tmp_path), "WANDB_ERROR_REPORTING": "false", "PATH": os.environ["PATH"],
        },
    )  # fmt: skip
    took = time.monotonic() - began
    assert done.returncode != 0
    assert "wandb-mirror cannot carry out a sweep" in done.stderr, done.stderr
    assert "is not mirrored" not in done.stderr
    assert took < 20, took


def test_lines_of_a_run_that_nobody_trains_here_are_refused(place: Place) -> None:
    streamed = httpx.post(
        f"{place.gateway.url}/files/team/proj/r6/file_stream", json={"files": {}}, auth=("api", place.gateway.key)
    )
    assert (streamed.status_code, "no process trains team/proj/r6 here" in streamed.text) == (404, True)


@pytest.mark.parametrize("run_id", ["../x", "a/b", "a?b", " a", "", "it's"])
def test_ids_that_no_new_run_can_have_are_refused_by_gateway_and_mirror(run_id: str, place: Place) -> None:
    create = """mutation C($name: String) { upsertBucket(input: {entityName: "team", modelName: "proj", name: $name}) {
      bucket { id } } }"""
    answer = place.gateway.ask(create, name=run_id)
    assert answer["data"]["upsertBucket"] is None
    if run_id:  # without one, a run is given one
        assert "a run id" in answer["errors"][0]["message"]
        with pytest.raises(local.CommError, match="a run id"):
            local.Api(place.mirror.home).create_run(run_id=run_id, project=PROJECT, entity=ENTITY)


def test_a_change_that_the_schema_lacks_is_refused_in_one_sentence(place: Place) -> None:
    for change in ("deleteProject(input: {id: 1}) { success }", "upsertThing(input: $i) { id name }"):
        (error,) = place.gateway.ask(f"mutation M($i: UpsertThingInput!) {{ {change} }}")["errors"]
        assert 'on type "Mutation": wandb-mirror does not have this, only the W&B server may' in error["message"]
