"""A run as `show` prints it: the row that is mirrored, with what waits in the outbox as if it had happened."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from mirror.cli.report.outbox import open_outbox
from mirror.cli.run_paths import not_mirrored
from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.outbox import Placed
from mirror.records.addresses import RunPath
from mirror.records.operations import Create, Entry
from mirror.run.pending.overlay import created_run, overlaid_row
from mirror.store.engine.reader import ONE_THREAD
from mirror.store.sql.statements import connect, run_sql

NOT_YET = ("history_keys", "system_metrics", "gone_at", "synced_at")  # columns that a run has once it is mirrored


def shown_run(home: Home, path: RunPath) -> tuple[dict[str, Any], list[Placed]]:
    """A row of the view `runs` as it will be, and the entries that make it so or that were refused.

    Raises:
        NotMirrored: it is not held, and nobody asked for its creation.
    """
    # Before the lake: an entry leaves the outbox only when the lake holds its effect.
    pending = open_outbox(home).of_run(path)
    shown = [entry for state, entry in pending if state != "dead"]
    created = next((entry for entry in shown if isinstance(entry.operation, Create)), None)
    row = None
    with contextlib.ExitStack() as stack:
        if created is not None:  # in a home into which nothing was pulled there may be no lake
            stack.enter_context(contextlib.suppress(NotMirrored))
        row = _mirrored(home, path)
    if row is None:
        if created is None:
            raise not_mirrored(path, home)
        row = _created(created)
    return overlaid_row(row, [entry.operation for entry in shown]), pending


def _mirrored(home: Home, path: RunPath) -> dict[str, Any] | None:
    with contextlib.closing(connect(home, settings=ONE_THREAD)) as engine:
        rows = run_sql(
            engine,
            "SELECT * FROM runs WHERE entity = ? AND project = ? AND run_id = ?",
            [*path],
        ).plain_rows()
        return next(rows, None)


def _created(entry: Entry) -> dict[str, Any]:
    """The row of a run that the server does not know yet."""
    row = msgspec.structs.asdict(created_run(entry))
    del row["project_internal_id"], row["gone"]
    row["created_at"] = entry.created_at.replace(tzinfo=None).isoformat()
    return {**row, "config": {}, "summary": {}, **dict.fromkeys(NOT_YET)}
