"""Keep a home small for years: few files, as much of the past as was asked for, and no bytes that nothing refers to.

The order, and what a crash leaves at each point:

    0. generations of runs forgotten, but for the newest
                                              crash before COMMIT: they are there; after: they are not
    1. rows inside the catalog written out, files with many deleted rows written anew, small files merged; each
       flushed before its COMMIT              crash: files no snapshot names, removed as step 4 does
    2. old snapshots forgotten                crash before COMMIT: they are there; after: their files wait for step 4
    3. every reader sees the last commit?     if not, the rest waits for the next time
    4. lake files removed that nothing named for some time
                                              crash: some are gone; the next time goes on
    5. objects listed, then removed; old partials removed
                                              crash: the same

What the newest snapshot holds is never touched: a run that was deleted upstream, or is listed no more, has its rows
there, and so its files and histories, which may exist nowhere else. Only what the mirror itself replaced, such as the
older bytes of a file that changed, goes in the end.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.config import RetentionSettings
from mirror.layout import Home
from mirror.store.care.catalog import expirable, named_files
from mirror.store.care.files import Removed, measured, remove_unneeded, unneeded_files
from mirror.store.care.objects import (
    Needed,
    remove_objects,
    stale_partials,
    unneeded_objects,
)
from mirror.store.care.tables import expire, flush_inlined, merge_files, rewrite, table_work
from mirror.store.engine.connection import Engine, store_errors
from mirror.store.engine.lake import Lake
from mirror.store.engine.storages import storage_of
from mirror.store.objects.disk import DiskUse, disk_use
from mirror.store.write.generations import count_old_generations, forget_generations


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, or would be; also a JSON contract."""

    dry_run: bool
    rows_written_out: int  # of tables that grew inside the catalog
    files_rewritten: int  # of the lake, of whose rows many were deleted
    files_merged: int  # of the lake, small ones
    generations_forgotten: int  # earlier generations of runs, beyond those that are kept
    snapshots_expired: int  # of the lake
    lake_files: Removed  # that no snapshot named any more
    orphans: Removed  # files of the lake that killed commits left
    objects: Removed  # that nothing referred to
    partials: Removed  # downloads that nobody went on with
    waits_for_readers: bool  # somebody reads an older state, so that nothing was removed this time
    before: DiskUse
    after: DiskUse  # of a dry run: the same


def maintain(lake: Lake, settings: RetentionSettings, *, needed: Needed, now: dt.datetime) -> Maintenance:
    """Do everything. Takes as long as what there is to merge; no pull of this process may be under way.

    Args:
        lake: opened for writing.
        settings: how long what is kept.
        needed: digests of the objects that the outbox needs.
        now: what the ages are reckoned from.

    Raises:
        StoreError: the catalog, the folder or the outbox cannot be read or do not agree, or the disk failed. What
            snapshots and entries need is there.
    """
    home = lake.home
    before = measure(home)
    with lake.reading() as engine:
        named_files(engine, home, lake.storage)  # nothing is begun in a lake of which something is missing
    forgotten = forget_generations(lake, settings.generations)
    written_out, rewritten, merged = flush_inlined(lake), rewrite(lake), merge_files(lake)
    expired = expire(lake, _ago(now, settings.snapshots_days))
    with lake.reading() as engine:
        waits = lake.storage.waits_for_readers(engine)
    lake_files = orphans = objects = partials = Removed()
    if not waits:
        lake_files, orphans = remove_unneeded(lake, _ago(now, settings.files_days))
        objects = _remove_objects(lake, settings, needed, now)
        partials = _remove_partials(home, _ago(now, settings.partials_days))
    return Maintenance(
        dry_run=False,
        rows_written_out=written_out,
        files_rewritten=rewritten,
        files_merged=merged,
        generations_forgotten=forgotten,
        snapshots_expired=expired,
        lake_files=lake_files,
        orphans=orphans,
        objects=objects,
        partials=partials,
        waits_for_readers=waits,
        before=before,
        after=measure(home),
    )


def plan_maintenance(
    engine: Engine, home: Home, settings: RetentionSettings, *, needed: Needed, now: dt.datetime
) -> Maintenance:
    """What `maintain` would do now; changes nothing, and needs no lock. A pull under way may change the answer.

    Args:
        engine: with the lake attached, for reading.
        home: whose.
        settings: how long what is kept.
        needed: digests of the objects that the outbox needs.
        now: what the ages are reckoned from.

    Raises:
        StoreError: as `maintain`.
    """
    with store_errors(home):
        work = table_work(engine)
        numbers, oldest = expirable(engine, _ago(now, settings.snapshots_days))
        files = unneeded_files(engine, home, storage_of(home), _ago(now, settings.files_days))
        digests = unneeded_objects(engine, home, oldest=oldest, before=_ago(now, settings.objects_days), needed=needed)
        used = measure(home)
        return Maintenance(
            dry_run=True,
            rows_written_out=sum(work.flush.values()),
            files_rewritten=sum(work.rewrite.values()),
            files_merged=sum(work.merge.values()),
            generations_forgotten=count_old_generations(engine, settings.generations),
            snapshots_expired=len(numbers),
            lake_files=files.size(files.unnamed),
            orphans=files.size(files.orphans),
            objects=Removed(files=len(digests), bytes=sum(digests.values())),
            partials=measured(stale_partials(home, _ago(now, settings.partials_days))),
            waits_for_readers=False,
            before=used,
            after=used,
        )


def measure(home: Home) -> DiskUse:
    """Disk use with every object counted.

    Raises:
        StoreError: a folder cannot be read.
    """
    with store_errors(home):
        return disk_use(home, most_counted=None)


def _remove_objects(lake: Lake, settings: RetentionSettings, needed: Needed, now: dt.datetime) -> Removed:
    before = _ago(now, settings.objects_days)
    with lake.reading() as engine:
        _, oldest = expirable(engine, _ago(now, settings.snapshots_days))
        digests = unneeded_objects(engine, lake.home, oldest=oldest, before=before, needed=needed)
        return remove_objects(lake.home, digests, before, lake.storage.option)


def _remove_partials(home: Home, before: dt.datetime) -> Removed:
    with store_errors(home):
        stale = stale_partials(home, before)
        sizes = measured(stale)
        for path in stale:
            path.unlink(missing_ok=True)
    return sizes


def _ago(now: dt.datetime, days: float) -> dt.datetime:
    return now - dt.timedelta(days=days)
