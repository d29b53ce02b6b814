"""Backlogs that are written without the hour that flushing each entry would take."""

from __future__ import annotations

from mirror.clock import utc_now
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.outbox.names import name_of, next_id
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit, Entry, encode_entry
from tests.bench.made_runs import run_id
from tests.mirroring import ENTITY, PROJECT


def fill(home: Home, count: int, *, mark: str, of_each: int = 1) -> None:
    """Edits of the notes of runs, so many of each run."""
    outbox = Outbox(home)
    with outbox.replaying():  # makes the folders
        last = None
        for number in range(count):
            last = next_id(1_900_000_000_000 + number, last)
            path = RunPath(ENTITY, PROJECT, run_id(number // of_each))
            entry = Entry(
                id=last, entity=path[0], project=path[1], run_id=path[2], storage_id=path[2],
                operation=Edit(fields={"notes": Change(base=None, value=mark)}), created_at=utc_now(),
            )  # fmt: skip
            (home.outbox / "new" / name_of(last, path)).write_bytes(encode_entry(entry))
