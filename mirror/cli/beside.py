"""A process beside a command: nobody's child, which ends when the command and all that it started have ended."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable

_LOOKS_EVERY_S = 1.0  # for a process that the system tells nothing of
Waits = Callable[[], None]


def begin_beside(work: Callable[[Waits], None], *, umask: int) -> None:
    """Begin a process, and hold a pipe to it, as will whatever takes this process's place.

    Args:
        work: what it does; is given a function that waits until the process that calls this, or the command that took
            its place, has ended, and nobody holds the pipe: a command may close what it was handed and go on.
        umask: of the new process.
    """
    ends, held = os.pipe()
    watched = _Watched()
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is this process's alone
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        os.close(ends)
        watched.close()
        os.set_inheritable(held, True)
        return
    status = 1
    try:
        os.close(held)
        os.setsid()  # a terminal's signals are for the command
        if os.fork() == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # forgets the one that came in between
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
            os.umask(umask)
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 0)
            os.dup2(nowhere, 1)

            def wait() -> None:
                read_to_end(ends)
                watched.wait()

            work(wait)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def read_to_end(stream: int) -> None:
    """Wait until nobody can write into a pipe any more."""
    while os.read(stream, 4096):
        pass


class _Watched:
    """This process, as one that is forked from it sees whether it goes on."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        try:
            self._handle = os.pidfd_open(self._pid)
        except (AttributeError, OSError):  # another system than Linux, or one that forbids it
            self._handle = -1

    def wait(self) -> None:
        """Until it has ended."""
        if self._handle >= 0:
            import select

            poll = select.poll()
            poll.register(self._handle, select.POLLIN)
            poll.poll()
            return
        while _is_there(self._pid):
            time.sleep(_LOOKS_EVERY_S)

    def close(self) -> None:
        """Give back what the system was asked for."""
        if self._handle >= 0:
            os.close(self._handle)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it became another user's
        return True
    return True
