"""Random histories against the sandbox as the model: after a forced walk, the lake is the server's truth."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mirror.errors import MirrorError
from mirror.layout import Home
from mirror.pull import ProjectReport, SilentPull
from mirror.sandbox import Fault, Match, Sandbox
from mirror.texts.values import config_json, document_json, parse_lenient
from tests.mirroring import ENTITY, PROJECT, Mirror

pytestmark = pytest.mark.model

STATES = st.sampled_from(["running", "finished", "crashed", "failed", "killed", "preempting", "pending"])
TEXTS = st.text(max_size=8).filter(lambda text: text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text))
NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats())


class Crash(SilentPull):
    """A pull that ends in the middle: as if the process had stopped behind a page."""

    class StopError(MirrorError):
        """The end of this process."""

    def __init__(self, pages: int) -> None:
        self.left = pages

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.StopError("stopped on purpose")


class Outage(SilentPull):
    """The server goes away behind a page."""

    def __init__(self, sandbox: Sandbox, pages: int) -> None:
        self.sandbox, self.left, self.outage = sandbox, pages, sandbox.outage()
        self.away = False

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        self.left -= 1
        if self.left == 0:
            self.outage.__enter__()
            self.away = True

    def over(self) -> None:
        """The server is back."""
        if self.away:
            self.outage.__exit__(None, None, None)


class MirrorMachine(RuleBasedStateMachine):
    """Somebody works at W&B while a mirror pulls, is stopped, and goes on."""

    @initialize(count=st.integers(0, 12))
    def begin(self, count: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.sandbox = Sandbox.start()
        home = Home(Path(self.folder.name) / "home")
        mirror = Mirror(url=self.sandbox.url, api_key=self.sandbox.api_key, home=home)
        self.mirror = mirror.using(page_size_start=2, page_size_max=4, gone_fraction_max=1.0)
        self.sandbox.state.add_project(ENTITY, PROJECT)
        self.number = 0
        self.ever: set[str] = set()  # run ids that a pull held at some time
        for _ in range(count):
            self.create("finished", {"n": self.number})

    def teardown(self) -> None:
        """Every history ends with the promise."""
        if not hasattr(self, "sandbox"):
            return
        try:
            self.the_lake_is_the_truth_after_a_walk()
        finally:
            self.sandbox.stop()
            self.folder.cleanup()

    @property
    def runs(self) -> dict[str, Any]:
        return self.sandbox.state.project(ENTITY, PROJECT).runs

    def some_run(self, chance: random.Random) -> str | None:
        return chance.choice(sorted(self.runs)) if self.runs else None

    @rule(state=STATES, summary=st.dictionaries(TEXTS, NUMBERS, max_size=2))
    def create(self, state: str, summary: dict[str, Any]) -> None:
        self.number += 1
        self.sandbox.state.add_run(ENTITY, PROJECT, f"r{self.number}", state=state, summary=summary)

    @rule(
        chance=st.randoms(use_true_random=False),
        name=TEXTS,
        tags=st.lists(TEXTS, max_size=2),
        beat=st.booleans(),
        state=STATES,
    )
    def edit(self, chance: random.Random, name: str, tags: list[str], beat: bool, state: str) -> None:
        if run_id := self.some_run(chance):
            self.sandbox.state.edit_run(
                ENTITY, PROJECT, run_id, display_name=name, tags=tags, state=state, touch_heartbeat=beat
            )

    @rule(chance=st.randoms(use_true_random=False), config=st.dictionaries(TEXTS, NUMBERS, max_size=2))
    def configure(self, chance: random.Random, config: dict[str, Any]) -> None:
        if run_id := self.some_run(chance):
            self.sandbox.state.edit_run(ENTITY, PROJECT, run_id, config=config)

    @rule(chance=st.randoms(use_true_random=False))
    def delete(self, chance: random.Random) -> None:
        if run_id := self.some_run(chance):
            self.sandbox.state.delete_run(ENTITY, PROJECT, run_id)

    @rule(seconds=st.sampled_from([1, 60, 700, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.sandbox.clock.advance(seconds)

    def remember(self) -> None:
        if self.mirror.home.catalog.exists():
            self.ever |= set(self.mirror.run_ids("true"))

    @rule()
    def pull(self) -> None:
        self.mirror.pull()
        self.remember()

    @rule(pages=st.integers(1, 4), walk=st.booleans())
    def pull_that_is_stopped(self, pages: int, walk: bool) -> None:
        self.mirror.pull(watcher=Crash(pages), force_walk=walk)
        self.remember()

    @rule(pages=st.integers(1, 4), walk=st.booleans())
    def pull_into_an_outage(self, pages: int, walk: bool) -> None:
        outage = Outage(self.sandbox, pages)
        try:
            self.mirror.pull(watcher=outage, force_walk=walk)
        finally:
            outage.over()
        self.remember()

    @rule(status=st.sampled_from([413, 500, 502, 429]), times=st.integers(1, 3))
    def a_page_fails(self, status: int, times: int) -> None:
        fault = Fault.status(status, times=times, match=Match(operation="MirrorRuns"))
        self.sandbox.faults.add(fault)
        self.mirror.pull()
        self.sandbox.faults.clear()
        self.remember()

    @rule()
    def the_lake_is_the_truth_after_a_walk(self) -> None:
        report = self.mirror.pull(force_walk=True, accept_missing=True)
        assert (report.errors, report.failures) == ([], 0)
        with self.mirror.open() as ask:
            rows = ask("SELECT * FROM lake.runs ORDER BY run_id")
        assert len({row["run_id"] for row in rows}) == len(rows), "a run is held twice"
        held = {row["run_id"]: row for row in rows if row["gone_at"] is None}
        assert set(held) == set(self.runs)
        for run_id, run in self.runs.items():
            row = held[run_id]
            assert (row["display_name"], row["tags"]) == (
                run.display_name.replace("\0", "␀"), [tag.replace("\0", "␀") for tag in run.tags])  # fmt: skip
            assert (row["state"], row["config_wire"], row["summary_wire"]) == (
                run.state, run.config_text, run.summary_text)  # fmt: skip
            assert row["config"] == parse_lenient(config_json(run.config_text))
            assert row["summary"] == parse_lenient(document_json(run.summary_text))
            assert row["heartbeat_at_text"] == run.heartbeat_at
        gone = {row["run_id"] for row in rows if row["gone_at"] is not None}
        assert self.ever - set(self.runs) <= gone, "a run that was held has disappeared"
        self.ever |= set(held)

    @invariant()
    def nothing_is_left_broken(self) -> None:
        if hasattr(self, "mirror"):
            assert not list(self.mirror.home.root.rglob(".tmp-*"))


TestMirror = MirrorMachine.TestCase
TestMirror.settings = settings(
    max_examples=2,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class ManyMirrors(MirrorMachine):
    """The same, for longer."""


TestManyMirrors = pytest.mark.soak(ManyMirrors.TestCase)
TestManyMirrors.settings = settings(TestMirror.settings, max_examples=40, stateful_step_count=25, derandomize=False)
