"""A run as W&B sent it, and the facts about its states."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec

from mirror.texts.values import storable

# Runs in these states may change at any moment, also without a sign in the listing: `crashed` is set by the server
# when heartbeats stop, and that does not move `heartbeatAt`. W&B API notes, section 5.
ACTIVE_STATES = frozenset({"running", "pending", "preempting", "preempted"})
# The origin, and the fingerprint, of a run that was trained without a server, until all of it is delivered.
OFFLINE = "offline"
ENDED_STATES = frozenset({"finished", "failed", "crashed", "killed"})
RUN_STATES = ACTIVE_STATES | ENDED_STATES  # that W&B documents; a server may have others


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run: identity, light fields, and the three JSON documents as the exact texts that came over the wire.

    Times come twice: parsed (aware, UTC) and as the raw text the server sent.
    """

    entity: str
    project: str
    run_id: str  # W&B's `name`: the last part of the run's path
    storage_id: str  # W&B's `id`: opaque, what mutations address
    display_name: str | None
    state: str | None
    tags: tuple[str, ...]
    group: str | None
    job_type: str | None
    sweep: str | None  # sweep id
    notes: str | None
    description: str | None
    commit: str | None
    user: str | None  # username; None for a deleted account
    user_name: str | None  # display name of the user
    read_only: bool | None
    project_internal_id: str | None  # numeric id of the project, as text
    created_at: dt.datetime | None  # UTC
    created_at_text: str | None
    heartbeat_at: dt.datetime | None  # UTC
    heartbeat_at_text: str | None
    updated_at: dt.datetime | None  # UTC; None where the server does not tell
    updated_at_text: str | None
    host: str | None  # name of the machine that it ran on
    history_line_count: int | None  # rows logged, by the server's count
    history_keys_text: str | None  # JSON text of `historyKeys`
    config_text: str | None  # exact wire text
    summary_text: str | None  # exact wire text
    system_metrics_text: str | None  # exact wire text
    origin: str | None = None  # `OFFLINE`; None: the server
    fingerprint: str  # digest over what is above but `updated_at`: see `api.rows.fingerprint`
    flaws: Mapping[str, str] = {}  # fields of this record that the server could not serve, with its words
    untold: frozenset[str] = frozenset()  # fields of this record that the answer did not have: the server lacks them

    @property
    def path(self) -> str:
        """`entity/project/run_id`."""
        return f"{self.entity}/{self.project}/{self.run_id}"

    @property
    def is_active(self) -> bool:
        """Whether the run may still change by itself."""
        return self.state in ACTIVE_STATES

    def tells(self, field: str) -> bool:
        """Whether the server told a field this time; else it is empty, or what was held of it before."""
        return field not in (self.flaws or ()) and field not in (self.untold or ())


class KnownRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which run the mirror holds under an id."""

    storage_id: str | None
    created_at: dt.datetime | None  # by the server, UTC
    remade_at: dt.datetime | None  # UTC; when the mirror found it in place of another one that had its id


def is_same_run(run: RunRecord, *, storage_id: str | None, created_at: dt.datetime | None) -> bool:
    """Whether a run that is held is the one listed, and not one that was deleted and made again under its id.

    Some servers make the storage id of the run's path, so that the time of creation has to agree, too. What is missing
    on either side tells nothing: a server may begin or cease to tell it.

    Args:
        run: as listed.
        storage_id: of the one held.
        created_at: of the one held, UTC.
    """
    if storage_id and run.storage_id and storage_id != storable(run.storage_id):
        return False
    return created_at is None or run.created_at is None or created_at == run.created_at
