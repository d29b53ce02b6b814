"""What `replay --dry-run` foretells is what a replay then does, whatever the server holds and whatever waits."""

from __future__ import annotations

import datetime as dt
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from mirror.clock import utc_now
from mirror.layout import Home
from mirror.records.operations import (
    Change,
    Create,
    Delete,
    DeleteFile,
    Edit,
    EditArtifact,
    Entry,
    LogArtifact,
    Operation,
    Stop,
    UpdateState,
    UseArtifact,
)
from mirror.replay import Result
from mirror.replay.merge import Policy
from mirror.sandbox import Fault, Sandbox
from mirror.sandbox.state.records import ArtifactRecord
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.outbox.conftest import IN_MEMORY
from tests.replaying import Sender

STATES = ["pending", "running", "failed", "finished", "preempted"]
DOCUMENTS = [None, "{}", '{"a": {"value": 1}}', '{"a": {"value": "theirs"}, "b": 2}', "[1]", "{", '{"a": NaN}']
TEXTS = [None, "", "old", "new", "theirs"]
BODIES = [None, b"one", b"two"]
FLAWED = ["Run.config", "Run.summaryMetrics", "Run.notes", "Run.state", "Run.tags", "Run.files"]


class Endings:
    """A watcher that remembers."""

    is_stopping = False

    def __init__(self) -> None:
        self.results: dict[str, str] = {}

    def ended(self, entry: Entry, result: Result, words: str | None) -> None:
        """Remember; what is put back waits."""
        self.results[entry.id] = "waiting" if result == "put_back" else result


class Chance:
    """A random server and random wishes."""

    def __init__(self, chance: random.Random, sandbox: Sandbox, sender: Sender) -> None:
        self.pick = chance.choice
        self.odds = chance.random
        self.sandbox = sandbox
        self.sender = sender
        self.artifacts: list[ArtifactRecord] = []

    def runs_upstream(self) -> None:
        """Some runs, and somebody else's hand in them."""
        self.artifacts = [self.sandbox.state.add_artifact(ENTITY, PROJECT, f"set{number}") for number in range(2)]
        self.artifacts[1].state = self.pick(["COMMITTED", "DELETED"])
        for name in ("r0", "r1"):
            if self.odds() < 0.8:
                self.sandbox.state.add_run(ENTITY, PROJECT, name, state=self.pick(STATES))
                self.touch(name)

    def touch(self, name: str) -> None:
        """Somebody else changes a run, deletes it, or makes it."""
        state = self.sandbox.state
        if name not in state.project(ENTITY, PROJECT).runs:
            if self.odds() < 0.3:
                state.add_run(ENTITY, PROJECT, name, state=self.pick(STATES))
            return
        if self.odds() < 0.1:
            state.delete_run(ENTITY, PROJECT, name)
            return
        tags = [tag for tag in "abc" if self.odds() < 0.5]
        state.edit_run(ENTITY, PROJECT, name, notes=self.pick(TEXTS), tags=tags, state=self.pick(STATES))
        run = state.run(ENTITY, PROJECT, name)
        run.config_text, run.summary_text = self.pick(DOCUMENTS), self.pick(DOCUMENTS)
        run.sweep_name = self.pick([None, None, "sweep"])
        if (body := self.pick(BODIES)) is not None:
            state.add_file(ENTITY, PROJECT, name, "f", body, md5=self.pick(["computed", None]))

    def change(self, values: list[Any]) -> Change:
        """A wish about one value."""
        return Change(base=self.pick([*values, UNSET]), value=self.pick([*values, UNSET]))

    def operation(self, run_id: str) -> Operation:
        """Whatever may be asked of a run; its aliases are its own, for a forecast looks at one run at a time."""
        artifact = self.pick(self.artifacts)
        name = f"{ENTITY}/{PROJECT}/{artifact.collection.name}:v0"
        md5 = self.sender.upload("f", b"one").md5
        edits: list[Operation] = [
            Edit(fields={"notes": self.change(TEXTS)}),
            Edit(fields={"tags": Change(base=["a"], value=["a", "d"])}, config={"a": self.change([1, 2, "theirs"])}),
            Edit(config={"a": self.change([1, 2])}, summary={"b": self.change([2, 3, {"x": 1.0}])}),
            Edit(fields={"display_name": self.change(["mine", None])}, summary={"a": Change(value=1)}),
        ]
        others: list[Operation] = [
            UpdateState(state=self.pick(["pending", "failed"]), base=self.pick(STATES)),
            Create(state="pending"),
            Stop(),
            Delete(delete_artifacts=False),
            self.sender.upload("f", self.pick([b"one", b"two"]), base_md5=self.pick([None, md5])),
            DeleteFile(name="f", file_id=None, project_internal_id=None, base_md5=self.pick([None, md5])),
            LogArtifact(
                artifact_id=artifact.id, name=name, collection=artifact.collection.name, type="dataset",
                digest=artifact.digest, aliases=self.pick([(), ("best",)]),
            ),
            UseArtifact(artifact_id=artifact.id, name=name),
            EditArtifact(
                artifact_id=artifact.id, name=name, type="dataset", add_aliases=(f"{self.pick('ab')} of {run_id}",),
                remove_aliases=self.pick([(), (f"{self.pick('ab')} of {run_id}",)]), add_tags=(f"of {run_id}",),
            ),
        ]  # fmt: skip
        return self.pick(edits if self.odds() < 0.5 else others)

    def queue(self, *, is_flawed: bool) -> None:
        """Some operations; the bytes of some are lost."""
        for _ in range(self.pick(range(1, 8))):
            name = self.pick(["r0", "r1", "r2"])
            operation = self.operation(name)
            if name == "r0" and is_flawed and isinstance(operation, Create):
                continue  # nobody can foretell of what of a run the server fails that is not made yet
            self.sender.put(name, operation)
        if self.odds() < 0.2:
            for digest in list(self.sender.outbox.needed_objects())[:1]:
                (self.sender.home.objects / digest[:2] / digest).unlink(missing_ok=True)

    def decide(self) -> None:
        """A person settles some of what waits for one."""
        for placed in list(self.sender.outbox.entries("conflict", "dead")):
            if self.odds() < 0.5:
                if placed.state == "dead":
                    self.sender.outbox.retry(placed.entry)
                else:
                    self.sender.outbox.resolve(placed.entry, self.pick(["ours", "theirs"]))


def check_forecasts(seed: int, policy: Policy, flawed: str | None) -> None:
    """Foretell and deliver, twice, with other hands between."""
    ahead = dt.timedelta()
    with Sandbox.start() as sandbox, tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        home = Home(Path(folder) / "home")
        sandbox.state.add_project(ENTITY, PROJECT)
        sender = Sender(
            url=sandbox.url, api_key=sandbox.api_key, home=home, policy=policy, now=lambda: utc_now() + ahead,
            features=frozenset(sandbox.state.features),
        )  # fmt: skip
        chance = Chance(random.Random(seed), sandbox, sender)
        chance.runs_upstream()
        Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home).pull()
        if flawed is not None:
            sandbox.faults.add(Fault.field_error(flawed, run="r0"))
        for _ in range(3):
            chance.queue(is_flawed=flawed is not None)
            foretold = {one.placed.entry.id: one for one in sender.foresee()}
            kept = {placed.entry.id for placed in sender.outbox.entries("conflict")}
            endings = Endings()
            assert sender.replay(endings).outage is None
            for entry_id, forecast in foretold.items():
                expected = "held" if entry_id in kept else endings.results.get(entry_id, "waiting")
                assert forecast.outcome == expected, (forecast, endings.results)
            chance.decide()
            for name in ("r0", "r1", "r2"):
                if chance.odds() < 0.5:
                    chance.touch(name)
            ahead += chance.pick([dt.timedelta(), dt.timedelta(hours=2)])


@pytest.mark.parametrize("text", ["[1]", "{", '"text"', '{"huge": {"value": 1e400}}'])
def test_an_edit_of_a_malformed_document_is_foretold_as_refused(
    text: str, sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", config_text=text)
    mirror.pull()
    sender.put("r", Edit(config={"lr": Change(value=1)}))
    (forecast,) = sender.foresee()
    assert forecast.outcome == "buried"
    assert "would lose of it" in (forecast.answer or "")
    assert sender.replay().buried == 1


def test_a_link_that_is_there_already_is_foretold_as_such(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    run = sandbox.state.add_run(ENTITY, PROJECT, "r")
    artifact = sandbox.state.add_artifact(ENTITY, PROJECT, "set")
    run.used.append(artifact)
    mirror.pull()
    sender.put("r", UseArtifact(artifact_id=artifact.id, name=f"{ENTITY}/{PROJECT}/set:v0"))
    assert [forecast.outcome for forecast in sender.foresee()] == ["already_so"]
    assert sender.replay().already_so == 1


def test_bytes_that_were_lost_here_stop_no_other_entry(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    for name in ("there", "other"):
        sandbox.state.add_run(ENTITY, PROJECT, name, files={"f": b"one", "g": b"two"})
    mirror.pull()
    upload = sender.upload("f", b"one")
    sender.put("there", upload)
    sender.put("there", DeleteFile(name="g", file_id=None, project_internal_id=None))
    sender.put("other", Edit(fields={"notes": Change(value="goes on")}))
    for digest in (upload.object, sender.upload("g", b"two").object):
        (sender.home.objects / digest[:2] / digest).unlink()
    assert [forecast.outcome for forecast in sender.foresee()] == ["already_so", "applied", "applied"]
    report = sender.replay()
    assert (report.already_so, report.applied) == (1, 2)
    assert sender.counts() == {}


CASES = given(
    seed=st.integers(0, 2**32), policy=st.sampled_from(["hold", "ours", "theirs"]),
    flawed=st.none() | st.sampled_from(FLAWED),
)  # fmt: skip
FEW = settings(
    max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@FEW
@CASES
def test_a_dry_run_foretells_what_a_replay_does(seed: int, policy: Policy, flawed: str | None) -> None:
    check_forecasts(seed, policy, flawed)


@pytest.mark.soak
@settings(FEW, max_examples=300, derandomize=False)
@CASES
def test_a_dry_run_foretells_what_a_replay_does_for_longer(seed: int, policy: Policy, flawed: str | None) -> None:
    check_forecasts(seed, policy, flawed)
