"""The lake as the objects of `mirror.run` see it: opened when first asked, one cursor a thread, safe to pickle.

Where `connect` gives a person SQL, a `Reader` gives other code rows. It opens no socket and holds nothing but the
home's path until the first question, so that it travels to other processes; after a fork the child opens it anew.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.store.engine.connection import Engine, one_commit, plan_lightly, store_errors
from mirror.store.engine.meta import lake_deployment
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.reading import open_lake
from mirror.store.engine.storage import Storage
from mirror.store.engine.storages import storage_of
from mirror.store_settings import StoreSettings

# Questions about one run or one page are small: more threads than one double their CPU time and gain nothing.
ONE_THREAD = StoreSettings(threads=1)
# DuckLake forgets nothing of a snapshot that it saw, so a database that is asked for days is opened anew now and then.
OPEN_S = 3600.0
SMALL_S = 1.0  # between two looks whether a lake that was small has grown


class Reader:
    """Asks the lake of one home; every question sees one whole commit.

    Args:
        home: the mirror's directory.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._opened: _Opened | None = None
        self._opening = threading.Lock()
        self._begun = threading.local()  # the snapshot that a thread is within

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As `Queryable.rows`."""
        with self.engine() as engine:
            return Snapshot(engine).rows(query, parameters)

    @contextlib.contextmanager
    def engine(self) -> Iterator[Engine]:
        """A DuckDB connection for the calling thread, with the lake attached as `lake`.

        Raises:
            NotMirrored, StoreError: as `rows`.
        """
        with store_errors(self.home):
            yield self._cursor()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One commit, for several questions; within another one of this thread it is the same.

        Raises:
            NotMirrored, StoreError: as `rows`.
        """
        if (outer := getattr(self._begun, "snapshot", None)) is not None:
            with store_errors(self.home):
                yield outer
            return
        with self.engine() as engine, one_commit(engine):
            self._begun.snapshot = Snapshot(engine)
            try:
                yield self._begun.snapshot
            finally:
                self._begun.snapshot = None

    def fresh_engine(self) -> Engine:
        """A connection of the caller's own, for an answer that is read while others are asked."""
        with store_errors(self.home):
            return self._root().cursor()

    def __enter__(self) -> Reader:
        """Itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the lake."""
        self.close()

    def close(self) -> None:
        """Close the lake; the next question opens it again."""
        opened, self._opened = self._opened, None
        if opened is not None and opened.pid == os.getpid():
            opened.root.close()

    def _root(self) -> Engine:
        return self._current().root

    def _cursor(self) -> Engine:
        opened = self._current()
        if not hasattr(opened.cursors, "engine"):
            opened.cursors.engine = opened.root.cursor()
        engine: Engine = opened.cursors.engine
        return engine

    def _current(self) -> _Opened:
        opened = self._opened
        if opened is None or not opened.is_good:
            with self._opening:
                opened = self._opened
                if opened is None or not opened.is_good:  # who still uses an old one keeps it until the answer is read
                    storage = storage_of(self.home)
                    opened = self._opened = _Opened(open_lake(self.home, ONE_THREAD, storage), storage)
        return opened

    def __getstate__(self) -> Home:
        """The home alone."""
        return self.home

    def __setstate__(self, home: Home) -> None:
        """Unopened."""
        self.__init__(home)  # type: ignore[misc]  # pickle makes the object without calling it


class _Opened:
    """A database of one process: a forked child must not touch its parent's."""

    def __init__(self, root: Engine, storage: Storage) -> None:
        self.root = root
        self.pid = os.getpid()
        self.cursors = threading.local()
        self._storage = storage
        self._until = time.monotonic() + OPEN_S
        self._small_until = time.monotonic() + SMALL_S
        self._is_small = self._is_small_yet()
        plan_lightly(root, is_small=self._is_small)

    @property
    def is_good(self) -> bool:
        """Whether it is this process's, has not gathered much, and plans as the lake's size asks for.

        How an engine plans is not changed while threads ask it.
        """
        now = time.monotonic()
        if self.pid != os.getpid() or now >= self._until or not self._storage.is_fresh:
            return False
        if self._is_small and now >= self._small_until:
            self._small_until = now + SMALL_S
            return self._is_small_yet()
        return True

    def _is_small_yet(self) -> bool:
        return self._storage.is_small


def deployment_of_lake(home: Home) -> str | None:
    """The id of the W&B server that a home mirrors; None before anything was pulled."""
    try:
        with Reader(home) as lake:
            return lake_deployment(lake)
    except NotMirrored:
        return None
