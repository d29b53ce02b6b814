"""The folders of an outbox: who may look, who may change, and what a file in them says.

Whoever changes anything holds `outbox/lock` while doing so, whoever lists holds it together with the others who list.
So a listing shows every entry exactly once though entries move, edits are folded into an entry that nobody is claiming,
and a file in `tmp/` belongs to a process that is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from mirror.durable import FORBIDDEN, FULL, Unflushed, make_folder, move, sync_folder, write_new
from mirror.errors import HomeUnusable, StoreError
from mirror.layout import Home
from mirror.locks import locked
from mirror.outbox.names import id_in, is_name, name_of
from mirror.records.operations import Entry, EntryState, entry_of_json

# Where a copy of one entry in two folders counts, the first one does: what may be under way is never claimed twice.
STATES: tuple[EntryState, ...] = ("claimed", "new", "conflict", "dead")


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """A file among the entries that is none, or cannot be read."""

    name: str
    state: EntryState  # the folder it was found in
    reason: str
    moved: bool  # into `aside/`; False: it stays, since this process may not write there or the disk failed

    def __str__(self) -> str:
        """One sentence for a person."""
        done = "was set aside" if self.moved else "is left out"
        return f"{self.name} in outbox/{self.state} {done}: {self.reason}"


class Folders:
    """The folders of one home's outbox.

    Args:
        home: whose; the folders are created by `prepare`.
        told: called with each file that is set aside, outside of every lock.
    """

    def __init__(self, home: Home, told: Callable[[Aside], None]) -> None:
        self.home = home
        self.tmp = home.outbox / "tmp"
        self.aside = home.outbox / "aside"
        self.told = told
        self._ready = False

    def path(self, state: EntryState, name: str) -> Path:
        """Where an entry lies in a state."""
        return self.home.outbox / state / name

    def write(self, content: bytes) -> Path:
        """A new flushed file in `tmp/`. Call it under the lock.

        Raises:
            OSError: there is none.
        """
        temporary = self.tmp / secrets.token_hex(8)
        write_new(temporary, content)
        return temporary

    def prepare(self) -> None:
        """Create the folders, once."""
        if self._ready:
            return
        for folder in (self.tmp, self.aside, *(self.home.outbox / state for state in STATES)):
            make_folder(folder)
        sync_folder(self.home.outbox)  # who made them may have been killed before it flushed their names
        sync_folder(self.home.root)
        self._ready = True

    @contextlib.contextmanager
    def changing(self) -> Iterator[int]:
        """Be the only one who changes or lists; gives the descriptor of the lock's file."""
        self.prepare()
        with locked(self.home.outbox_lock) as descriptor:
            yield descriptor

    @contextlib.contextmanager
    def listing(self) -> Iterator[None]:
        """Let nothing move meanwhile. Where there is no lock or it cannot be read, nothing is known to move."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                stack.enter_context(locked(self.home.outbox_lock, shared=True))
            yield

    def names(self, state: EntryState) -> Iterator[str]:
        """The names in a folder, in no order; hidden ones (of file managers, of NFS) are nobody's business."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.home.outbox / state) as found:
            for item in found:
                if not item.name.startswith("."):
                    yield item.name

    def place(self, name: str) -> EntryState | None:
        """The state of the entry of this name; None when there is none. Only under a lock is the answer worth much."""
        return next((state for state in STATES if self.path(state, name).exists()), None)

    def load(self, state: EntryState, name: str) -> Entry:
        """Read an entry.

        Raises:
            FileNotFoundError: it is not there (any more).
            ValueError: it is torn, foreign or of a newer version; the message says which.
            OSError: it cannot be read.
        """
        return read_entry(self.path(state, name), name)

    def try_load(self, state: EntryState, name: str) -> Entry | Aside | None:
        """Read an entry, or say why not; None when it is not there."""
        try:
            return self.load(state, name)
        except FileNotFoundError:
            return None
        except ValueError as error:
            return Aside(name=name, state=state, reason=str(error), moved=True)
        except OSError as error:
            return Aside(name=name, state=state, reason=error.strerror or str(error), moved=False)

    def set_aside(self, bad: Aside) -> None:
        """Move what is no entry out of the way, and tell; looks again first. Call it without a lock."""
        if bad.moved:
            try:
                with self.changing():
                    now = self.try_load(bad.state, bad.name)
                    if not isinstance(now, Aside):
                        return
                    bad = now
                    if bad.moved:
                        self.move_aside(bad.state, bad.name)
            except OSError:
                bad = msgspec.structs.replace(bad, moved=False)
        self.told(bad)

    def move_aside(self, state: EntryState, name: str) -> None:
        """Move a file into `aside/`, under a name that tells where it was. Call it under the lock.

        Raises:
            OSError: it stays.
        """
        target = self.aside / f"{state}~{name}"
        if os.path.lexists(target):
            target = self.aside / f"{state}~{secrets.token_hex(4)}~{name}"
        with contextlib.suppress(Unflushed):
            move(self.path(state, name), target)


def read_entry(path: Path, name: str) -> Entry:
    """Read the entry that belongs under a name.

    Raises:
        ValueError: it is torn, foreign or of a newer version; the message says which.
        OSError: it is not there, or cannot be read.
    """
    if not is_name(name):
        raise ValueError("no entry has such a name")
    entry = entry_of_json(read_regular(path))
    if name != name_of(entry.id, entry.run_path):
        raise ValueError(f"it holds entry {entry.id} of {entry.run_path}, not what its name says")
    return entry


def newest_id(folders: Folders) -> str | None:
    """The greatest id of all entries; None when there are none."""
    return max((id_in(name) for state in STATES for name in folders.names(state) if is_name(name)), default=None)


@contextlib.contextmanager
def outbox_errors(home: Home) -> Iterator[None]:
    """Let no error of the operating system leave without a meaning.

    Raises:
        HomeUnusable: the disk is full, or may not be written.
        StoreError: it failed otherwise.
    """
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        if error.errno in FULL:
            raise HomeUnusable(
                f"the disk that holds {home.root} is full", hint="free some space; what is in the outbox stays"
            ) from error
        if error.errno in FORBIDDEN:
            raise HomeUnusable(
                f"the outbox of {home.root} cannot be written: {what}",
                hint="check the owner and the permissions of the folder, or choose another home with --home",
            ) from error
        raise StoreError(f"the outbox of {home.root} failed: {what}") from error


def read_regular(path: Path) -> bytes:
    """All bytes of a file that is one: a pipe would keep its reader waiting, a link could lead anywhere.

    Raises:
        ValueError: it is something else.
        OSError: it is not there, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("it is a link") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
