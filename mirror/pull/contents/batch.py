"""Bring what a batch of runs contains: plan each run, fetch all side by side, and hand over what one commit writes.

Small actions, each of which can fail alone: a file, a history, a console. What fails is recorded under its own name and
tried again with back-off; it never stops its run, and its run never stops the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mirror.api.rows.listed import LogPage, RunStreams, StreamAsk
from mirror.pull.contents import artifacts as run_artifacts
from mirror.pull.contents import files as run_files
from mirror.pull.contents import history as run_history
from mirror.pull.contents import streams as run_streams
from mirror.pull.contents.fetch_job import FetchJob
from mirror.pull.contents.plan import HistoryPlan, plan_history, shortage
from mirror.records.contents import ContentChanges, Direction, HeldArtifact, HeldFile, HeldHistory
from mirror.records.passes import CONTENTS, FILES, HISTORY, in_part
from mirror.records.runs import RunRecord
from mirror.tasks import side_by_side


class HeldContents(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake holds of the runs of a batch."""

    files: Mapping[str, Mapping[str, HeldFile]]  # by run id and name
    histories: Mapping[str, HeldHistory]  # by run id
    links: Mapping[str, Sequence[tuple[str, Direction]]]  # artifact ids by run id
    artifacts: Mapping[str, HeldArtifact]  # by artifact id


async def gather(job: FetchJob, runs: Sequence[RunRecord], held: HeldContents) -> None:
    """Fetch everything that these runs need; what came of it is in the job's outcome.

    Raises:
        StoreError: the disk failed.
        Unreachable: the server is away. Downloads that were cut off are resumed by the next pull; what was whole but
            not committed is fetched again.
    """
    plans = {run.run_id: plan_of(job, run, held) for run in runs}
    asks = [
        ask
        for run in runs
        if (ask := run_streams.ask_streams(job, run, held.histories[run.run_id], plans[run.run_id])) is not None
    ]
    asked = {ask.run_id: ask for ask in asks}
    streams = await job.client.run_streams(job.key.entity, job.key.project, asks) if asks else {}

    async def one(run: RunRecord) -> None:
        answer, ask = streams.get(run.run_id), asked.get(run.run_id)
        if answer is not None and not isinstance(answer, RunStreams):
            if ask is not None and ask.with_log:
                job.fail(run.run_id, run_streams.CONSOLE, answer.reason)
            if ask is not None and ask.events_samples is not None:
                job.fail(run.run_id, run_streams.EVENTS, answer.reason)
            answer = None  # rows of the history are then asked for alone
        change = await _run(job, run, plans[run.run_id], answer, ask, held)
        _settle_needless(job, run.run_id, plans[run.run_id], ask)
        if change != ContentChanges(run_id=run.run_id):
            job.outcome.contents.append(change)
        job.report.fetched += 1

    async with side_by_side() as group:
        for run in runs:
            group.start_soon(one, run)


def plan_of(job: FetchJob, run: RunRecord, held: HeldContents) -> HistoryPlan | None:
    """What to do about a run's history; None: nothing, or not wanted."""
    if not job.policy.history:
        return None
    failing = set(job.failing(run.run_id))
    touched = run.run_id in job.touched or HISTORY in failing
    history = held.histories[run.run_id]
    if not all(job.objects.has(export.object) for export in history.exports):
        history = msgspec.structs.replace(history, completeness=None)  # lost from this disk: fetched anew
    if job.lacks_part(run.run_id, HISTORY) or run_history.came_to_give_rows(job, history):
        history = msgspec.structs.replace(history, completeness=None)  # rows that could not be read: all are read again
    return plan_history(
        run,
        job.signed_urls.of(run.run_id),
        history,
        touched=touched,
        again=run.run_id in job.again,
        changed=run.run_id in job.changed or not failing.isdisjoint((HISTORY, CONTENTS)),
    )


def _settle_needless(job: FetchJob, run_id: str, plan: HistoryPlan | None, ask: StreamAsk | None) -> None:
    """End failures of what is not needed any more: nothing is left to try."""
    failing = set(job.failing(run_id)) - job.signed_urls.of(run_id).failed.keys()
    if plan is None:
        for item in failing.intersection((HISTORY, in_part(HISTORY))):
            job.settle(run_id, item)
    for item, is_asked in (
        (run_streams.CONSOLE, ask is not None and ask.with_log),
        (run_streams.EVENTS, ask is not None and ask.events_samples is not None),
    ):
        for name in failing.intersection((item, in_part(item))):
            if not is_asked and job.is_due(run_id, name):
                job.settle(run_id, name)


async def _run(
    job: FetchJob,
    run: RunRecord,
    plan: HistoryPlan | None,
    streams: RunStreams | None,
    ask: StreamAsk | None,
    held: HeldContents,
) -> ContentChanges:
    """Everything of one run, side by side; each part ends in a field of the change, or in a failure."""
    taking = _Taking(job, run, streams, held)
    lost = taking.note_lost()
    async with side_by_side() as group:
        if FILES not in lost:
            group.start_soon(taking.files)
        if plan is not None:
            group.start_soon(taking.history, plan)
        if streams is not None and streams.log is not None:
            group.start_soon(taking.console, streams.log)
        if run_artifacts.concerns(taking.listed, taking.links):
            group.start_soon(taking.artifacts)
        else:
            job.settle(run.run_id, run_artifacts.ARTIFACTS)
            job.note_part(run.run_id, run_artifacts.ARTIFACTS, None)
    if plan is None:
        taking.note_history()
    if streams is not None and ask is not None and ask.events_samples is not None:
        taking.events(streams)
    return taking.changes()


class _Taking:
    """The contents of one run, as they are taken."""

    def __init__(self, job: FetchJob, run: RunRecord, streams: RunStreams | None, held: HeldContents) -> None:
        self.job, self.run, self.run_id, self.streams, self.held = job, run, run.run_id, streams, held
        self.listed = job.signed_urls.of(run.run_id)
        self.links = held.links.get(run.run_id, ())
        self.found: dict[str, Any] = {}  # fields of the change

    def note_lost(self) -> dict[str, str]:
        """Parts of which the server could serve nothing, with its words.

        What it can serve of a history and of the artifacts is taken all the same.
        """
        failed = {**self.listed.failed, **(self.streams.failed if self.streams is not None else {})}
        lost = {item: why for item, why in failed.items() if item not in {HISTORY, run_artifacts.ARTIFACTS}}
        for item, reason in lost.items():
            self.job.fail(self.run_id, item, reason)
        self.job.report.skipped += self.listed.unreadable_files if FILES in lost else 0
        return lost

    def note_history(self) -> None:
        """Name a history of which the server could not tell all, though nothing was to be fetched of it."""
        reason = self.listed.failed.get(HISTORY)
        if reason is not None and self.job.policy.history and self.job.is_due(self.run_id, HISTORY):
            self.job.fail(self.run_id, HISTORY, reason)

    async def files(self) -> None:
        """The files that are new or changed."""
        known = self.held.files.get(self.run_id, {})
        active = self.run.is_active
        taken = await self.job.guarded(
            self.run_id, FILES, lambda: run_files.take_files(self.job, self.listed, known, active=active)
        )
        if taken is not None:
            self.found["files"] = taken.rows
            self.job.note_part(self.run_id, FILES, taken.flaw)

    async def history(self, plan: HistoryPlan) -> None:
        """What the plan says of the history."""
        rows = self.streams.history if self.streams is not None else None
        taken = await self.job.guarded(
            self.run_id,
            HISTORY,
            lambda: run_history.take_history(self.job, self.run, plan, self.held.histories[self.run_id], rows),
            why=self.listed.failed.get(HISTORY),
        )
        if taken is not None:
            self.found["history"] = taken.change
            if taken.flaw is not None or plan.replaces_tail:  # else older rows were not looked at
                self.job.note_part(self.run_id, HISTORY, taken.flaw)

    async def console(self, first: LogPage) -> None:
        """The console lines, of which the first page came."""
        item, known = run_streams.CONSOLE, self.held.histories[self.run_id]
        taken = await self.job.guarded(
            self.run_id, item, lambda: run_streams.take_console(self.job, self.run, first, known)
        )
        if taken is None:
            return
        if taken.flaw is not None or taken.replace_from is not None:  # else older lines were not looked at
            self.job.note_part(self.run_id, item, taken.flaw)
        if taken.lines or not taken.is_partial:
            self.found["console"], self.found["console_from"] = taken.lines, taken.replace_from
            self.found["console_partial"] = taken.is_partial

    async def artifacts(self) -> None:
        """The versions that the run logged and used; those that are linked already are no change."""
        item, active = run_artifacts.ARTIFACTS, self.run.is_active
        taken = await self.job.guarded(
            self.run_id,
            item,
            lambda: run_artifacts.take_artifacts(self.job, self.listed, self.held.artifacts, self.links, active=active),
            why=self.listed.failed.get(item),
        )
        if taken is not None:
            self.job.note_part(self.run_id, item, taken.flaw)
            if sorted(taken.links) != sorted(self.links):
                self.found["artifacts"] = taken.links

    def events(self, streams: RunStreams) -> None:
        """The rows of system metrics that came; those that could not be read are noted."""
        item, rows, counted = run_streams.EVENTS, streams.events, self.listed.events_line_count
        if item in streams.failed or rows is None:  # the server does not know them
            return
        lost = sum(row is None for row in rows)
        self.job.report.skipped += lost
        flaw = streams.flawed.get(item) or f"{lost} of {len(rows)} rows cannot be read" if lost else None
        if not rows:  # else fewer than are counted say nothing: servers sample them
            flaw = flaw or shortage(0, counted, "rows", active=self.run.is_active)
        if flaw is not None and lost == len(rows):
            self.job.fail(self.run_id, item, flaw)
            return
        self.job.settle(self.run_id, item)
        self.job.note_part(self.run_id, item, flaw)
        held = self.held.histories[self.run_id].event_rows
        if counted is None or len(rows) >= min(counted, held):  # else fewer came than are held
            self.found["events"] = rows or None

    def changes(self) -> ContentChanges:
        """What was fetched."""
        return msgspec.structs.replace(ContentChanges(run_id=self.run_id), **self.found)
