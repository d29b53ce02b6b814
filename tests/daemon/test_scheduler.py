"""APScheduler by clocks that the test moves: jobs keep their waits, nothing is silenced, nothing is lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext

import anyio
import pytest

from mirror.config import DaemonSettings, SourceSettings
from mirror.daemon.schedule.clock import Clock
from mirror.daemon.schedule.scheduler import Scheduler
from mirror.daemon.schedule.triggers import CRON_JITTER_S, Every, Never, Pulled, Trigger, pull_trigger
from mirror.daemon.status.status_file import JobStatus
from mirror.daemon.workers.activity import Activity
from mirror.daemon.workers.executor import Workers

pytestmark = pytest.mark.anyio
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR = 3600.0
SETTINGS = DaemonSettings(poll_minutes=60, poll_quiet_minutes=60)
QUIET = Pulled(active=False, moved=False)


class Machine:
    """Two clocks that the test moves, a scheduler that lives by them, and what its jobs did."""

    def __init__(self, gate: Callable[[], object] = nullcontext) -> None:
        self.wall, self.mono = NOON, 0.0
        clock = Clock(utc=lambda: self.wall, now=lambda: self.mono)
        self.scheduler = Scheduler(clock)
        self.activities = [Activity(f"pull {number}", clock.now) for number in (1, 2)]
        self.workers = Workers(gate, *self.activities)  # type: ignore[arg-type]
        self.scheduler.add_executor(self.workers, "pull")
        self.did: list[str] = []
        self.outcomes: list[object] = []  # the next ones; then nothing is found
        self.fails: Exception | None = None

    def add(self, name: str, trigger: Trigger) -> None:
        """A job that notes its name."""

        async def work() -> object:
            self.did.append(name)
            await anyio.lowlevel.checkpoint()
            if self.fails is not None:
                raise self.fails
            return self.outcomes.pop(0) if self.outcomes else QUIET

        self.scheduler.add(name, trigger, "pull", work, doing=f"at {name}")

    def add_pull(self, path: str, cron: str = "") -> None:
        """A pull of a source."""
        self.add(path, pull_trigger(SETTINGS, SourceSettings(path=path, poll_cron=cron), lambda: 0.0))

    @asynccontextmanager
    async def on(self) -> AsyncIterator[None]:
        """The scheduler and one worker run inside."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.scheduler.run)
            group.start_soon(self.workers.work, self.activities[0])
            await anyio.wait_all_tasks_blocked()
            yield
            group.cancel_scope.cancel()

    async def beat(self) -> list[str]:
        """What was done since the last time, when the daemon's beat lets the scheduler look at the clocks."""
        self.scheduler.wakeup()
        await anyio.wait_all_tasks_blocked()
        did, self.did[:] = list(self.did), []
        return did

    async def awake(self, seconds: float) -> list[str]:
        """Time passes by both clocks."""
        self.wall, self.mono = self.wall + dt.timedelta(seconds=seconds), self.mono + seconds
        return await self.beat()

    async def step(self, seconds: float) -> list[str]:
        """The machine sleeps, or somebody sets the wall clock: the monotonic one stands."""
        self.wall += dt.timedelta(seconds=seconds)
        return await self.beat()


async def test_jobs_come_by_their_triggers_and_say_when_they_come_next() -> None:
    machine = Machine()
    machine.add_pull("e/p")
    machine.add("maintain", Every(24 * HOUR, first_s=HOUR / 2))
    machine.add("probe", Never())
    async with machine.on():
        assert await machine.beat() == ["e/p"]
        assert machine.scheduler.statuses == [
            JobStatus(name="maintain", state="waiting", next_at=dt.datetime(2026, 3, 1, 12, 30)),  # noqa: DTZ001
            JobStatus(name="e/p", state="waiting", next_at=dt.datetime(2026, 3, 1, 13)),  # noqa: DTZ001
        ]
        assert await machine.awake(HOUR / 2 - 1) == []
        assert await machine.awake(1) == ["maintain"]
        assert await machine.awake(HOUR / 2) == ["e/p"]
        assert await machine.awake(22.9 * HOUR) == ["e/p"], "what was missed comes once"


async def test_a_step_of_the_wall_clock_makes_no_wait_longer_or_shorter() -> None:
    machine = Machine()
    machine.add("maintain", Every(24 * HOUR))
    async with machine.on():
        for step in (1000 * 24 * HOUR, -3000 * 24 * HOUR, 20.0, -20.0):
            assert await machine.step(step) == [], "a clock that is wrong maintains nothing"
        assert await machine.awake(24 * HOUR - 1) == []
        assert await machine.awake(1) == ["maintain"]


async def test_a_job_that_ends_between_a_step_and_the_next_beat_is_reckoned_by_the_new_clock() -> None:
    machine = Machine()
    machine.add_pull("e/p")
    async with machine.on():
        await machine.beat()
        await machine.awake(HOUR - 1)
        machine.wall += dt.timedelta(days=1000)
        machine.scheduler.hurry("e/p")
        assert await machine.beat() == ["e/p"]
        assert await machine.awake(HOUR - 1) == []
        assert await machine.awake(1) == ["e/p"]


async def test_clocks_that_drift_apart_slowly_are_followed() -> None:
    machine = Machine()
    machine.add("maintain", Every(HOUR))
    async with machine.on():
        for _ in range(35):
            machine.wall += dt.timedelta(seconds=0.4)
            assert await machine.awake(100) == []
        assert await machine.awake(101) == ["maintain"]


async def test_cron_comes_by_the_wall_clock_once_after_a_laptops_sleep() -> None:
    machine = Machine()
    machine.add_pull("e/c", "*/10 * * * *")
    async with machine.on():
        assert await machine.awake(599) == []
        assert await machine.awake(1 + CRON_JITTER_S) == ["e/c"]
        assert await machine.step(5 * HOUR) == ["e/c"]
        assert await machine.awake(500) == []


async def test_a_clock_that_was_years_ahead_and_is_set_right_silences_no_cron_expression() -> None:
    machine = Machine()
    machine.add_pull("e/c", "*/10 * * * *")
    async with machine.on():
        assert await machine.step(5 * 365 * 24 * HOUR) == ["e/c"]
        assert await machine.step(-5 * 365 * 24 * HOUR) == []
        assert await machine.awake(600 + CRON_JITTER_S) == ["e/c"]


async def test_a_job_that_could_not_be_done_stays_due_and_the_longest_due_goes_first() -> None:
    may_work = anyio.Event()

    @asynccontextmanager
    async def gate() -> AsyncIterator[None]:
        await may_work.wait()
        yield

    machine = Machine(gate)
    machine.add_pull("e/p")
    async with machine.on():
        machine.wall += dt.timedelta(seconds=1)
        machine.add_pull("e/a")
        assert await machine.beat() == []
        assert [(one.name, one.state, one.next_at) for one in machine.scheduler.statuses] == [
            ("e/a", "due", None),
            ("e/p", "due", None),
        ]
        machine.scheduler.hurry("e/p")  # it is due already
        assert await machine.awake(100 * HOUR) == []
        machine.outcomes = [None, QUIET, QUIET]
        may_work.set()
        assert await machine.beat() == ["e/p", "e/p", "e/a"]
        assert {one.state for one in machine.scheduler.statuses} == {"waiting"}


async def test_a_job_that_crashed_is_due_again_but_maintenance_waits_for_its_next_time() -> None:
    for trigger, state in (
        (pull_trigger(SETTINGS, SourceSettings(path="e/p"), lambda: 0.0), "due"),
        (Every(5.0), "waiting"),
    ):
        machine = Machine()
        machine.fails = RuntimeError("a defect")
        machine.add("job", trigger)
        with pytest.raises(ExceptionGroup) as raised:
            async with machine.on():
                await machine.awake(5)
        assert raised.value.subgroup(RuntimeError)
        assert machine.scheduler.status("job").state == state


async def test_a_job_runs_once_at_a_time_and_is_told_while_it_does() -> None:
    machine, may_end = Machine(), anyio.Event()

    async def work() -> Pulled:
        machine.did.append("begun")
        await may_end.wait()
        return QUIET

    machine.scheduler.add(
        "e/p", pull_trigger(SETTINGS, SourceSettings(path="e/p"), lambda: 0.0), "pull", work, doing="pulling e/p"
    )
    async with machine.on():
        assert machine.activities[0].doing == "pulling e/p"
        assert machine.scheduler.status("e/p") == JobStatus(name="e/p", state="running", next_at=None)
        machine.scheduler.hurry("e/p")
        assert await machine.awake(100 * HOUR) == ["begun"]
        may_end.set()
        assert await machine.beat() == []
        assert machine.scheduler.status("e/p").state == "waiting"
