"""APScheduler by the daemon's clock: every recurring job has one name, one trigger and a next time.

Times are of the wall clock, waits are not: when the wall clock steps, a job that waits keeps its wait, and one that
comes by a cron expression is reckoned anew. A job that is due, or at work, has no next time until it ended.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from apscheduler.executors.base import MaxInstancesReachedError
from apscheduler.schedulers.base import BaseScheduler

from mirror.daemon.schedule.clock import Clock
from mirror.daemon.schedule.triggers import Trigger
from mirror.daemon.status.status_file import JobStatus

STEP_S = 1.0  # from here on a difference between the clocks is a step

MAINTAIN, PROBE = "maintain", "probe"  # names of jobs, as `pull_of` and `reconcile_of`

Work = Callable[..., Awaitable[object]]


class Scheduler(BaseScheduler):  # type: ignore[misc]  # APScheduler has no types
    """Of one session; it belongs to one event loop, whose time it waits by.

    Args:
        clock: the time. APScheduler would read the system's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._woken = anyio.Event()
        self._base: tuple[dt.datetime, float] | None = None  # both clocks, at the last step
        super().__init__(timezone=dt.UTC, job_defaults={"misfire_grace_time": None})  # however late it is

    def now(self) -> dt.datetime:
        """The wall clock, UTC. If it stepped, the jobs are moved along first."""
        utc, mono = self._clock.utc(), self._clock.now()
        wall, since = self._base = self._base or (utc, mono)
        step = utc - wall - dt.timedelta(seconds=mono - since)
        if abs(step.total_seconds()) >= STEP_S:
            self._base = utc, mono
            for job in self.get_jobs():
                if job.next_run_time is not None:
                    job.modify(next_run_time=job.trigger.stepped(job.next_run_time, step, utc))
        return utc

    def add(self, name: str, trigger: Trigger, workers: str, work: Work, *args: object, doing: str) -> None:
        """Have something done again and again.

        Args:
            name: of the job.
            trigger: when.
            workers: the executor that does it.
            work: what it came to goes to the trigger; None if it could not be done, and stays due.
            args: of that.
            doing: what a worker does then, for a person.
        """
        at = trigger.get_next_fire_time(None, self.now())
        self.add_job(work, trigger, args, id=name, name=doing, executor=workers, next_run_time=at)

    def set(self, name: str, trigger: Trigger) -> None:
        """Let a job come as a trigger says, from now on."""
        self.modify_job(name, trigger=trigger, next_run_time=trigger.get_next_fire_time(None, self.now()))

    def hurry(self, name: str) -> None:
        """Let a job that waits for its time come now: the machine slept, or something happened."""
        now = self.now()
        if (at := self.get_job(name).next_run_time) is not None:
            self.modify_job(name, next_run_time=min(at, now))

    def status(self, name: str) -> JobStatus:
        """How a job is."""
        return self._status(self.get_job(name))

    @property
    def statuses(self) -> list[JobStatus]:
        """How the jobs are that are due or at work, then those that come, by their times."""
        found = sorted(map(self._status, self.get_jobs()), key=lambda one: one.state == "waiting")
        return [one for one in found if one.state != "waiting" or one.next_at is not None]

    def _status(self, job: Any) -> JobStatus:
        at = job.next_run_time
        next_at = None if at is None else at.replace(tzinfo=None, microsecond=0)
        return JobStatus(name=job.id, state=self._lookup_executor(job.executor).state(job.id), next_at=next_at)

    async def run(self) -> None:
        """Until cancelled."""
        self.start()
        while True:
            wait_s = self._process_jobs()
            with anyio.move_on_after(wait_s):
                await self._woken.wait()
            self._woken = anyio.Event()

    def wakeup(self) -> None:
        """Look again soon."""
        self._woken.set()

    def shutdown(self, wait: bool = True) -> None:
        """Forget all jobs."""
        super().shutdown(wait)

    def _process_jobs(self) -> float | None:
        """Hand over what is due; seconds until the next time. As its base does, which reads the system's clock."""
        now = self.now()
        for job in self.get_jobs():  # by their times
            if job.next_run_time is None or job.next_run_time > now:
                break
            due_at = job.next_run_time
            self.pause_job(job.id)
            with contextlib.suppress(MaxInstancesReachedError):  # it is due or at work already
                self._lookup_executor(job.executor).submit_job(job, [due_at])
        times = [job.next_run_time for job in self.get_jobs() if job.next_run_time is not None]
        return (min(times) - now).total_seconds() if times else None


def pull_of(path: str) -> str:
    """The name of the job that pulls a source."""
    return f"pull {path}"


def reconcile_of(path: str) -> str:
    """The name of the job that has all runs of a source compared."""
    return f"reconcile {path}"
