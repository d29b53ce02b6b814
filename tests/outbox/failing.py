"""The one seam for faults: every call of the file system that an outbox makes goes through these functions of `os`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

CALLS = (
    *("open", "close", "read", "write", "pread", "pwrite", "ftruncate", "fsync", "replace", "unlink", "mkdir"),
    *("stat", "fstat", "scandir", "listdir"),
)


class Disk:
    """Fails at one call, or from one call on.

    Args:
        at: which call fails, from 0.
        code: with what, as `errno` names it.
        forever: so do all calls after it.
    """

    def __init__(self, at: int, code: int, *, forever: bool = False) -> None:
        self.at = at
        self.code = code
        self.forever = forever
        self.calls: list[str] = []

    @property
    def has_failed(self) -> bool:
        """Whether the call was reached."""
        return len(self.calls) > self.at

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Let the file system be like this."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
            patch.setattr(fcntl, "flock", self._wrapped("flock", fcntl.flock))
            yield

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            number = len(self.calls) - 1
            if number == self.at or (self.forever and number > self.at):
                if name == "close":  # the descriptor is gone all the same
                    real(*arguments, **options)
                raise OSError(self.code, os.strerror(self.code))
            return real(*arguments, **options)

        return call


def every_fault(*, forever: bool = False, most: int = 400) -> Iterator[Disk]:
    """A disk that fails at the first call, at the second, …, with ENOSPC and with EIO, until no call fails any more."""
    for code in (errno.ENOSPC, errno.EIO):
        for at in range(most):
            disk = Disk(at, code, forever=forever)
            yield disk
            if not disk.has_failed:
                break
        else:
            raise AssertionError("there is no end of calls")
