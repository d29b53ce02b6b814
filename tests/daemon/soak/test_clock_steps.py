"""The clocks of a real daemon process are stepped: a laptop sleeps, somebody sets the wall clock forth and back."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit
from mirror.sandbox import Fault, Match, Sandbox
from tests.daemon.soak.children import Lives, environment
from tests.daemon.soak.shared_clock import SharedClock
from tests.daemon.soak.story import ServerClock
from tests.system.service import wait_for

HOUR = 3600.0
CONFIG = """
[server]
base_url = "{url}"
[store]
threads = 1
[daemon]
poll_minutes = 600.0
poll_quiet_minutes = 600.0
poll_active_minutes = 600.0
[[source]]
path = "team/proj"
[[source]]
path = "team/cron"
poll_cron = "0 * * * *"
"""


class Machine:
    """A daemon that has pulled, and the clock of the machine it runs on."""

    def __init__(self, folder: Path, sandbox: Sandbox, clock: SharedClock) -> None:
        self.clock, self.sandbox = clock, sandbox
        self.home = Home(folder / "mirror")
        self.home.root.mkdir()
        self.home.config.write_text(CONFIG.format(url=sandbox.url))
        self.lives = Lives(clock.path, self.home.root, environment(folder, sandbox.api_key), folder)
        self.lives.start()
        self.wait("its first pull", lambda: self.pulls("team/proj") == 1)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines about one event."""
        text = self.lives.log_path(self.lives.count).read_text()
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line["event"] == name]

    def pulls(self, source: str) -> int:
        """How often a source was pulled."""
        return sum(source in line["sources"] for line in self.events("pull_done"))

    def wait(self, what: str, condition: Any) -> None:
        """Until it is so; the daemon lives meanwhile."""

        def is_so() -> bool:
            self.lives.look()
            return bool(condition())

        wait_for(f"{what}\n{self.lives.log_path(self.lives.count).read_text()}", is_so)

    def jumped(self, count: int) -> float:
        """By how much the clock was seen to jump, for the last time of so many, in hours."""
        self.wait("the jump is seen", lambda: len(self.events("clock_jumped")) == count)
        return float(self.events("clock_jumped")[-1]["seconds"]) / HOUR

    def queue(self, tag: str) -> None:
        """Queue one more tag."""
        edit = Edit(fields={"tags": Change(base=[], value=[tag])})
        Outbox(self.home).put(RunPath("team", "proj", "r"), None, edit)

    def has(self, tag: str) -> bool:
        """Whether the server has it."""
        return tag in self.sandbox.state.run("team", "proj", "r").tags


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """One, whose server has the right time."""
    clock = SharedClock.create(tmp_path / "clock")
    with Sandbox.start(clock=ServerClock(clock)) as sandbox:
        sandbox.state.add_run("team", "proj", "r", state="finished")
        sandbox.state.add_project("team", "cron")
        made = Machine(tmp_path, sandbox, clock)
        try:
            yield made
            made.lives.signal(signal.SIGTERM)
            wait_for("its end", made.lives.has_ended)
            assert not [line for line in made.lives.log_path(1).read_text().splitlines() if '"level": "error"' in line]
        finally:
            made.lives.close()


def test_after_a_laptops_sleep_everything_is_looked_at_at_once(machine: Machine) -> None:
    machine.sandbox.state.edit_run("team", "proj", "r", notes="moved meanwhile", touch_heartbeat=True)
    machine.clock.sleep(5 * HOUR)  # the monotonic clock stood: by it, nothing is due for ten hours
    assert machine.jumped(1) == pytest.approx(5, abs=0.1)
    machine.wait("a pull", lambda: machine.pulls("team/proj") == 2)
    machine.wait("what cron missed, once", lambda: machine.pulls("team/cron") == 1)
    machine.queue("awake")
    machine.wait("the delivery", lambda: machine.has("awake"))


def test_a_clock_that_is_set_back_and_forth_stops_nothing(machine: Machine) -> None:
    machine.clock.set_wrong(-3 * HOUR)
    assert machine.jumped(1) == pytest.approx(-3, abs=0.1)
    machine.wait("a pull", lambda: machine.pulls("team/proj") == 2)
    machine.queue("back")
    machine.wait("the delivery", lambda: machine.has("back"))
    machine.clock.set_wrong(0)
    assert machine.jumped(2) == pytest.approx(3, abs=0.1)
    machine.queue("forth")
    machine.wait("the delivery", lambda: machine.has("forth"))


def test_what_failed_while_the_clock_was_years_ahead_is_delivered_when_it_is_right(machine: Machine) -> None:
    machine.clock.set_wrong(1000 * 24 * HOUR)
    machine.jumped(1)
    machine.wait("what cron has, years too early", lambda: machine.pulls("team/cron") == 1)
    lost = Fault.drop(match=Match(operation="MirrorUpsertRun"))
    machine.sandbox.faults.add(lost)
    machine.queue("patient")
    machine.wait("it is put back", lambda: machine.events("operation_ended"))
    assert not machine.has("patient")
    machine.sandbox.faults.remove(lost)
    machine.clock.set_wrong(0)
    machine.jumped(2)
    machine.wait("the delivery", lambda: machine.has("patient"))
    machine.clock.advance(HOUR + 20)
    machine.wait("cron's next hour, which the wrong clock had left behind", lambda: machine.pulls("team/cron") == 2)
