"""What the daemon remembers of the pulls before it began: when each project was pulled well, and what was given up."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.store.engine.lake import Lake


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """As the lake has it."""

    good_at: dict[ProjectKey, dt.datetime]  # UTC; the last good pass of each project
    walked_at: dict[ProjectKey, dt.datetime]  # UTC; when all runs of each were compared for the last time
    quarantined: int  # items given up until a person asks for them


def standing(lake: Lake) -> Standing:
    """Look at the last commit.

    Raises:
        StoreError: the lake cannot be read.
    """
    with lake.reading() as engine:
        passes = engine.execute(
            "SELECT entity, project, last_pass_at, last_walk_at FROM lake.sources WHERE last_pass_at IS NOT NULL"
        ).fetchall()
        given_up = engine.execute("SELECT count(*) FROM lake.failures WHERE quarantined").fetchone()
    return Standing(
        good_at={ProjectKey(entity, project): at.replace(tzinfo=dt.UTC) for entity, project, at, _ in passes},
        walked_at={
            ProjectKey(entity, project): at.replace(tzinfo=dt.UTC)
            for entity, project, _, at in passes
            if at is not None
        },
        quarantined=given_up[0] if given_up else 0,
    )
