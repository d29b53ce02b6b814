"""Where jobs are done: an executor for APScheduler whose workers are tasks of the daemon, supervised and cancellable.

APScheduler's own executor for asyncio swallows what a job raises and starts tasks that no task group holds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import anyio
from apscheduler.executors.base import BaseExecutor

from mirror.daemon.workers.activity import Activity

Gate = Callable[[], AbstractAsyncContextManager[None]]


class Workers(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """Some workers that take jobs as they become due; a job that could not be done stays where it is.

    Args:
        gate: a job is chosen and done inside; waits until one may be.
        activities: one for each worker.
    """

    def __init__(self, gate: Gate, *activities: Activity) -> None:
        super().__init__()
        self.activities = activities
        self._gate = gate
        self._due: dict[str, Any] = {}  # jobs by name, the one that has waited longest first
        self._running: set[str] = set()
        self._changed = anyio.Event()

    def state(self, name: str) -> Literal["waiting", "due", "running"]:
        """How a job is."""
        return "running" if name in self._running else "due" if name in self._due else "waiting"

    async def work(self, activity: Activity) -> None:
        """Wait for a job, do it, and again.

        Raises:
            Exception: a job failed in a way that it does not answer itself.
        """
        while True:
            activity.idle(None)
            while self._first() is None:
                await self._changed.wait()
            async with self._gate():
                if (job := self._first()) is not None:
                    with activity.busy(job.name):
                        await self._do(job)

    async def _do(self, job: Any) -> None:
        self._running.add(job.id)
        try:
            outcome = await job.func(*job.args)
        except Exception:
            if not job.trigger.stays_due:
                self._end(job, job.trigger)
            raise
        finally:
            self._running.discard(job.id)
            self._notify()
        if outcome is not None:
            self._end(job, job.trigger.after(outcome))

    def _end(self, job: Any, trigger: Any) -> None:
        del self._due[job.id]
        self._run_job_success(job.id, [])
        self._scheduler.set(job.id, trigger)

    def _first(self) -> Any:
        return next((job for name, job in self._due.items() if name not in self._running), None)

    def _do_submit_job(self, job: Any, run_times: Any) -> None:  # noqa: ARG002 -- as its base
        self._due[job.id] = job
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
