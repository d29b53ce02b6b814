"""Which logs a person wants to have taken in."""

from __future__ import annotations

import msgspec


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which logs are wanted, and where they belong."""

    paths: tuple[str, ...]  # files and folders
    entity: str | None = None  # in place of the one that a log names
    project: str | None = None
    run_id: str | None = None
    job_type: str | None = None
    replaced_tags: str | None = None  # as `OfflineLog` has it
    default_entity: str | None = None  # of a log that names none
    online: bool = False  # also those of runs that had a server
    synced: bool = False  # also those that `wandb sync` is done with
    home: str | None = None  # the mirror's own folder, whose copies are no logs of anybody's
