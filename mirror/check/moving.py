"""The objects of a lake that moves: copied where they are not, and read back, hashed, at the new place."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from mirror.check.hashing import map_in_threads
from mirror.durable import file_names
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.outbox.reading import OutboxReader
from mirror.store.care.inspection import named_objects, tables_of
from mirror.store.engine.lake import Lake
from mirror.store.objects.bucket_objects import BucketObjects
from mirror.store.objects.objects import Objects, hash_file

_THREADS = 8


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What it came to."""

    objects: int  # copied
    bytes: int  # of those
    there: int  # before


def objects_up(home: Home, new: Home, _: Lake) -> Carried:
    """Put all objects of a home into the bucket.

    Args:
        home: whose objects lie in its folder.
        new: the same, with the configuration of the new place.

    Raises:
        LakeAway: the bucket does not answer; doing it again goes on.
        StoreError: an object is damaged here, or another there.
    """
    shared = _bucket(new)
    there = {digest for digest, _ in shared.listed()}
    paths = {Path(name).name: Path(name) for name in sorted(file_names(home.objects))}

    def one(digest: str) -> int | None:
        """Bytes that were copied; None where the bucket has them."""
        path = paths[digest]
        if digest in there and shared.sha256(digest) == digest:
            return None
        if hash_file(path) != digest:
            hint = "`wandb-mirror verify`, then `wandb-mirror repair`"
            raise StoreError(f"object {digest} is damaged in {home.root}", hint=hint)
        shared.put(digest, path)
        if shared.sha256(digest) != digest:
            raise StoreError(f"object {digest} is another in {shared.bucket.address}", hint="do it again")
        return path.stat().st_size

    return _carried([size for _, size in map_in_threads(sorted(paths), one, _THREADS)])


def objects_home(home: Home, new: Home, target: Lake) -> Carried:
    """Bring all objects that rows name into a home.

    Args:
        home: that shares the lake.
        new: the same, with the configuration of the new place.
        target: the lake in the home, with all its rows.

    Raises:
        LakeAway: the bucket does not answer; doing it again goes on.
        StoreError: an object is missing or damaged there.
    """
    shared, own = _bucket(home), Objects(new)
    with target.reading() as engine:
        named = [digest for digest, _ in named_objects(engine, tables_of(engine))]

    def one(digest: str) -> int | None:
        if own.has(digest):
            return None
        fetched = shared.cached(digest) or shared.fetch(digest)
        if fetched is None:
            raise StoreError(f"object {digest} is missing from {shared.bucket.address}", hint="`wandb-mirror verify`")
        if hash_file(fetched) != digest:
            raise StoreError(f"object {digest} is damaged in {home.cache}", hint=f"remove {fetched}, and do it again")
        size = fetched.stat().st_size
        own.take(fetched, digest)
        return size

    own.prepare()
    return _carried([size for _, size in map_in_threads(named, one, _THREADS)])


def keep_as_copies(home: Home) -> None:
    """Let the objects of a home whose lake was moved up be its cache of the bucket, but for what its outbox needs.

    A copy may go at any time, and so may those in the bucket that no row names: nobody else knows of that work yet.
    """
    needed = frozenset(OutboxReader(home).needed_objects())
    there = {digest for digest, _ in _bucket(home).listed()} - needed
    for name in file_names(home.objects):
        path = Path(name)
        if path.name not in there:
            continue
        target = home.cache / path.parent.name / path.name
        target.parent.mkdir(0o700, parents=True, exist_ok=True)
        path.replace(target)
        os.utime(target)


def _bucket(home: Home) -> BucketObjects:
    shared = Objects(home).shared
    assert shared is not None
    return shared


def _carried(sizes: list[int | None]) -> Carried:
    copied = [size for size in sizes if size is not None]
    return Carried(objects=len(copied), bytes=sum(copied), there=len(sizes) - len(copied))
