"""One delivery of a run that was trained without a server, as far as one of its logs tells of it.

    1. look                what the server has of the run, and where in the log that is; what does not fit is a conflict
    2. upsert              the run is there, with its config
    3. alerts              those that were not sent, before the rows that follow them
    4. rows, console       from where the server is; each line says which one it is; the last of them wait for the end
    5. files, versions     those that the server does not list with these bytes
    6. summary and end     once all of that is there, in one request with the last lines
    7. look again          what the server counts, its last row, its files, its state: only then it is delivered

Each step finds out by itself what an earlier attempt did, so that a delivery may stop anywhere and begin anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from mirror.api.rows.pages import BadRun
from mirror.api.rows.syncing import StreamStatus
from mirror.errors import NotOffered, RefusedByServer
from mirror.offline.log.run_log import BranchPoint, NewRows, RunLog
from mirror.offline.reading import LogReading
from mirror.offline.same_rows import is_same_at_its_step
from mirror.records.addresses import RunPath
from mirror.records.contents import FileRow, TailRow
from mirror.records.offline import OfflineLog
from mirror.records.operations import Entry, SyncRun
from mirror.records.runs import ENDED_STATES, RunRecord
from mirror.replay.context import DeliveryContext
from mirror.replay.decide import Seen
from mirror.replay.sync.alerts import AlertSender
from mirror.replay.sync.branch import check_branch, has_to_rewind, logged_since
from mirror.replay.sync.fields import changed_config, changed_texts, fields_of_new, fields_of_old
from mirror.replay.sync.files import MARK_FEATURE, as_listed, listed_files, mark_put, put_files, rows_of
from mirror.replay.sync.here import Here, whole
from mirror.replay.sync.lines import EVENTS, HISTORY, LineSender
from mirror.replay.sync.outcomes import Behind, Clash, GoesOn, NotShown
from mirror.replay.sync.place import Place, place_of_events, place_of_rows
from mirror.replay.sync.versions import deliver_versions
from mirror.texts.values import parse_lenient

ROWS_AT_ONCE = 10_000  # of a history, in memory
_EMPTY = StreamStatus(history_lines=0, event_lines=0, console_lines=0, last_row=None, last_event=None)


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery came to."""

    run: RunRecord | None  # as it is upstream; None: another log of it waits
    row: OfflineLog
    files: tuple[FileRow, ...]
    versions: tuple[tuple[str, str], ...]  # of each that was local, the id that it had here, and the server's
    sent: dict[str, Any]
    unsent: str | None  # why alerts were not sent


class RunDelivery:
    """Brings a run upstream.

    Args:
        context: of the replay.
        entry: asks for it.
    """

    def __init__(self, context: DeliveryContext, entry: Entry) -> None:
        self._context, self._entry, self._path = context, entry, entry.run_path
        self._sender = LineSender(context.client, entry.run_path, context.features)

    async def done(self, operation: SyncRun, seen: Seen) -> Synced:
        """Deliver.

        Args:
            operation: which log.
            seen: the run as the server has it.

        Raises:
            Clash: the server has something else; nothing was sent.
            NotShown: it does not show what it took.
            GoesOn: the run goes on, and all that there is was delivered.
            MirrorError: of the network or the server, to be tried again; RefusedByServer, Forbidden: it says no.
        """
        if seen.run is None and operation.is_begun and self._entry.resolved != "ours":
            raise Clash("the run was deleted upstream after a part of it was delivered; `ours` makes it once more")
        here = whole(await self._context.here.of((self._path, operation.log)))
        status = _EMPTY if seen.run is None else await self._context.client.stream_status(*self._path)
        place = await self._place(here, status, seen)
        if here.branch is not None:
            seen, status, place = await self._branched(here, here.branch, seen, status, place)
        before = seen.run if isinstance(seen.run, RunRecord) else None
        run = before if place.is_past else None
        run = run or await self._upserted(here, before, is_begun=operation.is_begun)
        if here.is_fork and before is None:  # it has rows of its parent
            place = Place(base=run.history_line_count or 0)
        alerts = AlertSender(
            self._context, self._entry, operation, known=here.row.alerts, begin=place.begin,
            is_over=place.is_past or (before is not None and before.state in ENDED_STATES),
        )  # fmt: skip
        log, sent_rows = await self._send_lines(here, place, status, alerts)
        if before is not None and not place.is_past:
            changed = changed_texts(log, before)
            if operation.is_begun:
                changed |= changed_config(log, here.documents, before)
            if changed:
                await self._context.client.upsert_run(*self._path, changed)
        try:
            uploads = await put_files(self._context, self._path, here.files, is_new=seen.run is None)
            versions = await deliver_versions(self._context, self._path, log.artifacts, log.used_artifacts)
        except RefusedByServer:
            await self._sender.flush()  # its rows are there all the same
            raise
        if place.is_past:
            await mark_put(self._context, self._path, uploads.put)
        else:
            await self._send_end(here, log, uploads.put)
        after, status, listed = await self._look_again(uploads.put)
        files = as_listed(here.files, {**uploads.listed, **listed})
        if not place.is_past:
            self._confirm(log, place.base + here.row.rows, files, status, is_fork=here.is_fork)
        if not here.row.ended:
            remains = msgspec.structs.replace(alerts.operation, is_begun=True)
            raise GoesOn(f"{here.row.rows} rows are upstream, and the run goes on", remains)
        after = self._ended(run, after)
        if versions.refused:
            raise RefusedByServer(f"all but this is upstream: {'; '.join(versions.refused)}")
        row = msgspec.structs.replace(here.row, delivered_at=self._context.now(), alerts=alerts.done)
        return Synced(
            run=after if here.is_last else None, row=row, files=tuple(files), versions=versions.named,
            sent={"rows": sent_rows, "files": [file.name for file in files], "versions": len(versions.named)},
            unsent="; ".join(alerts.refused) or None,
        )  # fmt: skip

    async def _place(self, here: Here, status: StreamStatus, seen: Seen) -> Place:
        """Where the history goes on upstream.

        Raises:
            Clash: the server has other rows.
        """
        if status.history_lines == 0:
            return Place()
        last_step = _last_step(seen.run) if isinstance(seen.run, RunRecord) else None

        def find() -> Place:
            reading = LogReading(self._context.lake.home, here.row)
            return place_of_rows(_rows(reading), status.history_lines, status.last_row, here.before, last_step)

        place = await anyio.to_thread.run_sync(find)
        if place.beyond is not None and await self._is_past(place.beyond, status.history_lines, here):
            rows = here.row.rows
            return Place(base=(status.history_lines or rows) - rows, begin=rows, is_past=True)
        return place if here.branch is not None and not here.is_fork else self._fitting(place)

    def _fitting(self, place: Place) -> Place:
        """A place that does not clash.

        Raises:
            Clash: it does.
        """
        if place.clash is not None:
            ours = "; rows are never replaced, so only `theirs` settles it" if self._entry.resolved == "ours" else ""
            raise Clash(place.clash + ours)
        return place

    async def _branched(
        self, here: Here, branch: BranchPoint, seen: Seen, status: StreamStatus, place: Place
    ) -> tuple[Seen, StreamStatus, Place]:
        """What the server has once it is where the log begins.

        Raises:
            Behind: the run that it begins at waits.
            Clash: it would be rewound behind rows of somebody else.
            RefusedByServer: it cannot be there.
            NotShown: it was rewound, and does not show it.
        """
        check_branch(branch)
        if here.is_fork:
            parent = RunPath(*self._path.key, branch.run)
            if seen.run is None and await anyio.to_thread.run_sync(self._waits, parent):
                raise Behind(parent)
            return seen, status, place
        if seen.run is None:
            raise RefusedByServer(f"it goes on from step {branch.value:g} of a run that the server does not have")
        if not has_to_rewind(int(branch.value), status, place):
            return seen, status, self._fitting(place)
        if logged_since(status, here.row.started_at) and self._entry.resolved != "ours":
            words = (
                f"it rewinds the run to step {branch.value:g}, and the server has rows that were logged since it began"
            )
            raise Clash(f"{words}; `ours` has the server forget them")
        await self._context.client.rewind_run(*self._path, int(branch.value))
        after, status, _ = await self._look_again()
        place = await self._place(here, status, seen)
        if has_to_rewind(int(branch.value), status, place):
            raise NotShown(f"the run was rewound to step {branch.value:g}, and the server shows rows behind it")
        return msgspec.structs.replace(seen, run=after), status, self._fitting(place)

    def _waits(self, run: RunPath) -> bool:
        """Whether a run is still to be brought upstream, or waits for a person."""
        waiting = self._context.outbox.of_run(run, "new", "claimed", "conflict")
        return any(isinstance(placed.entry.operation, SyncRun) for placed in waiting)

    async def _is_past(self, last: TailRow, count: int | None, here: Here) -> bool:
        """Whether the server has the log's last row, and went on from it: a later log was delivered by another home."""
        if last.step is None or (count is not None and count < here.before + here.row.rows):
            return False
        rows = await self._context.client.history_rows(*self._path, last.step, last.step + 1)
        return any(
            is_same_at_its_step(theirs, parse_lenient(last.row))
            for row in rows
            if isinstance(theirs := parse_lenient(row), dict)
        )

    async def _upserted(self, here: Here, seen: RunRecord | None, *, is_begun: bool) -> RunRecord:
        """Make the run, or, the first time, bring its config up to what the log says.

        Raises:
            NotShown: the server does not show it.
        """
        if seen is None:
            fields = fields_of_new(here.light, here.documents)
        else:
            fields = {} if is_begun else fields_of_old(here.light, here.documents, seen)
        if seen is not None and not fields:
            return seen
        if seen is None:
            await anyio.to_thread.run_sync(self._context.outbox.mark_sent, self._entry)
            made, is_ours = await self._context.client.make_run(*self._path, fields)
            if not is_ours:
                raise NotShown("somebody else made the run meanwhile")
        else:
            made = await self._context.client.upsert_run(*self._path, fields)
        if isinstance(made, BadRun):
            raise NotShown(f"the run cannot be read after it was written: {made.reason}")
        return made

    async def _send_lines(
        self, here: Here, place: Place, status: StreamStatus, alerts: AlertSender
    ) -> tuple[RunLog, int]:
        """Send the rows that the server lacks, the console and the system metrics; returns the log, read to its end.

        What is little waits for the next request of the sender.
        """
        reading = LogReading(self._context.lake.home, here.row)
        batches = reading.batches(ROWS_AT_ONCE)
        events = await self._place_of_events(here, status)
        # Lines that later output can still have changed are sent once more.
        known = max(0, (status.console_lines or 0) - here.row.console_lines - _MAY_CHANGE)
        rows = sent = told = 0
        while (batch := await anyio.to_thread.run_sync(_next, batches)) is not None:
            await alerts.send(reading.log.alerts)
            sent += await self._send_rows(HISTORY, place, rows, [row.row for row in batch.history])
            rows += len(batch.history)
            if not place.is_past:  # else all of it came with the rows
                await self._send_rows(EVENTS, events, told, batch.events)
                told += len(batch.events)
                lines = [line for line in batch.console if line.number >= known]
                await self._sender.console(lines, here.row.console_lines)
        return reading.log, sent

    async def _send_rows(self, name: str, place: Place, number: int, rows: Sequence[str]) -> int:
        """Send those of some rows that the server lacks; how many. `number` is that of the first in the log."""
        lacking = rows[max(0, place.begin - number) :]
        await self._sender.rows(name, place.base + max(place.begin, number), lacking)
        return len(lacking)

    async def _place_of_events(self, here: Here, status: StreamStatus) -> Place:
        """Where the system metrics go on upstream."""

        def find() -> Place:
            batches = LogReading(self._context.lake.home, here.row).batches(ROWS_AT_ONCE)
            events = (event for batch in batches for event in batch.events)
            return place_of_events(events, status.event_lines, status.last_event)

        if status.last_event is None:
            return Place(base=status.event_lines or 0)
        return await anyio.to_thread.run_sync(find)

    async def _send_end(self, here: Here, log: RunLog, uploaded: Sequence[str]) -> None:
        """Send the summary, which files went up, and that the run is over."""
        ended: dict[str, Any] = {"uploaded": list(uploaded)} if uploaded else {}
        if here.row.ended:
            ended |= {"complete": True, "exitcode": 1 if log.exit_code is None else log.exit_code}
            if log.preempting:
                ended["preempting"] = True
        await self._sender.end(here.documents.summary or "{}", **ended)

    async def _look_again(self, names: Sequence[str] = ()) -> tuple[RunRecord, StreamStatus, Mapping[str, FileRow]]:
        """The run, its streams, and its files of these names, as they are upstream now.

        Raises:
            NotShown: the server does not show it.
        """
        try:
            seen = await self._context.many.look(self._path, names)
        except NotOffered as error:
            raise NotShown(f"the run cannot be read after it was delivered: {error.message}") from error
        if seen is None or isinstance(seen, BadRun) or seen.streams is None:
            raise NotShown("the run cannot be read after it was delivered")
        if seen.files is not None:
            return seen.run, seen.streams, rows_of(seen.files)
        return seen.run, seen.streams, await listed_files(self._context, self._path, names) if names else {}

    def _confirm(
        self, log: RunLog, expected: int, files: Sequence[FileRow], status: StreamStatus, *, is_fork: bool
    ) -> None:
        """See that the server has all of it.

        Raises:
            NotShown: it counts fewer rows, or does not list the bytes of a file.
            Clash: it counts more.
        """
        counted = expected if status.history_lines is None else status.history_lines
        if counted < expected - log.rows_back:
            raise NotShown(f"the server counts {status.history_lines} rows of {expected}")
        if counted > expected and not is_fork and self._entry.resolved != "ours":
            raise Clash(f"the server counts {status.history_lines} rows, {expected} were sent: somebody else logs too")
        last = parse_lenient(status.last_row)
        if log.rows and isinstance(last, dict) and last.get("_step") not in (None, log.last_step, log.latest_step):
            raise NotShown(f"the server's last row is of step {last.get('_step')}, and {log.last_step} was sent")
        if MARK_FEATURE in self._context.features:
            for file in files:
                if file.file_id is None:
                    raise NotShown(f"the server took {file.name} but does not list these bytes")

    @staticmethod
    def _ended(run: RunRecord, after: RunRecord) -> RunRecord:
        """The run as it is upstream after its end.

        Raises:
            NotShown: it goes on there.
        """
        if after.state not in ENDED_STATES | {"preempted"} and after.state is not None:
            raise NotShown(f"the run was ended, and the server shows it as {after.state}")
        if after.created_at is None:
            after = msgspec.structs.replace(after, created_at=run.created_at, created_at_text=run.created_at_text)
        # As one that moved since: the next pull looks at all that it contains.
        return msgspec.structs.replace(after, fingerprint="", heartbeat_at_text=None)


_MAY_CHANGE = 64  # console lines behind the last one that later output could still have changed


def _last_step(run: RunRecord) -> int | None:
    """The last step of a run's history, by the server's list of its keys."""
    keys = parse_lenient(run.history_keys_text)
    step = keys.get("lastStep") if isinstance(keys, dict) else None
    return step if isinstance(step, int) and not isinstance(step, bool) else None


def _next(batches: Iterator[NewRows]) -> NewRows | None:
    return next(batches, None)


def _rows(reading: LogReading) -> Iterator[TailRow]:
    for batch in reading.batches(ROWS_AT_ONCE):
        yield from batch.history
