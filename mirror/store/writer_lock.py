"""`writer.lock`: one process writes a home, and whoever has to wait is told who holds it."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from pathlib import Path
from types import TracebackType

import filelock
import msgspec

from mirror.durable import write_replace
from mirror.errors import HomeBusy
from mirror.layout import Home


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lock."""

    pid: int
    command: str
    since: str  # ISO 8601, UTC


class WriterLock:
    """An advisory lock that the system frees when its process ends, however it ends."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = filelock.FileLock(home.writer_lock, timeout=0)

    def __enter__(self) -> WriterLock:
        """Take the lock and say who holds it.

        Raises:
            HomeBusy: another process has it; the message names the process.
        """
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise HomeBusy(
                f"another process is writing {self._home.root}{describe_holder(self._home)}",
                hint="wait until it is done, or stop that process; reading works meanwhile",
            ) from error
        try:
            self._say_who()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _say_who(self) -> None:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])
        holder = Holder(pid=os.getpid(), command=command, since=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
        write_replace(self._home.writer_holder, msgspec.json.encode(holder))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            self._home.writer_holder.unlink()
        self._lock.release()


def describe_holder(home: Home) -> str:
    """`: PID 12 (wandb-mirror pull) since …`, or nothing when it is not known."""
    try:
        holder = msgspec.json.decode(home.writer_holder.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return ""
    return f": PID {holder.pid} ({holder.command}) since {holder.since}"


def current_holder(home: Home) -> Holder | None:
    """The process that writes the home now; None when nobody does.

    The lock itself is the truth: what a killed process left in `writer.json` counts only while the lock is held.
    """
    if not home.writer_lock.exists():
        return None
    try:
        with filelock.FileLock(home.writer_lock, timeout=0):
            return None
    except filelock.Timeout:
        pass
    except OSError:  # a folder that cannot be written has no writer of ours
        return None
    try:
        return msgspec.json.decode(home.writer_holder.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
