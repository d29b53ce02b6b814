"""What `edit` and `upload` share: a local run whose entries are noted, and how they are told."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mirror.cli.delivery.entries import entry_json, wish
from mirror.cli.run_paths import find_run, not_mirrored
from mirror.cli.setting import Setting
from mirror.cli.terminal.output import print_json, say, write
from mirror.cluster.place import has_lake
from mirror.daemon.status.status_file import read_daemon_status
from mirror.errors import CommError, ConfigError, MirrorError, NotMirrored
from mirror.layout import Home
from mirror.outbox import Placed
from mirror.records.addresses import RunPath
from mirror.records.operations import Entry, Operation, UploadFile
from mirror.run.pending.local import LocalMirror
from mirror.run.run import Run
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import take_in


class NotingMirror(LocalMirror):
    """A home that remembers what was queued through it.

    Args:
        home: the mirror's directory.
    """

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.queued: list[tuple[Entry, bool]] = []  # and whether it was folded into an entry that waited

    def enqueue(self, run: RunPath, storage_id: str | None, operation: Operation) -> Entry:
        """Queue an operation, and note its entry: Ctrl-C comes before both or after both."""
        with _uninterrupted():
            entry = super().enqueue(run, storage_id, operation)
            self.queued.append((entry, bool(entry.folded)))
        return entry


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of what is inside, which is short. Only for the main thread."""
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came and callable(before):
            before(signal.SIGINT, None)


def local_run(setting: Setting, path: str) -> tuple[NotingMirror, Run]:
    """A run of the mirror, as its overlay shows it.

    Raises:
        ConfigError: the path names no run.
        NotMirrored: it is not held; an edit needs the values that its user saw.
    """
    run_path = find_run(path, setting, whole=True)
    local = NotingMirror(setting.home)
    try:
        return local, Run(local, run_path)
    except NotMirrored as error:
        if not has_lake(setting.home):
            raise
        raise not_mirrored(run_path, setting.home) from error


def unseen_uploads(home: Home, files: Sequence[str], root: str) -> Iterator[UploadFile]:
    """Uploads to a run that cannot be looked at; the bytes of each are copied when it is asked for.

    Raises:
        StoreError: the disk failed.
    """
    objects = Objects(home)
    for file in files:
        taken = take_in(objects, file)
        name = os.path.relpath(file, os.path.abspath(root)).replace(os.sep, "/")
        yield UploadFile(name=name, object=taken.object, size=taken.size, md5=taken.md5, mimetype=taken.mimetype)


def queued_unseen(setting: Setting, path: str, operations: Iterable[Operation]) -> NotingMirror:
    """Queue operations of a run that cannot be looked at, since the shared lake is away.

    Raises:
        ConfigError: the path is not a whole one.
        StoreError: the disk failed; what was queued stays.
    """
    run_path, local = find_run(path, setting, whole=True), NotingMirror(setting.home)
    with telling_if_cut_short(local):
        for operation in operations:
            local.enqueue(run_path, None, operation)
    return local


@contextlib.contextmanager
def refusals_as_errors() -> Iterator[None]:
    """Let what a run refuses to queue be an error of the arguments, as it is on a command line.

    Raises:
        ConfigError: with the run's own words.
    """
    try:
        yield
    except CommError as error:
        if type(error).exit_code != MirrorError.exit_code:
            raise
        raise ConfigError(error.message, hint=error.hint or "`wandb-mirror show RUN` shows the run") from error


@contextlib.contextmanager
def telling_if_cut_short(local: NotingMirror) -> Iterator[None]:
    """Say what was queued before an error: each entry is whole by itself, and stays."""
    try:
        yield
    except BaseException:
        for entry, _ in local.queued:
            say(f"queued before this error: {entry.id}  {wish(entry.operation)}")
        raise


@contextlib.contextmanager
def telling_how_many_if_cut_short(local: NotingMirror, count: int) -> Iterator[None]:
    """The same for many: how many, and how to go on.

    Args:
        local: through which they are queued.
        count: runs that are to be changed.
    """
    try:
        yield
    except BaseException:
        runs = len({entry.run_path for entry, _ in local.queued})
        say(f"queued before this: the changes of {runs:,} of {count:,} runs; the same command queues the others")
        raise


def tell_queued(local: NotingMirror, *, as_json: bool, ends: bool = True) -> None:
    """Print the entries, and how they are delivered.

    Args:
        local: through which they were queued.
        as_json: as the documented contract.
        ends: say what comes next.
    """
    if as_json:
        entries: list[dict[str, Any]] = [entry_json(Placed("new", entry)) for entry, _ in local.queued]
        print_json({"entries": entries})
        return
    for entry, folded in local.queued:
        with_it = " (together with the edit that waited)" if folded else ""
        write(f"{entry.id}  {entry.run_path}  {wish(entry.operation)}{with_it}")
    if ends:
        say(next_step(local.home) if local.queued else "nothing to change: the run is so already")


def next_step(home: Home) -> str:
    """How what waits is delivered."""
    daemon = read_daemon_status(home)
    if daemon is None:
        return "next: wandb-mirror replay"
    if daemon.state == "online":
        return "the daemon delivers it; `wandb-mirror outbox list` shows what still waits"
    return "the daemon delivers it as soon as the server is there"
