"""Random histories of an outbox against a list: no operation disappears, none doubles, and the order of a run holds."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mirror.errors import EntryMoved
from mirror.layout import Home
from mirror.outbox import Aside, Outbox, Placed
from mirror.outbox.folders import STATES
from mirror.records.addresses import RunPath
from mirror.records.operations import Edit, Entry, EntryState, encode_entry
from tests.outbox.conftest import IN_MEMORY
from tests.outbox.operations import RUNS, edit, marks, upload

pytestmark = pytest.mark.model

WRITERS = st.integers(0, 2)
WHICH = st.integers(0, 1 << 16)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Known(msgspec.Struct):
    """What the model says of one entry."""

    run: RunPath
    state: EntryState
    marks: set[str]
    takes: bool  # a later edit may be folded into it


class OutboxMachine(RuleBasedStateMachine):
    """The model is a list of entries in the order in which they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.home = Home(self.root / "home")
        self.time = START
        self.told: list[Aside] = []
        self.asides = 0
        self.count = 0
        self.outboxes = [self._open() for _ in range(3)]
        self.model: dict[str, Known] = {}  # by id; ids must rise, so this is their order, too

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def _open(self) -> Outbox:
        return Outbox(self.home, self.told.append, now=lambda: self.time)

    def _mark(self) -> str:
        self.count += 1
        return f"m{self.count}"

    def _pick(self, which: int, *states: EntryState) -> tuple[str, Known] | None:
        there = [(id_, known) for id_, known in self.model.items() if known.state in states]
        return there[which % len(there)] if there else None

    def _entry(self, id_: str) -> Entry:
        return self.outboxes[0].get(id_).entry

    def _expect_id_after_all(self, entry: Entry) -> None:
        assert all(entry.id > earlier for earlier in self.model)

    @rule(writer=WRITERS, run=st.sampled_from(RUNS))
    def put_an_edit(self, writer: int, run: RunPath) -> None:
        mark = self._mark()
        last = next((id_ for id_, known in reversed(self.model.items()) if known.run == run), None)
        entry = self.outboxes[writer].put(run, "s", edit(mark))
        if last is not None and self.model[last].takes and self.model[last].state == "new":
            assert entry.id == last
            self.model[last].marks.add(mark)
            assert marks(entry.operation) == self.model[last].marks
        else:
            self._expect_id_after_all(entry)
            assert not entry.folded
            self.model[entry.id] = Known(run=run, state="new", marks={mark}, takes=True)

    @rule(writer=WRITERS, run=st.sampled_from(RUNS))
    def put_an_upload(self, writer: int, run: RunPath) -> None:
        mark = self._mark()
        entry = self.outboxes[writer].put(run, None, upload(mark))
        self._expect_id_after_all(entry)
        self.model[entry.id] = Known(run=run, state="new", marks={mark}, takes=False)

    @rule(writer=WRITERS, which=WHICH)
    def claim(self, writer: int, which: int) -> None:
        if (picked := self._pick(which, *STATES)) is None:
            return
        id_, known = picked
        claimed = self.outboxes[writer].claim(self._entry(id_))
        assert (claimed is not None) == (known.state == "new")
        if claimed is not None:
            assert marks(claimed.operation) == known.marks
            known.state = "claimed"

    @rule(writer=WRITERS, which=WHICH, how=st.sampled_from(["put_back", "unbegun", "bury", "hold", "finish"]))
    def end_a_delivery(self, writer: int, which: int, how: str) -> None:
        outbox = self.outboxes[writer]
        if (picked := self._pick(which, "claimed")) is None:
            if (other := self._pick(which, "new", "dead", "conflict")) is not None:
                with pytest.raises(EntryMoved):
                    outbox.finish(self._entry(other[0]))
            return
        id_, known = picked
        entry = self._entry(id_)
        if how == "finish":
            outbox.finish(entry)
            del self.model[id_]
        elif how == "unbegun":
            assert outbox.put_back(entry) == entry
            known.state = "new"
        else:
            after = getattr(outbox, how)(entry, f"because {id_}")
            assert (after.attempts, after.reason) == (entry.attempts + 1, f"because {id_}")
            states: dict[str, EntryState] = {"put_back": "new", "bury": "dead", "hold": "conflict"}
            known.state, known.takes = states[how], False

    @rule(writer=WRITERS, which=WHICH, how=st.sampled_from(["retry", "ours", "theirs", "drop"]))
    def decide(self, writer: int, which: int, how: Any) -> None:
        if (picked := self._pick(which, *STATES)) is None:
            return
        id_, known = picked
        outbox, entry = self.outboxes[writer], self._entry(id_)
        possible = known.state == "conflict" if how in {"ours", "theirs"} else known.state != "claimed"
        if not possible:
            with pytest.raises(EntryMoved):
                self._decide(outbox, entry, how)
            return
        self._decide(outbox, entry, how)
        if how == "drop":
            del self.model[id_]
        else:
            known.state = "new"

    def _decide(self, outbox: Outbox, entry: Entry, how: Any) -> None:
        if how == "retry":
            assert outbox.retry(entry).not_before is None
        elif how == "drop":
            outbox.drop(entry)
        else:
            assert outbox.resolve(entry, how).resolved == how

    @rule(writer=WRITERS)
    def a_replay_is_killed_and_another_begins(self, writer: int) -> None:
        self.outboxes[writer] = self._open()
        claimed = [known for known in self.model.values() if known.state == "claimed"]
        with self.outboxes[writer].replaying() as recovered:
            assert recovered.put_back == len(claimed)
        for known in claimed:
            known.state, known.takes = "new", False

    @rule(writer=WRITERS)
    def a_process_is_replaced(self, writer: int) -> None:
        self.outboxes[writer] = self._open()

    @rule(seconds=st.integers(-3600, 3600))
    def the_clock_moves(self, seconds: int) -> None:
        self.time += dt.timedelta(seconds=seconds)

    @rule()
    def the_lock_file_is_lost(self) -> None:
        self.home.outbox_lock.unlink(missing_ok=True)

    @rule(state=st.sampled_from(STATES), content=st.sampled_from([b"", b"{", b'{"version":99}', b"\xff", b"[]"]))
    def a_foreign_file_appears(self, state: EntryState, content: bytes) -> None:
        if self.home.outbox.exists():
            self.asides += 1
            (self.home.outbox / state / f"foreign-{self.asides}").write_bytes(content)

    @rule(which=WHICH, kind=st.sampled_from(["torn", "newer", "of another run"]))
    @precondition(lambda self: self.model)
    def a_file_with_the_name_of_an_entry_is_damaged(self, which: int, kind: str) -> None:
        picked = self._pick(which, "new", "dead", "conflict")
        if picked is None:
            return
        entry = self._entry(picked[0])
        (path,) = (self.home.outbox / picked[1].state).glob(f"{entry.id}.*")
        if kind == "torn":
            path.write_bytes(path.read_bytes()[:-5])
        elif kind == "newer":
            path.write_bytes(encode_entry(msgspec.structs.replace(entry, version=2)))
        else:
            path.write_bytes(encode_entry(msgspec.structs.replace(entry, run_id="another")))
        self.asides += 1
        del self.model[entry.id]

    @invariant()
    def every_operation_is_in_exactly_one_entry_in_its_state_and_order(self) -> None:
        listed = list(self.outboxes[0].entries())
        assert [(placed.entry.id, placed.state) for placed in listed] == [
            (id_, known.state) for id_, known in self.model.items()
        ]
        assert [marks(placed.entry.operation) for placed in listed] == [known.marks for known in self.model.values()]
        for placed in listed:
            operation = placed.entry.operation
            assert not isinstance(operation, Edit) or len(operation.config) == 1 + len(placed.entry.folded)
        self._same_by_run_and_in_numbers(listed)

    def _same_by_run_and_in_numbers(self, listed: list[Placed]) -> None:
        reader = self.outboxes[1]
        assert reader.of_runs(RUNS) == {
            run: [placed for placed in listed if placed.entry.run_path == run] for run in RUNS
        }
        assert reader.counts() == {state: sum(placed.state == state for placed in listed) for state in STATES}
        assert reader.oldest(*STATES) == (listed[0] if listed else None)
        assert len(reader.asides()) == self.asides == sum(aside.moved for aside in self.told)


OutboxMachine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestAnyHistory = OutboxMachine.TestCase
