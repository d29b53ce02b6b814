"""A log of the SDK's that was added: whose it is, and how far it is in the lake."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.records.addresses import RunPath


class OfflineLog(msgspec.Struct, frozen=True, kw_only=True):
    """One `.wandb` file, by what is in it: a copy of it is the same log."""

    log: str  # SHA-256, hex, of its beginning up to the first record of a run
    entity: str
    project: str
    run_id: str
    source: str  # where it was found
    bytes: int = 0  # of the file that are in the lake
    rows: int = 0  # of its history that are in the lake
    console_lines: int = 0  # of the run, before those of this log
    event_rows: int = 0  # of its system metrics, before those of this log
    first_step: int = 0  # what is added to its steps, where it goes on from an earlier log of its run
    damaged: int = 0  # stretches of it that could not be read
    damage: str | None = None  # the first of them, in words
    ended: bool = False  # nothing more comes: it says so, or nobody has written it for long
    exit_code: int | None = None  # None: the log does not say
    started_at: dt.datetime | None = None  # UTC
    added_at: dt.datetime  # UTC
    grown_at: dt.datetime | None = None  # UTC; when it was last seen to grow
    delivered_at: dt.datetime | None = None  # UTC; all of it is upstream
    job_type: str | None = None  # in place of the one that it names
    replaced_tags: str | None = None  # `old=new`, by commas: what becomes of its tags; `old=` takes one away
    alerts: int | None = None  # of it, that were sent, or tried; None: it was never delivered from here

    @property
    def new_tags(self) -> dict[str, str]:
        """What becomes of its tags; a tag that is to go becomes nothing."""
        return tag_replacements(self.replaced_tags or "")

    @property
    def run_path(self) -> RunPath:
        """Entity, project, run id."""
        return RunPath(self.entity, self.project, self.run_id)


def tag_replacements(text: str) -> dict[str, str]:
    """`old1=new1,old2=new2` as old and new tags.

    Raises:
        ValueError: a part of it is no pair.
    """
    pairs: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        old, equals, new = part.partition("=")
        if not equals or not old.strip():
            raise ValueError(part)
        pairs[old.strip()] = new.strip()
    return pairs
