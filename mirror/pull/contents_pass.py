"""Bring what a batch of runs contains: plan each run, fetch all side by side, and hand over what one commit writes.

Small actions, each of which can fail alone: a file, a history, a console. What fails is recorded under its own name and
tried again with back-off; it never stops its run, and its run never stops the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mirror.api import LogPage, RunContents, RunStreams, StreamAsk
from mirror.pull import run_artifacts, run_files, run_history, run_streams
from mirror.pull.contents_plan import HistoryPlan, plan_history
from mirror.pull.errand import Errand
from mirror.pull.listing import CONTENTS
from mirror.records.contents import ContentChanges, Direction, HeldArtifact, HeldFile, HeldHistory
from mirror.records.runs import RunRecord
from mirror.tasks import side_by_side

FILES = "files"  # the name of the list of files, as an item that may fail


class HeldContents(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake holds of the runs of a batch."""

    files: Mapping[str, Mapping[str, HeldFile]]  # by run id and name
    histories: Mapping[str, HeldHistory]  # by run id
    links: Mapping[str, Sequence[tuple[str, Direction]]]  # artifact ids by run id
    artifacts: Mapping[str, HeldArtifact]  # by artifact id


async def gather(errand: Errand, runs: Sequence[RunRecord], held: HeldContents) -> None:
    """Fetch everything that these runs need; what came of it is in the errand's outcome.

    Raises:
        StoreError: the disk failed.
        Unreachable: the server is away. Downloads that were cut off are resumed by the next pull; what was whole but
            not committed is fetched again.
    """
    plans = {run.run_id: plan_of(errand, run, held) for run in runs}
    asks = [
        ask
        for run in runs
        if (ask := run_streams.ask_streams(errand, run, held.histories[run.run_id], plans[run.run_id])) is not None
    ]
    asked = {ask.run_id: ask for ask in asks}
    streams = await errand.client.run_streams(errand.key.entity, errand.key.project, asks) if asks else {}

    async def one(run: RunRecord) -> None:
        answer, ask = streams.get(run.run_id), asked.get(run.run_id)
        if answer is not None and not isinstance(answer, RunStreams):
            if ask is not None and ask.with_log:
                errand.fail(run.run_id, run_streams.CONSOLE, answer.reason)
            if ask is not None and ask.events_samples is not None:
                errand.fail(run.run_id, run_streams.EVENTS, answer.reason)
            answer = None  # rows of the history are then asked for alone
        change = await _run(errand, run, plans[run.run_id], answer, held)
        _settle_needless(errand, run.run_id, plans[run.run_id], ask)
        if change != ContentChanges(run_id=run.run_id):
            errand.outcome.contents.append(change)

    async with side_by_side() as group:
        for run in runs:
            group.start_soon(one, run)


def plan_of(errand: Errand, run: RunRecord, held: HeldContents) -> HistoryPlan | None:
    """What to do about a run's history; None: nothing, or not wanted."""
    if not errand.policy.history:
        return None
    if run_streams.HISTORY in errand.signatures.of(run.run_id).failed:  # what the server says of it is not all
        return None
    failing = set(errand.failing(run.run_id))
    touched = run.run_id in errand.touched or run_streams.HISTORY in failing
    history = held.histories[run.run_id]
    if not all(errand.objects.has(export.object) for export in history.exports):
        history = msgspec.structs.replace(history, completeness=None)  # lost from this disk: fetched anew
    return plan_history(
        run,
        errand.signatures.of(run.run_id),
        history,
        touched=touched,
        again=run.run_id in errand.again,
        changed=run.run_id in errand.changed or not failing.isdisjoint((run_streams.HISTORY, CONTENTS)),
    )


def _settle_needless(errand: Errand, run_id: str, plan: HistoryPlan | None, ask: StreamAsk | None) -> None:
    """End failures of what is not needed any more: nothing is left to try."""
    failing = set(errand.failing(run_id)) - errand.signatures.of(run_id).failed.keys()
    if plan is None and run_streams.HISTORY in failing:
        errand.settle(run_id, run_streams.HISTORY)
    for item, is_asked in (
        (run_streams.CONSOLE, ask is not None and ask.with_log),
        (run_streams.EVENTS, ask is not None and ask.events_samples is not None),
    ):
        if item in failing and not is_asked and errand.is_due(run_id, item):
            errand.settle(run_id, item)


async def _run(
    errand: Errand, run: RunRecord, plan: HistoryPlan | None, streams: RunStreams | None, held: HeldContents
) -> ContentChanges:
    """Everything of one run, side by side; each part ends in a field of the change, or in a failure."""
    listed, run_id = errand.signatures.of(run.run_id), run.run_id
    found: dict[str, Any] = {}

    async def files() -> None:
        rows = await errand.guarded(
            run_id, FILES, lambda: run_files.take_files(errand, listed, held.files.get(run_id, {}))
        )
        found["files"] = tuple(rows or ())

    async def history(plan: HistoryPlan) -> None:
        rows = streams.history if streams is not None else None
        found["history"] = await errand.guarded(
            run_id,
            run_streams.HISTORY,
            lambda: run_history.take_history(errand, run, plan, held.histories[run_id], rows),
        )

    async def console(first: LogPage) -> None:
        held_lines = held.histories[run_id]
        lines = await errand.guarded(
            run_id, run_streams.CONSOLE, lambda: run_streams.take_console(errand, run, first, held_lines)
        )
        if lines is not None:
            found["console"], found["console_from"] = lines

    async def artifacts() -> None:
        found["artifacts"] = await errand.guarded(
            run_id, run_artifacts.ARTIFACTS, lambda: run_artifacts.take_artifacts(errand, listed, held.artifacts, links)
        )

    lost, links = _lost(listed, streams), held.links.get(run_id, ())
    for item, reason in lost.items():
        errand.fail(run_id, item, reason)
    wants_artifacts = run_artifacts.ARTIFACTS not in lost and run_artifacts.concerns(listed, links)
    async with side_by_side() as group:
        if FILES not in lost:
            group.start_soon(files)
        if plan is not None:
            group.start_soon(history, plan)
        if streams is not None and streams.log is not None:
            group.start_soon(console, streams.log)
        if wants_artifacts:
            group.start_soon(artifacts)
    if not wants_artifacts and run_artifacts.ARTIFACTS not in lost:
        errand.settle(run_id, run_artifacts.ARTIFACTS)
    return _changes(errand, found, streams, run_id, links)


def _changes(
    errand: Errand,
    found: dict[str, Any],
    streams: RunStreams | None,
    run_id: str,
    links: Sequence[tuple[str, Direction]],
) -> ContentChanges:
    """What was fetched of a run, system metrics with it; artifacts that are linked already are no change."""
    if streams is not None and streams.events is not None:
        errand.settle(run_id, run_streams.EVENTS)
        found["events"] = streams.events or None
    if found.get("artifacts") is not None and sorted(found["artifacts"]) == sorted(links):
        del found["artifacts"]
    return msgspec.structs.replace(ContentChanges(run_id=run_id), **found)


def _lost(listed: RunContents, streams: RunStreams | None) -> dict[str, str]:
    """Parts of a run that the server could not serve, with its words; rows of a history are then asked for alone."""
    failed = streams.failed if streams is not None else {}
    return {**listed.failed, **{item: reason for item, reason in failed.items() if item != run_streams.HISTORY}}
