"""What a check comes to."""

from __future__ import annotations

from typing import Literal

import msgspec

from mirror.check.findings import Damage, FindingKind

CatalogState = Literal["sealed", "unsealed", "damaged"]


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at and what was found; also a JSON contract."""

    quick: bool  # nothing was hashed
    catalog: CatalogState  # unsealed: a writer is at it or was killed, so that its structure alone was checked
    lake_files: int  # that a kept snapshot names
    unrecorded: int  # of them, those whose digest was never recorded: they were read whole instead
    objects: int  # files
    entries: int  # of the outbox
    bytes: int  # that were read and hashed
    seconds: float
    counts: dict[FindingKind, int]  # all findings, by kind
    findings: tuple[Damage, ...]  # the first 10,000

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.counts


def told_doubled(doubled: dict[str, int], catalog: str) -> list[Damage]:
    """What is to be said about keys that come more than once, by table."""
    return [
        Damage(
            kind="rows_doubled",
            path=catalog,
            wrong=f"`{table}` has {count} keys more than once: a defect of wandb-mirror, or two writers",
            lost="nothing; answers over that table count some rows twice",
            hint="please report it; `wandb-mirror pull --reconcile` compares every run",
        )
        for table, count in doubled.items()
    ]
