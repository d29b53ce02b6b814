"""From a home into an archive: the entries that wait, and all that whoever delivers them needs. It changes nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from mirror.carry.archive import ArchiveWriter, CarriedRun, Manifest, finish, writing
from mirror.errors import LakeAway, StoreError
from mirror.layout import Home
from mirror.offline.copies import copy_of
from mirror.offline.reading import LogReading
from mirror.outbox import OutboxReader
from mirror.records.contents import HeldFile
from mirror.records.offline import OfflineLog
from mirror.records.operations import Entry, SyncRun, UploadFile, encode_entry
from mirror.store.engine.queries import Queryable
from mirror.store.objects.objects import Objects
from mirror.store.read.artifacts import EntryRow, read_entries
from mirror.store.read.files import held_files
from mirror.store.read.offline import objects_of_version, offline_log, versions_of
from mirror.texts.values import parse_lenient

ROWS_AT_ONCE = 10_000


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive got."""

    entries: int
    runs: int  # logs of runs that were trained without a server
    size: int  # bytes of all members
    for_person: int  # entries that wait for a person, which are left out
    missing: tuple[str, ...] = ()  # entries whose bytes are not here, which are left out, with the reason


class Exporter:
    """Writes what waits in a home.

    Args:
        home: whose.
        lake: of the home, for what runs hold that were trained without a server; None: there is none.
        deployment: of the home.
    """

    def __init__(self, home: Home, lake: Queryable | None, deployment: str) -> None:
        self._home, self._lake, self._deployment = home, lake, deployment
        self._outbox, self._objects = OutboxReader(home), Objects(home)

    def export(self, path: Path) -> Exported:
        """Write the archive.

        Args:
            path: a file that is not there yet.

        Raises:
            ConfigError: it is there, or cannot be written.
            StoreError: the home cannot be read; there is no archive.
        """
        runs: list[CarriedRun] = []
        names: list[str] = []
        missing: list[str] = []
        with writing(path) as writer:
            for placed in self._outbox.entries("new", "claimed"):
                entry = placed.entry
                try:
                    run = self._add_needed(writer, entry)
                except LakeAway:
                    raise
                except StoreError as error:
                    missing.append(f"{entry.id}: {error.message}")
                    continue
                if run is not None:
                    runs.append(run)
                names.append(f"entries/{len(names):08}.json")
                writer.add_bytes(names[-1], encode_entry(msgspec.structs.replace(entry, not_before=None)))
            manifest = Manifest(
                deployment=self._deployment, entries=tuple(names), runs=tuple(runs), members=dict(writer.members)
            )
            finish(writer, manifest)
        counts = self._outbox.counts()
        return Exported(
            entries=len(names), runs=len(runs), size=sum(member.size for member in manifest.members.values()),
            for_person=counts["conflict"] + counts["dead"], missing=tuple(missing),
        )  # fmt: skip

    def _add_needed(self, writer: ArchiveWriter, entry: Entry) -> CarriedRun | None:
        """Write what an entry needs; the run, where it brings one upstream.

        Raises:
            StoreError: some of it is not here.
        """
        operation = entry.operation
        if isinstance(operation, UploadFile):
            self._add_object(writer, operation.object)
        if not isinstance(operation, SyncRun):
            return None
        row = None if self._lake is None else offline_log(self._lake, operation.log)
        copy = copy_of(self._home, operation.log)
        if self._lake is None or row is None or not copy.exists():
            raise StoreError("the log of the run is not in this home")
        member = f"logs/{row.log}.wandb"
        with copy.open("rb") as file:
            writer.add(member, file)
        files: dict[str, HeldFile] = dict(held_files(self._lake, row.run_path.key, [row.run_id]).get(row.run_id, {}))
        return CarriedRun(
            row=row, member=member,
            files={name: self._add_object(writer, held.object) for name, held in files.items() if held.object},
            staged=self._staged(writer, self._lake, row),
        )  # fmt: skip

    def _staged(self, writer: ArchiveWriter, lake: Queryable, row: OfflineLog) -> dict[str, str]:
        """Write what artifacts of a log hold; the members, by the paths that the log names."""
        reading = LogReading(self._home, row)
        for _ in reading.batches(ROWS_AT_ONCE):
            pass
        found: dict[str, str] = {}
        for artifact in reading.log.artifacts:
            entity, project = artifact.entity or row.entity, artifact.project or row.project
            held = versions_of(lake, entity, project, artifact.name)
            for version in (one for one, _, digest in held if digest == artifact.digest):
                objects = objects_of_version(lake, version)
                places = {entry.path: entry.local_path for entry in artifact.manifest.contents if entry.local_path}
                listing = artifact.manifest.manifest_file_path
                if listing and (entries := read_entries(lake, version)):
                    # Where the bytes lay says that file alone, which may be gone: it is written anew.
                    told = {entry.path: f"{listing}/{entry.path}" for entry in entries if entry.path not in places}
                    found[listing] = _add_listing(writer, [entry for entry in entries if entry.path in told], told)
                    places |= told
                for path, place in places.items():
                    if path in objects:
                        found[place] = self._add_object(writer, objects[path])
        return found

    def _add_object(self, writer: ArchiveWriter, digest: str) -> str:
        """Write an object once; its member.

        Raises:
            StoreError: it is not here.
        """
        member = f"objects/{digest}"
        if member not in writer.members:
            with self._objects.open(digest) as file:
                writer.add(member, file)
        return member


def _add_listing(writer: ArchiveWriter, entries: Sequence[EntryRow], places: Mapping[str, str]) -> str:
    """Write the entries of a version as the SDK keeps those of a large one; the member.

    Args:
        writer: of the archive.
        entries: those that the log itself does not name.
        places: where the bytes of each are said to lie.
    """
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        for entry in entries:
            told = {
                "path": entry.path, "digest": entry.digest, "size": entry.size, "ref": entry.ref,
                "birthArtifactID": entry.birth_artifact_id, "extra": parse_lenient(entry.extra),
                "local_path": None if entry.object is None else places[entry.path],
            }  # fmt: skip
            file.write(msgspec.json.encode({name: value for name, value in told.items() if value is not None}) + b"\n")
    content = packed.getvalue()
    member = f"listings/{hashlib.sha256(content).hexdigest()}.jl.gz"
    writer.add_bytes(member, content)
    return member
