"""A pull that was begun and has not ended: a file says so, for before its first commit it leaves no other trace.

It is about a pull of all sources as they are configured. A daemon removes it once it has pulled each of them well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mirror.durable import write_replace
from mirror.layout import Home
from mirror.store.engine.connection import store_errors


@contextmanager
def until_ended(home: Home) -> Iterator[None]:
    """The file is there inside, and stays when the body does not come to its end.

    Raises:
        StoreError: it cannot be written.
    """
    with store_errors(home):
        write_replace(home.pull_begun, b"")
    yield
    forget(home)


def forget(home: Home) -> None:
    """The next pull is somebody's business."""
    with store_errors(home):
        home.pull_begun.unlink(missing_ok=True)
