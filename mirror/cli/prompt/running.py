"""Work that Ctrl-C stops: done in a thread, while the prompt's own waits for it or for the key."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from mirror.errors import MirrorError
from mirror.store.engine.connection import Engine

T = TypeVar("T")
_LOOK_S = 0.05  # for so long Ctrl-C goes unheard


class QueryStopped(Exception):
    """The person at the prompt stopped it."""


def stoppable(engine: Engine, work: Callable[[], T]) -> T:
    """Do something with an engine; Ctrl-C interrupts the query that runs then. Called in the main thread.

    Args:
        engine: that the work asks.
        work: it.

    Raises:
        QueryStopped: Ctrl-C came, and the query ended before its answer.
        Exception: the work's own.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread, stop = threading.Thread(target=do, name="query", daemon=True), threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_S)
            if stop.is_set():
                engine.interrupt()  # again and again: between two steps of the work there may be nothing to interrupt
    finally:
        signal.signal(signal.SIGINT, before)
    if results:
        return results[0]
    if stop.is_set() and isinstance(errors[0], MirrorError):
        raise QueryStopped
    raise errors[0]
