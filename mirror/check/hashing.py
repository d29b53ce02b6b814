"""Many files read and hashed at once, in memory for a few buffers, stopped at once when their reader has enough."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_CHUNK = 1 << 20
_AHEAD = 32  # files that each thread has waiting
THREADS = min(4, os.cpu_count() or 1)


class Stopped(Exception):
    """The reader has enough; nobody sees this but the threads."""


class HashingProgress:
    """How far a check is: counted by the threads, looked at by whoever draws it."""

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0
        self.phase = ""
        self._stopped = False
        self._counting = threading.Lock()

    def read(self, count: int) -> None:
        """So many bytes were read.

        Raises:
            Stopped: no more are wanted.
        """
        if self._stopped:
            raise Stopped
        with self._counting:
            self.bytes += count

    def done(self) -> None:
        """A file was looked at."""
        with self._counting:
            self.files += 1

    def stop(self) -> None:
        """Let every thread end at its next buffer."""
        self._stopped = True


@contextlib.contextmanager
def stopping(meter: HashingProgress) -> Iterator[None]:
    """Whatever ends what is inside before its end (Ctrl-C, a failing disk), no thread reads on."""
    try:
        yield
    except BaseException:
        meter.stop()
        raise


def map_in_threads(items: Iterable[T], action: Callable[[T], R], threads: int = THREADS) -> Iterator[tuple[T, R]]:
    """Do something with each item in threads; the answers come in the order of the items.

    Args:
        items: taken as they are needed.
        action: called in a thread; what it raises comes out here.
        threads: how many.
    """
    waiting: collections.deque[tuple[T, Future[R]]] = collections.deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="verify")
    try:
        for item in items:
            waiting.append((item, pool.submit(action, item)))
            if len(waiting) >= threads * _AHEAD:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    except BaseException:  # `stopping` ends the threads, which are not waited for before
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def sha256_of(path: Path, meter: HashingProgress) -> str:
    """SHA-256 of a file, hex.

    Raises:
        OSError: it cannot be read.
        Stopped: the check ends.
    """
    total = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        while chunk := os.read(descriptor, _CHUNK):
            total.update(chunk)
            meter.read(len(chunk))
    finally:
        os.close(descriptor)
    meter.done()
    return total.hexdigest()
