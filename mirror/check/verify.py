"""Read everything that a home holds and say what is wrong. Changes nothing; see the package's docstring.

The order: a copy of the catalog; the Parquet files that it names; the objects; what rows and entries name and is not
there; the outbox; small files. What seems to be missing is looked up in a newer copy of the catalog at the end, since
maintenance may have removed it meanwhile with the rows that named it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import msgspec

from mirror.check.findings import Damage, Findings
from mirror.check.hashing import THREADS, HashingProgress, stopping
from mirror.check.lake import LakeCheck, check_catalog, check_lake_files, told_lake_file
from mirror.check.objects import damaged_objects, missing_objects, told_object
from mirror.check.outbox import HurtUpload, check_outbox, told_upload
from mirror.check.report import VerifyReport, told_doubled
from mirror.check.shared import verify_shared
from mirror.check.state_files import check_state_files
from mirror.errors import LakeTooNew, NotMirrored, StoreError
from mirror.layout import Home
from mirror.outbox.reading import OutboxReader
from mirror.store.care.inspection import (
    check_version,
    doubled_rows,
    inspected,
    lake_files,
    named_objects,
    referrers,
    tables_of,
)
from mirror.store.engine.catalog_copy import catalog_copy, is_blank
from mirror.store.engine.catalog_seal import log_of
from mirror.store.engine.connection import Engine, store_errors
from mirror.store.objects.objects import Objects
from mirror.store_settings import StoreSettings

_LOOKS = 5  # at a lake that others change meanwhile


class _Lake(msgspec.Struct, kw_only=True):
    """What the tables said."""

    files: int = 0
    check: LakeCheck = msgspec.field(default_factory=lambda: LakeCheck(bad=[], unrecorded=0))
    sealed: bool | None = None
    opened: bool = False  # the rows could be read
    missing: list[str] = msgspec.field(default_factory=list)  # digests that rows name
    damaged: list[str] = msgspec.field(default_factory=list)  # of another size than a row says


def verify(
    home: Home,
    settings: StoreSettings,
    *,
    quick: bool = False,
    meter: HashingProgress | None = None,
    threads: int = THREADS,
) -> VerifyReport:
    """Look at everything.

    Args:
        home: whose.
        settings: memory for the questions to the tables.
        quick: presence and sizes, nothing hashed.
        meter: counts what is done, for those who show it.
        threads: that hash at a time.

    Raises:
        NotMirrored: there is nothing to look at.
        LakeTooNew: a newer wandb-mirror wrote it.
        StoreError: the home cannot be read.
    """
    if (shared := Objects(home).shared) is not None:
        return verify_shared(home, settings, shared, quick=quick, meter=meter, threads=threads)
    started = time.monotonic()
    meter = meter or HashingProgress()
    findings = Findings()
    if not (home.lake.exists() or home.objects.exists() or home.outbox.exists()):
        raise NotMirrored(
            f"nothing is mirrored in {home.root} yet",
            hint="run `wandb-mirror init --source ENTITY/PROJECT` and `wandb-mirror pull`, or name another --home",
        )
    with store_errors(home), stopping(meter):
        meter.phase = "tables"
        lake = _check_lake(home, settings, findings, meter, quick, threads)
        meter.phase = "objects"
        before = meter.files
        damaged = damaged_objects(home, findings, meter, quick=quick, threads=threads)
        objects = meter.files - before
        meter.phase = "outbox"
        damaged += lake.damaged
        outbox = check_outbox(home, findings, meter, damaged)
        check_state_files(home, findings)
        _tell(home, settings, findings, lake, damaged=damaged, hurt=outbox.hurt)
    return VerifyReport(
        quick=quick,
        catalog="damaged" if "catalog_damaged" in findings.counts else "sealed" if lake.sealed else "unsealed",
        lake_files=lake.files,
        unrecorded=lake.check.unrecorded,
        objects=objects,
        entries=outbox.entries,
        bytes=meter.bytes,
        seconds=time.monotonic() - started,
        counts=findings.counts,
        findings=findings.in_order(),
    )


def _check_lake(
    home: Home, settings: StoreSettings, findings: Findings, meter: HashingProgress, quick: bool, threads: int
) -> _Lake:
    lake = _Lake()
    has_files = any(home.lake_data.rglob("*.parquet"))
    if not home.catalog.exists() and not has_files:
        return lake  # nothing but an outbox

    def rows(engine: Engine) -> None:
        tables = tables_of(engine) - {file.table for file in lake.check.bad if file.is_current}
        if "meta" in tables:
            check_version(engine, home)
        doubled = doubled_rows(engine, tables)
        lake.missing, lake.damaged = missing_objects(home, named_objects(engine, tables), quick=quick)
        for damage in told_doubled(doubled, "lake/catalog.sqlite"):
            findings.add(damage)
        lake.opened = True

    try:
        stamp = _stamp(home)
        with catalog_copy(home) as copy:
            if not has_files and is_blank(copy.path):
                return lake
            lake.sealed = check_catalog(home, copy, findings)
            with inspected(home, copy.path, settings) as engine:
                files = lake_files(engine, home)
                lake.files = len(files)
                lake.check = check_lake_files(home, files, findings, meter, quick=quick, threads=threads)
                try:
                    with store_errors(home):
                        rows(engine)
                except StoreError:
                    if _stamp(home) == stamp:
                        raise
        if not lake.opened:  # maintenance removed what only the state before needs
            _read_anew(home, settings, rows)
    except LakeTooNew:
        raise
    except StoreError as error:
        if "catalog_damaged" not in findings.counts:
            findings.add(
                Damage(
                    kind="catalog_damaged",
                    path="lake/catalog.sqlite",
                    wrong=error.message,
                    lost="what the tables hold, in part or whole; objects and the outbox stand apart from it",
                    hint=error.hint or "restore lake/ from a backup, catalog and data together",
                )
            )
    return lake


def _read_anew(home: Home, settings: StoreSettings, rows: Callable[[Engine], None]) -> None:
    """Read the rows of the newest state, until nobody removes its files meanwhile.

    Raises:
        StoreError: they cannot be read, and nobody changed anything, or again and again.
    """
    for left in reversed(range(_LOOKS)):
        stamp = _stamp(home)
        try:
            _with_newest(home, settings, rows)
        except StoreError:
            if left == 0 or _stamp(home) == stamp:
                raise
        else:
            return


def _stamp(home: Home) -> list[tuple[int, int, int]]:
    """What changes with each commit."""
    seen = []
    for path in (home.catalog, log_of(home.catalog)):
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            seen.append((found.st_ino, found.st_mtime_ns, found.st_size))
    return seen


def _tell(
    home: Home,
    settings: StoreSettings,
    findings: Findings,
    lake: _Lake,
    *,
    damaged: list[str],
    hurt: Sequence[HurtUpload],
) -> None:
    """Say what is missing or damaged, if the newest state still needs it, and what is lost by it."""
    if not (damaged or lake.missing or lake.check.bad or hurt):
        return
    uploads = {one.upload.object for one in hurt}
    if not lake.opened:
        for one in hurt:
            findings.add(told_upload(home, one, upstream=False))
        for digest in set(damaged) - uploads:
            findings.add(told_object(digest, None, damaged=True, known=False))
        return

    def tell(engine: Engine) -> None:
        kept = {file.path: file for file in lake_files(engine, home)}
        bad = [kept[file.path] for file in lake.check.bad if file.path in kept]
        for file in bad:
            findings.add(told_lake_file(home, file))
        tables = tables_of(engine) - {file.table for file in bad if file.is_current}
        names = referrers(engine, tables, [*damaged, *lake.missing, *uploads])
        for one in hurt:
            held = names.get(one.upload.object)
            findings.add(told_upload(home, one, upstream=held is not None and bool(held.upstream)))
        needed = frozenset(OutboxReader(home).needed_objects()) if damaged else frozenset()
        for digest in damaged:
            if digest in uploads and digest not in names:  # told with the upload
                continue
            findings.add(
                told_object(digest, names.get(digest), damaged=True, known="runs" in tables, set_aside=digest in needed)
            )
        for digest in lake.missing:
            if digest in names:
                findings.add(told_object(digest, names[digest], damaged=False))

    _with_newest(home, settings, tell)


def _with_newest(home: Home, settings: StoreSettings, action: Callable[[Engine], None]) -> None:
    with catalog_copy(home) as copy, inspected(home, copy.path, settings) as engine:
        action(engine)
