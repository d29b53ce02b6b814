"""A shared lake: the catalog as one commit shows it, the files in the bucket that it names, and the objects there.

PostgreSQL checks its own pages, and S3 the bytes that it keeps. What is left to be found is what somebody removed or
changed: so sizes are compared, objects hashed, and tables decoded from their first value to their last.

No transaction is open while files are read, which may take hours: PostgreSQL's vacuum and `maintain` would wait for it.
What the catalog names is read before, and what seems to be wrong is looked up again after.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mirror.check.findings import Damage, Findings, below
from mirror.check.hashing import THREADS, HashingProgress, map_in_threads, sha256_of, stopping
from mirror.check.objects import told_object
from mirror.check.outbox import check_outbox, told_upload
from mirror.check.report import VerifyReport, told_doubled
from mirror.check.state_files import check_state_files
from mirror.layout import Home
from mirror.outbox.group import needed_objects
from mirror.store.care.inspection import (
    LakeFile,
    check_version,
    damage_of_rows,
    doubled_rows,
    lake_files,
    named_objects,
    referrers,
    tables_of,
)
from mirror.store.engine.connection import Engine, one_commit, store_errors
from mirror.store.engine.reading import open_lake
from mirror.store.engine.storage import DataFile
from mirror.store.engine.storages import storage_of
from mirror.store.objects.bucket_objects import BucketObjects
from mirror.store_settings import StoreSettings

_ABSENT = "the catalog names it, but it is not in the bucket"
_RESTORE = "restore the catalog and the bucket from backups, the bucket of the same moment or later"


def verify_shared(
    home: Home,
    settings: StoreSettings,
    objects: BucketObjects,
    *,
    quick: bool = False,
    meter: HashingProgress | None = None,
    threads: int = THREADS,
) -> VerifyReport:
    """Look at everything; what others commit meanwhile may be of the next time.

    Args:
        home: that shares the lake.
        settings: memory for the questions.
        objects: in the bucket.
        quick: presence and sizes, nothing read.
        meter: counts what is done.
        threads: that read at a time.

    Raises:
        NotMirrored: there is nothing to look at.
        LakeAway: database or bucket do not answer.
        StoreError: they refuse.
    """
    started = time.monotonic()
    meter = meter or HashingProgress()
    findings = Findings()
    with store_errors(home), stopping(meter), contextlib.closing(open_lake(home, settings)) as engine:
        meter.phase = "tables"
        with one_commit(engine):
            check_version(engine, home)
            files = lake_files(engine, home)
        wrong = _wrong_files(engine, home, files, meter, quick)
        with one_commit(engine):
            bad = [file for file in lake_files(engine, home) if file.name in wrong]
            tables = tables_of(engine) - {file.table for file in bad if file.is_current}
            for damage in told_doubled(doubled_rows(engine, tables), "catalog"):
                findings.add(damage)
            named = dict(named_objects(engine, tables))
        for file in bad:
            findings.add(_told_file(home, file, wrong[file.name]))
        meter.phase = "objects"
        before = meter.files
        there = {digest: stored.size for digest, stored in objects.listed()}
        missing = [digest for digest in named if digest not in there]
        damaged = [digest for digest, size in named.items() if size not in (None, there.get(digest, size))]
        if not quick:
            damaged = list(dict.fromkeys([*damaged, *_damaged_objects(objects, there, meter, threads)]))
            for damage in _damaged_copies(home, objects, meter, threads):
                findings.add(damage)
        else:
            for _ in there:
                meter.done()
        looked = meter.files - before
        meter.phase = "outbox"
        outbox = check_outbox(home, findings, meter, damaged)
        check_state_files(home, findings)
        uploads = {one.upload.object for one in outbox.hurt}
        with one_commit(engine):
            names = referrers(engine, tables, [*damaged, *missing, *uploads])
        needed = frozenset(needed_objects(home)) if damaged else frozenset()
        is_known = "runs" in tables
        for one in outbox.hurt:
            held = names.get(one.upload.object)
            findings.add(told_upload(home, one, upstream=held is not None and bool(held.upstream)))
        for digest in damaged:
            if digest not in uploads or digest in names:
                findings.add(
                    told_object(digest, names.get(digest), damaged=True, known=is_known, set_aside=digest in needed)
                )
        for digest in missing:
            if digest in names or not is_known:  # else the row that named it is gone by now
                findings.add(told_object(digest, names.get(digest), damaged=False, known=is_known))
    return VerifyReport(
        quick=quick,
        catalog="unsealed",
        lake_files=len(files),
        unrecorded=len(files),
        objects=looked,
        entries=outbox.entries,
        bytes=meter.bytes,
        seconds=time.monotonic() - started,
        counts=findings.counts,
        findings=findings.in_order(),
    )


def _damaged_objects(
    objects: BucketObjects, digests: Iterable[str], meter: HashingProgress, threads: int
) -> Iterator[str]:
    """Those whose bytes in the bucket are others."""
    for digest, found in map_in_threads(digests, lambda digest: objects.sha256(digest, meter.read), threads):
        meter.done()
        if found not in (None, digest):  # None: removed meanwhile
            yield digest


def _damaged_copies(home: Home, objects: BucketObjects, meter: HashingProgress, threads: int) -> Iterator[Damage]:
    """What this machine keeps of the bucket and has other bytes by now."""

    def look(path: Path) -> str:
        try:
            return sha256_of(path, meter)
        except FileNotFoundError:  # let go of meanwhile
            return path.name

    for path, found in map_in_threads(objects.copies(), look, threads):
        if found != path.name:
            yield Damage(
                kind="object_damaged",
                path=below(home, path),
                wrong="its bytes are not those that its name says",
                lost="nothing: it is a copy of what the bucket has",
                hint=f"remove {path}; it is fetched again when it is needed",
            )


def _wrong_files(
    engine: Engine, home: Home, files: list[LakeFile], meter: HashingProgress, quick: bool
) -> dict[str, str]:
    """Compare the files of the tables with what the catalog says; what is wrong, by name of the file."""
    storage = storage_of(home)
    there = storage.listed()
    found = {}
    for file in files:
        wrong = _wrong(file, there.get(file.name))
        if wrong is None and not quick:
            try:
                wrong = damage_of_rows(engine, storage, file.name)
            except FileNotFoundError:  # if nothing needs it any more, it is in the catalog no more either
                wrong = _ABSENT
            meter.read(file.size)
        meter.done()
        if wrong is not None:
            found[file.name] = wrong
    return found


def _told_file(home: Home, file: LakeFile, wrong: str) -> Damage:
    return Damage(
        kind="lake_file_missing" if wrong == _ABSENT else "lake_file_damaged",
        path=storage_of(home).address(file.name),
        wrong=wrong,
        lost=f"rows of `{file.table}`; W&B has those of runs that it still lists",
        hint=_RESTORE,
    )


def _wrong(file: LakeFile, found: DataFile | None) -> str | None:
    if found is None:
        return _ABSENT
    if found.size != file.size:
        return f"it has {found.size} bytes, the catalog says {file.size}"
    return None
