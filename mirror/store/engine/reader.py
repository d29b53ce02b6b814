"""The lake as the objects of `mirror.run` see it: opened when first asked, one cursor a thread, safe to pickle.

Where `connect` gives a person SQL, a `Reader` gives other code rows. It opens no socket and holds nothing but the
home's path until the first question, so that it travels to other processes; after a fork the child opens it anew.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from mirror.config import StoreSettings
from mirror.layout import Home
from mirror.store.engine.connection import Engine, store_errors
from mirror.store.engine.literals import inlined
from mirror.store.engine.reading import open_lake

# Questions about one run or one page are small: more threads than one double their CPU time and gain nothing.
ONE_THREAD = StoreSettings(threads=1)


class Reader:
    """Asks the lake of one home; every question sees one whole commit.

    Args:
        home: the mirror's directory.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._opened: _Opened | None = None
        self._opening = threading.Lock()

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of an answer.

        Args:
            query: SQL over `lake.*`, with `?` for values.
            parameters: the values.

        Raises:
            NotMirrored: nothing was pulled into this home yet.
            StoreError: the lake cannot be read.
        """
        with self.engine() as engine:
            return engine.execute(inlined(query, parameters)).fetchall()

    @contextlib.contextmanager
    def engine(self) -> Iterator[Engine]:
        """A DuckDB connection for the calling thread, with the lake attached as `lake`.

        Raises:
            NotMirrored, StoreError: as `rows`.
        """
        with store_errors(self.home):
            yield self._cursor()

    reading = engine
    """As a lake that is open for writing calls it."""

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Engine]:
        """The same, and all statements inside see the same commit."""
        with self.engine() as engine:
            engine.execute("BEGIN")
            try:
                yield engine
            finally:
                engine.execute("ROLLBACK")

    def fresh_engine(self) -> Engine:
        """A connection of the caller's own, for an answer that is read while others are asked."""
        with store_errors(self.home):
            return self._root().cursor()

    def close(self) -> None:
        """Close the lake; the next question opens it again."""
        opened, self._opened = self._opened, None
        if opened is not None and opened.pid == os.getpid():
            opened.root.close()

    def _root(self) -> Engine:
        return self._current().root

    def _cursor(self) -> Engine:
        cursors = self._current().cursors
        if not hasattr(cursors, "engine"):
            cursors.engine = self._root().cursor()
        engine: Engine = cursors.engine
        return engine

    def _current(self) -> _Opened:
        opened = self._opened
        if opened is None or opened.pid != os.getpid():
            with self._opening:
                opened = self._opened
                if opened is None or opened.pid != os.getpid():
                    opened = self._opened = _Opened(open_lake(self.home, ONE_THREAD))
        return opened

    def __getstate__(self) -> Home:
        """The home alone."""
        return self.home

    def __setstate__(self, home: Home) -> None:
        """Unopened."""
        self.__init__(home)  # type: ignore[misc]  # pickle makes the object without calling it


class _Opened:
    """A database of one process: a forked child must not touch its parent's."""

    def __init__(self, root: Engine) -> None:
        self.root = root
        self.pid = os.getpid()
        self.cursors = threading.local()
