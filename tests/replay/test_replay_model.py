"""Random histories: two people queue offline, somebody else works at W&B, and replays run into everything."""

from __future__ import annotations

import datetime as dt
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mirror.clock import utc_now
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.records.operations import (
    Change,
    Create,
    Delete,
    DeleteFile,
    Edit,
    Entry,
    Operation,
    Stop,
    UpdateState,
    touched,
)
from mirror.sandbox import Fault, Match, Sandbox
from mirror.store.sql.statements import connect
from tests.mirroring import ENGINE, ENTITY, PROJECT
from tests.outbox.conftest import IN_MEMORY
from tests.replay.histories import assert_never_back, config, has_acted, written_values
from tests.replaying import Sender

pytestmark = pytest.mark.model

RUNS = [f"r{number}" for number in range(4)]
RUN = st.sampled_from(RUNS)
WRITER = st.integers(0, 1)
MUTATIONS = ["UpsertRun", "UpdateState", "StopRun", "DeleteRun", "CreateFiles", "MarkFiles", "DeleteFiles"]
OPERATION = st.sampled_from([f"Mirror{name}" for name in (*MUTATIONS, "Run", "FileUrls")])


class Killed(BaseException):
    """The process ends here."""


class Clock:
    """The time that replays see; a test moves it, and may end a replay at one of its looks at the clock."""

    def __init__(self) -> None:
        self.ahead = dt.timedelta()
        self.left: int | None = None

    def __call__(self) -> dt.datetime:
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                raise Killed
        return utc_now() + self.ahead


class ReplayMachine(RuleBasedStateMachine):
    """Whatever happens: nothing disappears, nothing takes effect twice, nothing overtakes, nobody's keys are lost."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY)
        self.sandbox = Sandbox.start()
        self.sandbox.state.files_register_on_put = False
        for name in RUNS:
            self.sandbox.state.add_run(ENTITY, PROJECT, name, state="running", files={"old": b"old"})
        self.clock = Clock()
        home = Home(Path(self.folder.name) / "home")
        self.sender = Sender(
            url=self.sandbox.url, api_key=self.sandbox.api_key, home=home, now=self.clock,
            features=frozenset(self.sandbox.state.features),
        )  # fmt: skip
        self.outboxes = [Outbox(home), Outbox(home)]
        self.asked: dict[str, str] = {}  # kind of each operation, by the id that its caller was given
        self.counters: Counter[tuple[str, str]] = Counter()  # by run and key
        self.theirs: dict[str, list[str]] = {name: [] for name in RUNS}
        self.number = 0

    def teardown(self) -> None:
        """Every history ends with the promises."""
        if not hasattr(self, "sandbox"):
            return
        try:
            self.settle()
            self.check()
        finally:
            self.sandbox.stop()
            self.folder.cleanup()

    def put(self, writer: int, run_id: str, operation: Operation) -> None:
        entry = self.outboxes[writer].put(RunPath(ENTITY, PROJECT, run_id), None, operation)
        self.asked[entry.folded[-1] if entry.folded else entry.id] = entry.kind

    def is_there(self, run_id: str) -> bool:
        return run_id in self.sandbox.state.project(ENTITY, PROJECT).runs

    # ------------------------------------------------------------------ what is queued

    @rule(writer=WRITER, run_id=RUN, tag=st.booleans())
    def count_up(self, writer: int, run_id: str, tag: bool) -> None:
        key = f"w{writer}"
        before = self.counters[run_id, key]
        self.counters[run_id, key] += 1
        change = Change(value=1) if before == 0 else Change(base=before, value=before + 1)
        tags = {"tags": Change(base=[], value=[key])} if tag else {}
        self.put(writer, run_id, Edit(config={key: change}, fields=tags))  # type: ignore[arg-type]

    @rule(writer=WRITER, run_id=RUN)
    def edit_what_others_edit_too(self, writer: int, run_id: str) -> None:
        self.put(writer, run_id, Edit(fields={"notes": Change(base=None, value=f"ours {writer}")}))

    @rule(writer=WRITER, run_id=RUN, state=st.sampled_from(["pending", "failed"]))
    def ask_for_a_state(self, writer: int, run_id: str, state: str) -> None:
        self.put(writer, run_id, UpdateState(state=state, base="running"))

    @rule(writer=WRITER, run_id=RUN)
    def upload(self, writer: int, run_id: str) -> None:
        self.number += 1
        self.put(writer, run_id, self.sender.upload(f"f{self.number}", str(self.number).encode()))

    @rule(writer=WRITER, run_id=RUN, kind=st.sampled_from(["stop", "delete_file"]))
    def stop_or_delete_a_file(self, writer: int, run_id: str, kind: str) -> None:
        remove = DeleteFile(name="old", file_id=None, project_internal_id=None)
        self.put(writer, run_id, Stop() if kind == "stop" else remove)

    @rule(writer=WRITER, and_delete=st.booleans())
    def make_a_run(self, writer: int, and_delete: bool) -> None:
        self.number += 1
        run_id = f"born{self.number}"
        self.put(writer, run_id, Create(state="running"))
        self.put(writer, run_id, Edit(config={"first": Change(value=self.number)}))
        if and_delete:
            self.put(writer, run_id, Delete(delete_artifacts=False))

    @rule(writer=WRITER)
    def delete_a_run(self, writer: int) -> None:
        self.put(writer, RUNS[-1], Delete(delete_artifacts=False))

    # ------------------------------------------------------------------ what others do

    @rule(run_id=RUN, notes=st.booleans())
    def somebody_else_edits(self, run_id: str, notes: bool) -> None:
        if self.is_there(run_id):
            self.number += 1
            mark = f"theirs{self.number}"
            self.theirs[run_id].append(mark)
            run = self.sandbox.state.run(ENTITY, PROJECT, run_id)
            changed = {**config(self.sandbox, run_id), mark: 1}
            self.sandbox.state.edit_run(ENTITY, PROJECT, run_id, config=changed, tags=[*run.tags, mark])
            if notes:
                self.sandbox.state.edit_run(ENTITY, PROJECT, run_id, notes=mark)

    # ------------------------------------------------------------------ replays

    @rule(minutes=st.sampled_from([0, 1, 300]))
    def replay(self, minutes: int) -> None:
        self.clock.ahead += dt.timedelta(minutes=minutes)
        self.sender.replay()

    @rule(operation=OPERATION, how=st.sampled_from(["lost", "500", "429", "403", "html"]), times=st.integers(1, 3))
    def replay_into_trouble(self, operation: str, how: str, times: int) -> None:
        match = Match(operation=operation)
        faults: dict[str, Callable[[], Fault]] = {
            "lost": lambda: Fault.lost_answer(times=times, match=match),
            "500": lambda: Fault.status(500, times=times, match=match),
            "429": lambda: Fault.status(429, retry_after=0.01, times=times, match=match),
            "403": lambda: Fault.status(403, times=times, match=match),
            "html": lambda: Fault.html(200, times=times, match=match),
        }
        self.clock.ahead += dt.timedelta(hours=2)
        self.sandbox.faults.add(faults[how]())
        self.sender.replay()
        self.sandbox.faults.clear()

    @rule(requests=st.integers(0, 8))
    def replay_into_an_outage(self, requests: int) -> None:
        """The server goes away after so many requests."""
        left = [requests]

        def is_over(_: Any) -> bool:
            left[0] -= 1
            return left[0] < 0

        self.sandbox.faults.add(Fault.drop(match=Match(kind="graphql", variables=is_over)))
        self.sender.replay()
        self.sandbox.faults.clear()

    @rule(looks=st.integers(1, 12))
    def replay_that_is_stopped(self, looks: int) -> None:
        self.clock.ahead += dt.timedelta(hours=2)
        self.clock.left = looks
        try:
            self.sender.replay()
        except* Killed:
            pass
        finally:
            self.clock.left = None

    @rule(chance=st.randoms(use_true_random=False))
    def a_person_decides(self, chance: random.Random) -> None:
        for placed in list(self.outboxes[0].entries("conflict", "dead")):
            if placed.state == "dead":
                self.outboxes[0].retry(placed.entry)
            else:
                self.outboxes[0].resolve(placed.entry, chance.choice(["ours", "theirs"]))

    # ------------------------------------------------------------------ the promises

    def settle(self) -> None:
        for _ in range(6):
            self.clock.ahead += dt.timedelta(hours=2)
            report = self.sender.replay()
            assert report.outage is None

    def check(self) -> None:
        left = {placed.entry.id: placed for placed in self.outboxes[0].entries()}
        assert {placed.state for placed in left.values()} <= {"dead", "conflict", "new"}
        aside = [placed.entry for placed in left.values() if placed.state != "dead"]
        for placed in left.values():
            if placed.state == "new":
                assert any(is_held_by(earlier, placed.entry) for earlier in aside), "an entry waits for nothing"
        receipts = self.sender.receipts()
        delivered = Counter(one["id"] for one in receipts if one["outcome"] != "buried")
        assert all(count == 1 for count in delivered.values()), "an operation was delivered twice"
        ends = {id_ for one in receipts for id_ in (one["id"], *one["folded"]) if one["outcome"] != "buried"}
        kept = {id_ for placed in left.values() for id_ in (placed.entry.id, *placed.entry.folded)}
        assert ends | kept == set(self.asked), "an operation has disappeared"
        assert not ends & kept, "an operation is delivered and is still there"
        buried = {(one["id"], one["attempts"]) for one in receipts if one["outcome"] == "buried"}
        assert len(buried) == sum(one["outcome"] == "buried" for one in receipts)
        assert {placed.entry.id for placed in left.values() if placed.state == "dead"} <= {id_ for id_, _ in buried}
        self.check_effects(receipts)
        self.check_lake(receipts)

    def check_effects(self, receipts: list[dict[str, Any]]) -> None:
        for run_id in filter(self.is_there, RUNS):
            run = self.sandbox.state.run(ENTITY, PROJECT, run_id)
            assert set(self.theirs[run_id]) <= set(config(self.sandbox, run_id)), "somebody else's key was lost"
            assert set(self.theirs[run_id]) <= set(run.tags), "somebody else's tag was lost"
            for key in ("w0", "w1"):
                assert_never_back(written_values(self.sandbox, run.id, key))
            for one in receipts:
                if one["kind"] == "upload_file" and one["run_id"] == run_id and one["outcome"] != "buried":
                    assert run.files[one["operation"]["name"]].listed
        made = Counter(
            record.variables["input"]["name"]
            for record in self.sandbox.requests.select("MirrorUpsertRun")
            if "name" in record.variables["input"] and has_acted(record)
        )  # fmt: skip
        assert all(count == 1 for count in made.values()), "a run was made twice"

    def check_lake(self, receipts: list[dict[str, Any]]) -> None:
        """A last edit of each run refreshes its row, which then is as the server has it.

        Not where it was folded into an entry that waits behind a conflict.
        """
        for run_id in filter(self.is_there, RUNS):
            self.sender.put(run_id, Edit(config={"last": Change(value=True)}))
        self.sender.later(hours=1).replay()
        with connect(self.sender.home, settings=ENGINE) as engine:
            rows = engine.execute("SELECT run_id, state, tags, notes, config_wire, gone_at FROM lake.runs").fetchall()
        held = {run_id: rest for run_id, *rest in rows}
        assert len(held) == len(rows), "a run is held twice"
        waiting = {placed.entry.run_id for placed in self.outboxes[0].entries("new")}
        for run_id in filter(self.is_there, set(RUNS) - waiting):
            run = self.sandbox.state.run(ENTITY, PROJECT, run_id)
            assert held[run_id] == [run.state, run.tags, run.notes, run.config_text, None]
        for one in receipts:
            if one["kind"] == "delete" and one["outcome"] in {"applied", "already_so"} and one["run_id"] in held:
                assert held[one["run_id"]][-1] is not None


def is_held_by(earlier: Entry, entry: Entry) -> bool:
    """Whether an entry waits behind one that a person has to settle, or behind one that waits so."""
    is_about_it = isinstance(earlier.operation, Create) or bool(touched(earlier.operation) & touched(entry.operation))
    return earlier.run_path == entry.run_path and earlier.id < entry.id and is_about_it


TestReplay = ReplayMachine.TestCase
TestReplay.settings = settings(
    max_examples=3,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class ManyReplays(ReplayMachine):
    """The same, for longer."""


TestManyReplays = pytest.mark.soak(ManyReplays.TestCase)
TestManyReplays.settings = settings(TestReplay.settings, max_examples=150, stateful_step_count=40, derandomize=False)
