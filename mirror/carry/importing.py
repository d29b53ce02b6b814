"""From an archive into a home. The order of writes, and what a crash leaves at each point:

    1. bytes of uploads become objects, durably                  nobody names them; the next import finds them
    2. each run is taken in as `wandb-mirror add` takes it in    its rows, or none; the next import goes on
    3. the entries follow, under the ids that they had           those that are there; the next import adds the others

So an archive that is imported twice, or in two halves, is there once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

from mirror.api.transport.deployment import Deployment
from mirror.carry.archive import Archive, CarriedRun
from mirror.carry.outcome import Imported
from mirror.durable import make_folder, write_stream
from mirror.errors import ConfigError, OtherDeployment
from mirror.layout import Home
from mirror.offline.copies import identify
from mirror.offline.found import FoundLog
from mirror.offline.intake import Batch, FollowedLog, Turn
from mirror.outbox import Outbox
from mirror.outbox.names import is_id
from mirror.records.operations import Entry, SyncRun, UploadFile, entry_of_json
from mirror.store.engine.connection import store_errors
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import take_in_open
from mirror.store.read.offline import offline_log
from mirror.store.read.receipts import endings_of
from mirror.texts.visible import visible

AT_ONCE = 500  # entries that the lake is asked about together
_IS_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORGED = "it was not made by wandb-mirror"
DELIVERED = frozenset({"applied", "already_so", "theirs", "dropped"})


def check_server(path: str, archive: Archive, deployment: Deployment) -> None:
    """Refuse an archive that is for another server.

    Raises:
        OtherDeployment: it is.
    """
    made_for = archive.manifest.deployment
    if made_for not in deployment.names | {deployment.id}:
        raise OtherDeployment(
            f"{path} is for {visible(made_for)}, and this home mirrors {deployment.id}",
            hint="import it into a home of that server",
        )


class Importer:
    """Takes an archive in.

    Args:
        lake: opened for writing.
        outbox: of the home.
        archive: found whole; what it says is not believed further than that.
        turn: entered for each commit, where others write the lake as well.
        passed: told how many bytes of a log were copied or read, again and again.
    """

    def __init__(
        self,
        lake: Lake,
        outbox: Outbox,
        archive: Archive,
        *,
        turn: Turn = contextlib.nullcontext,
        passed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._lake, self._outbox, self._archive = lake, outbox, archive
        self._turn, self._passed = turn, passed
        self._home: Home = lake.home
        self._objects = Objects(lake.home)

    def run(self) -> Imported:
        """Do it.

        Raises:
            ConfigError: it says something that cannot be.
            StoreError: the home; what was taken so far stays, and the next import goes on.
        """
        grown = [str(run.row.run_path) for run in self._archive.manifest.runs if self._take(run)]
        queued = there = done = 0
        names = self._archive.manifest.entries
        for start in range(0, len(names), AT_ONCE):
            entries = [self._entry(name) for name in names[start : start + AT_ONCE]]
            known = endings_of(self._lake, [entry.id for entry in entries])
            for entry in entries:
                if any(one.outcome in DELIVERED for one in known.get(entry.id, ())) or self._is_upstream(entry):
                    done += 1
                elif self._put(entry):
                    queued += 1
                else:
                    there += 1
        return Imported(queued=queued, there=there, done=done, runs=tuple(grown))

    def _entry(self, name: str) -> Entry:
        try:
            entry = entry_of_json(self._archive.read(name))
        except ValueError as error:
            raise ConfigError(f"an operation of the archive cannot be read: {error}", hint="export again") from error
        if not is_id(entry.id):
            raise ConfigError(f"the archive has an operation with the id {entry.id!r}", hint=_FORGED)
        operation = entry.operation
        if isinstance(operation, UploadFile):
            _digest(operation.object)
        elif isinstance(operation, SyncRun):
            _digest(operation.log)
        return entry

    def _is_upstream(self, entry: Entry) -> bool:
        """Whether all of its log was delivered from here, by whatever entry."""
        if not isinstance(entry.operation, SyncRun):
            return False
        row = offline_log(self._lake, entry.operation.log)
        return row is not None and row.delivered_at is not None

    def _put(self, entry: Entry) -> bool:
        """Queue an entry whose bytes are here; whether it was not."""
        operation = entry.operation
        if isinstance(operation, SyncRun):
            waiting = self._outbox.of_run(entry.run_path)
            if any(placed.entry.operation == operation for placed in waiting):  # queued by whoever added the log here
                return False
        if isinstance(operation, UploadFile) and not self._objects.has(operation.object):
            member = f"objects/{operation.object}"
            if member not in self._archive.manifest.members:
                raise ConfigError(f"the archive lacks the bytes of {operation.name}", hint="export again")
            with self._archive.open(member) as content:
                if take_in_open(self._objects, content, operation.name).object != operation.object:
                    raise ConfigError(f"the archive has other bytes of {operation.name}", hint="export again")
        return self._outbox.adopt(msgspec.structs.replace(entry, not_before=None))

    def _take(self, run: CarriedRun) -> bool:
        """Take in what a log has more than is here; whether it had."""
        known = offline_log(self._lake, _digest(run.row.log))
        if known is not None and known.bytes >= run.row.bytes and (known.ended or not run.row.ended):
            return False
        with self._unpacked(run) as found:
            if (identity := identify(found.path)) is None or identity[0] != run.row.log:
                raise ConfigError(f"the log of {run.row.run_path} is another one than it says", hint="export again")
            row = known or msgspec.structs.replace(
                run.row, bytes=0, rows=0, console_lines=0, event_rows=0, first_step=0, damaged=0, damage=None,
                ended=False, exit_code=None, grown_at=None, delivered_at=None,
            )  # fmt: skip
            batch = Batch(self._lake, self._objects, turn=self._turn)
            FollowedLog(self._lake, found, row, self._objects).look(batch, self._passed)
            batch.commit()
        return True

    @contextlib.contextmanager
    def _unpacked(self, run: CarriedRun) -> Iterator[FoundLog]:
        """The log with what belongs to it, as it lay on the machine that trained."""
        folder = self._home.partial / f"carried-{run.row.log}"
        with store_errors(self._home):
            shutil.rmtree(folder, ignore_errors=True)
            make_folder(folder / "files")
        try:
            for name, member in run.files.items():
                self._place(folder / "files" / _inside(name), member)
            staged = {}
            for path, member in run.staged.items():
                staged[path] = str(folder / hashlib.sha256(os.fsencode(path)).hexdigest())
                self._place(Path(staged[path]), member)
            log = folder / "run.wandb"
            self._place(log, run.member)
            if run.row.grown_at is not None:
                os.utime(log, (run.row.grown_at.timestamp(),) * 2)
            yield FoundLog(path=log, is_online=False, is_synced=False, moved=staged)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _place(self, target: Path, member: str) -> None:
        with store_errors(self._home), self._archive.open(member) as content:
            make_folder(target.parent)
            write_stream(target, content)


def _digest(text: str) -> str:
    """A digest, of which names of files are made.

    Raises:
        ConfigError: it is none.
    """
    if not _IS_DIGEST.fullmatch(text):
        raise ConfigError(f"the archive names bytes {text!r}", hint=_FORGED)
    return text


def _inside(name: str) -> str:
    """A name that leads out of no folder.

    Raises:
        ConfigError: it does.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
        raise ConfigError(f"the archive names a file {name!r}", hint=_FORGED)
    return str(path)
