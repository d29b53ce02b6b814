"""The lake: the catalog is sound, and every Parquet file that a snapshot names has the bytes that were written."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mirror.check.findings import Damage, Findings, below
from mirror.check.hashing import THREADS, HashingProgress, map_in_threads
from mirror.check.objects import unreadable
from mirror.layout import Home
from mirror.store.care.inspection import LakeFile, damage_of_catalog, damage_of_parquet
from mirror.store.engine.catalog_copy import CatalogCopy
from mirror.store.engine.catalog_log import damage_of_log
from mirror.store.engine.catalog_seal import fits, log_of
from mirror.store.engine.lake_digests import LakeDigests, hash_rot, read_digests

_RESTORE = "restore lake/ from a backup, catalog and data together"
_BY_HAND = "; if you changed it yourself, remove lake/catalog.seal"
_W_AND_B = "W&B has those of runs that it still lists"
_LOST = {
    "metrics": "rows of `metrics`, for SQL over all runs; the histories that they were made of are held apart",
    "receipts": "what operations came to that were queued here: nobody else has that",
}


class LakeCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    bad: list[LakeFile]  # missing or damaged, as it seems
    unrecorded: int  # files without a digest, that were read whole instead


def check_catalog(home: Home, copy: CatalogCopy, findings: Findings) -> bool | None:
    """Look at a copy of the catalog.

    Returns:
        Whether it is what the last commit left; None when there is no seal to compare with.

    Raises:
        OSError: the copy cannot be read.
    """
    wrong = damage_of_log(log_of(copy.path))
    if wrong is not None:
        _add_catalog(findings, f"lake/{log_of(home.catalog).name}", wrong)
    sealed = None
    seal = copy.seal
    if seal is not None and not seal.is_whole:
        findings.add(
            Damage(
                kind="digests_damaged",
                path=below(home, home.catalog_seal),
                wrong="it is not what was written",
                lost="nothing: the catalog is compared with it, which is left out this time",
                hint=f"remove {home.catalog_seal}; the next pull writes it anew",
            )
        )
    elif seal is not None:
        sealed = seal.broken_at is None and fits(seal, copy.path)
        if not sealed:
            when = f"; seen at {seal.broken_at}" if seal.broken_at else ""
            _add_catalog(
                findings, "lake/catalog.sqlite", f"it changed while no wandb-mirror was writing{when}", _BY_HAND
            )
    if (wrong := damage_of_catalog(copy.path)) is not None:
        _add_catalog(findings, "lake/catalog.sqlite", wrong)
    return sealed


def _add_catalog(findings: Findings, path: str, wrong: str, changed: str = "") -> None:
    findings.add(
        Damage(
            kind="catalog_damaged",
            path=path,
            wrong=wrong,
            lost="what the tables hold, in part or whole; objects and the outbox stand apart from it",
            hint=f"keep the home as it is, and {_RESTORE}{changed}",
        )
    )


def check_lake_files(
    home: Home,
    files: Iterable[LakeFile],
    findings: Findings,
    meter: HashingProgress,
    *,
    quick: bool,
    threads: int = THREADS,
) -> LakeCheck:
    """Read every Parquet file that a snapshot names.

    Args:
        home: whose.
        files: as the catalog names them.
        findings: take what is wrong with the list of digests, and what cannot be read.
        meter: counts.
        quick: compare sizes alone.
        threads: that hash at a time.

    Returns:
        The files that seem to be missing or damaged; the caller says so if they are needed still.

    Raises:
        OSError: the list of digests cannot be read.
    """
    known = read_digests(home)  # after the catalog, so that each file that it names is in it
    if known.damaged:
        findings.add(
            Damage(
                kind="digests_damaged",
                path=below(home, home.lake_digests),
                wrong=f"lines that are not what was written: {known.damaged}",
                lost="nothing: files whose line is damaged are read whole, which finds most of what a digest would",
                hint="`wandb-mirror maintain` records what is missing",
            )
        )
    bad: list[LakeFile] = []
    unrecorded = 0
    for file, outcome in map_in_threads(files, lambda file: _look(file, known, meter, quick), threads):
        if isinstance(outcome, OSError):
            findings.add(unreadable(home, file.path, outcome))
        elif outcome is None:
            unrecorded += 1
        elif not outcome:
            bad.append(file)
    return LakeCheck(bad=bad, unrecorded=unrecorded)


def told_lake_file(home: Home, file: LakeFile) -> Damage:
    """What is to be said about a file that is missing or damaged."""
    lost = _LOST.get(file.table, f"rows of `{file.table}`; {_W_AND_B}")
    there = file.path.exists()
    return Damage(
        kind="lake_file_damaged" if there else "lake_file_missing",
        path=below(home, file.path),
        wrong="its bytes are not those that were written" if there else "the catalog names it, but it is not there",
        lost=lost
        if file.is_current
        else f"earlier states of `{file.table}`, which SQL could ask for; the newest stands",
        hint=_RESTORE,
    )


def _look(file: LakeFile, known: LakeDigests, meter: HashingProgress, quick: bool) -> bool | OSError | None:
    """Whether a file is what was written; None when no digest says so, but it could be read whole."""
    try:
        size = file.path.stat().st_size
        if quick or size != file.size:
            meter.done()
            return size == file.size
        recorded = known.files.get(file.name)
        if recorded is None:
            meter.read(size)
            meter.done()
            return None if damage_of_parquet(file.path) is None else False
        found = hash_rot(file.path, meter.read)
        meter.done()
    except FileNotFoundError:
        return False
    except OSError as error:
        return error
    return found == recorded
