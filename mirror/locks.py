"""Advisory locks that the system frees when their process ends, however it ends.

Two kinds. A `ProcessLock` is held for long by one process, which says who it is; others are refused at once. `locked`
is held for one change or one look, and others wait for it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock
import msgspec

from mirror.clock import utc_now
from mirror.durable import FULL, write_replace
from mirror.errors import HomeBusy, HomeUnusable
from mirror.typed import decode

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


LOOK_S = 0.1  # whoever asks who holds a lock holds it for a moment, and is waited for
BRIEF_S = 10.0  # and so is who says that it holds it for one change


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a process lock."""

    pid: int
    command: str
    since: str  # ISO 8601, UTC
    brief: bool = False  # it gives it back within a moment


class ProcessLock:
    """One process at a time.

    Args:
        lock: the file that is locked.
        holder: the file that says who holds it.
        busy: what the other process is doing, for the message: `writing /home/…`.
        hint: what to do about it.
        brief: whether it is held for one change; others wait for it.
    """

    def __init__(self, lock: Path, holder: Path, *, busy: str, hint: str, brief: bool = False) -> None:
        self._holder, self._brief = holder, brief
        self._busy = busy
        self._hint = hint
        self._lock = filelock.FileLock(lock, timeout=0, mode=0o600, thread_local=False)  # of the process

    def __enter__(self) -> Self:
        """Take the lock and say who holds it.

        Raises:
            HomeBusy: another process has it; the message names the process.
        """
        try:
            self._acquire()
        except filelock.Timeout as error:
            raise HomeBusy(f"another process is {self._busy}{holder_words(self._holder)}", hint=self._hint) from error
        except OSError as error:
            raise _unusable(self._holder, error) from error
        try:
            command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])
            since = utc_now().isoformat(timespec="seconds")
            holder = Holder(pid=os.getpid(), command=command, since=since, brief=self._brief)
            write_replace(self._holder, msgspec.json.encode(holder))
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise _unusable(self._holder, error) from error
            raise
        return self

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=LOOK_S, poll_interval=LOOK_S / 20)
        except filelock.Timeout:
            who = _read(self._holder)
            if who is None or not who.brief or self._brief:
                raise
            self._lock.acquire(timeout=BRIEF_S, poll_interval=LOOK_S / 20)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            self._holder.unlink()
        self._lock.release()


def _unusable(holder: Path, error: OSError) -> HomeUnusable:
    if error.errno in FULL:
        return HomeUnusable(f"the disk that holds {holder.parent} is full", hint="free some space first")
    return HomeUnusable(
        f"{holder.parent} cannot be written: {error.strerror or error}",
        hint="check the owner and the permissions of the folder, or choose another home with --home",
    )


def holder_words(holder: Path) -> str:
    """`: PID 12 (wandb-mirror pull) since …`, or nothing when it is not known."""
    who = _read(holder)
    return f": PID {who.pid} ({who.command}) since {who.since}" if who else ""


def holder_of(lock: Path, holder: Path) -> Holder | None:
    """The process that holds a process lock now; None when nobody does.

    The lock itself is the truth: what a killed process left in the holder's file counts only while the lock is held.
    """
    if not lock.exists():
        return None
    try:
        with filelock.FileLock(lock, timeout=0, mode=0o600):
            return None
    except filelock.Timeout:
        return _read(holder)
    except OSError:  # a folder that cannot be written has no writer of ours
        return None


def _read(holder: Path) -> Holder | None:
    try:
        return decode(holder.read_bytes(), Holder)
    except (OSError, msgspec.DecodeError):
        return None


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Wait for a lock and hold it. Threads exclude each other as processes do; one that takes it twice waits for ever.

    Args:
        path: the file that is locked; created unless `shared`.
        shared: let others hold it so, too; the file needs only to be readable then.

    Returns:
        The descriptor of the file, for what it may hold.

    Raises:
        OSError: the file cannot be opened; FileNotFoundError when a shared lock finds none.
    """
    descriptor = _acquired(path, shared=shared)
    try:
        yield descriptor
    finally:
        with contextlib.suppress(OSError):  # what was done under the lock is done
            os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock now, so that whoever need not have it does not wait for it."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # nobody ever took it
        return False
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _acquired(path: Path, *, shared: bool) -> int:
    while True:
        descriptor = os.open(path, os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            # Somebody who empties the folder by hand must not leave two processes with a lock each.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            if shared:
                os.close(descriptor)
                raise
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
