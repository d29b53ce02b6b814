"""What a check can find: a closed list of kinds, each with what is wrong, what is lost by it and what to type."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

import msgspec

from mirror.layout import Home

FindingKind = Literal[
    "catalog_damaged",  # SQLite finds it broken, or it changed while nobody wrote
    "lake_file_missing",
    "lake_file_damaged",  # a Parquet file of the tables
    "digests_damaged",  # the list of digests of those files, or the seal of the catalog
    "rows_doubled",  # a key that is to be unique comes more than once
    "object_missing",  # a row or a queued upload names it
    "object_damaged",  # its bytes are not those that its name says
    "object_misplaced",  # something among the objects that is none
    "entry_damaged",  # a file of the outbox that cannot be read
    "entry_aside",  # one that was set aside before
    "state_damaged",  # the configuration, status.json, what the daemon remembers
    "unreadable",  # the disk, or its permissions, refuse to give the bytes
]
FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)
MOST_TOLD = 10_000  # findings that are told one by one; more are counted


def below(home: Home, path: Path) -> str:
    """A path as findings tell it: below the home, if it is there."""
    return os.fspath(path.relative_to(home.root) if path.is_relative_to(home.root) else path)


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    kind: FindingKind
    path: str  # below the home
    wrong: str  # what is so
    lost: str  # what is lost by it, as far as is known
    hint: str  # what to type, or to do


class Findings:
    """What was found so far: each one told, up to a bound; all counted."""

    def __init__(self) -> None:
        self.told: list[Damage] = []
        self.counts: dict[FindingKind, int] = {}

    def add(self, finding: Damage) -> None:
        """One more."""
        self.counts[finding.kind] = self.counts.get(finding.kind, 0) + 1
        if len(self.told) < MOST_TOLD:
            self.told.append(finding)

    def in_order(self) -> tuple[Damage, ...]:
        """The cause before what follows from it, then by path."""
        return tuple(sorted(self.told, key=lambda one: (FINDING_KINDS.index(one.kind), one.path)))
