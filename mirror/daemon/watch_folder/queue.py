"""Queueing files of a watch folder, many at a time: the same operation that `wandb-mirror upload` queues for one.

The order of writes, and what a crash leaves behind each:

    1. the bytes become an object      nobody names it: maintenance removes it
    2. the entry is in the outbox      the memory does not know; the next look reads the file again, finds the same
                                       MD5 in the outbox or, once it is delivered, in the mirror, and queues nothing
    3. the memory is written           done
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec

from mirror.daemon.watch_folder.rules import Target
from mirror.outbox import Outbox
from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.operations import Create, DeleteFile, Entry, UploadFile
from mirror.records.passes import HeldRun
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import TakenIn
from mirror.store.read.files import listed_files
from mirror.store.read.held_runs import held_runs

NOT_YET = "its run is not in this mirror yet"
DELETED = "its run was deleted upstream"
TOGETHER = 1000  # files that the mirror is asked about at once


class UpstreamFile(NamedTuple):
    """A file as the server lists it."""

    size: int | None  # bytes; None: the server does not say, as for the next
    md5: str | None  # base64


class KnownPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the places that some files go to."""

    runs: Mapping[str, HeldRun]
    created: frozenset[str]  # runs whose creation waits in the outbox
    waiting: Mapping[Target, UpstreamFile | None]  # an upload that waits; None for a deletion
    listed: Mapping[Target, UpstreamFile]  # a file that the server has

    def why_not(self, run_id: str) -> str | None:
        """Why nothing can be queued for a run; None when it can."""
        if run_id in self.created:
            return None
        held = self.runs.get(run_id)
        if held is None:
            return NOT_YET
        return DELETED if held.gone else None

    def is_there(self, target: Target, size: int, md5: Callable[[], str]) -> str | None:
        """The MD5 of bytes that are in the run already, or on their way; None when they are to be sent.

        Args:
            target: where they go.
            size: how many there are.
            md5: reads them; asked only where it matters.
        """
        known = self.waiting.get(target, self.listed.get(target))
        if known is None or known.md5 is None or known.size not in (None, size):
            return None
        return known.md5 if md5() == known.md5 else None


class Queue:
    """Puts uploads for runs of one project into the outbox.

    Args:
        lake: of the home, to be read.
        outbox: of the home.
        key: the project.
    """

    def __init__(self, lake: Lake | Reader, outbox: Outbox, key: ProjectKey) -> None:
        self.objects = Objects(lake.home)
        self._lake = lake
        self._outbox = outbox
        self._key = key

    def before(self, targets: Collection[Target]) -> KnownPlaces:
        """Look where files go.

        Raises:
            StoreError: the outbox or the lake cannot be read.
        """
        run_ids = sorted({target.run_id for target in targets})
        # The outbox first: an operation leaves it only after the lake holds its effect.
        placed = self._outbox.of_runs(
            [RunPath(self._key.entity, self._key.project, run_id) for run_id in run_ids], "new", "claimed", "conflict"
        )
        created: set[str] = set()
        waiting: dict[Target, UpstreamFile | None] = {}
        for _, entry in (one for some in placed.values() for one in some):
            match entry.operation:
                case Create():
                    created.add(entry.run_id)
                case UploadFile(name=name, md5=md5, size=size):
                    waiting[Target(entry.run_id, name)] = UpstreamFile(size, md5)
                case DeleteFile(name=name):
                    waiting[Target(entry.run_id, name)] = None
                case _:
                    pass
        listed: dict[Target, UpstreamFile] = {}
        names = iter(targets)
        while some := list(islice(names, TOGETHER)):
            held = listed_files(self._lake, self._key, some)
            listed |= {Target(*place): UpstreamFile(file.size, file.md5) for place, file in held.items()}
        return KnownPlaces(
            runs=held_runs(self._lake, self._key, run_ids),
            created=frozenset(created),
            waiting=waiting,
            listed=listed,
        )

    def put(self, target: Target, taken: TakenIn, before: KnownPlaces) -> Entry:
        """Queue bytes that were taken in.

        Raises:
            StoreError: they are not queued.
        """
        held, base = before.runs.get(target.run_id), before.listed.get(target)
        upload = UploadFile(
            name=target.name,
            object=taken.object,
            size=taken.size,
            md5=taken.md5,
            mimetype=taken.mimetype,
            base_md5=base.md5 if base else None,
        )
        return self._outbox.put(RunPath(*self._key, target.run_id), (held.storage_id or None) if held else None, upload)
