"""Where a lake stands, as the engine that reads or writes it sees that: in the home, or shared (`shared_storage`).

The order of a commit is the same at both: rows are written as Parquet files, `flush` makes those last, then the catalog
commits. So a crash leaves files that no snapshot names, never a snapshot that names what is not there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from mirror.store.engine.connection import LAKE, Engine


class DataFile(NamedTuple):
    """A file below the data folder."""

    size: int  # bytes
    written_at: dt.datetime  # UTC


class Storage(Protocol):
    """One lake's place; of one process."""

    @property
    def is_small(self) -> bool:
        """Whether the lake is read in less time than it takes to plan which of its files are needed."""

    @property
    def is_fresh(self) -> bool:
        """Whether what was attached may be used on: False once credentials were renewed."""

    @property
    def stamp(self) -> object:
        """Another value after each commit, without asking the lake; None where that cannot be known."""

    def attach_to_read(self, engine: Engine, name: str = LAKE) -> None:
        """Attach the lake read-only, under a name.

        Raises:
            NotMirrored: there is none yet.
            StoreError, duckdb.Error: it cannot be read.
        """

    def open_to_write(self, closing: contextlib.ExitStack) -> None:
        """Be the one that writes, until `closing` closes. The home's own lock is held.

        Raises:
            HomeBusy: another process has it.
            StoreError, OSError: it cannot be written.
        """

    def attach_to_write(self, engine: Engine, *, inlined_rows: int = 0) -> None:
        """Attach the lake, made where there is none.

        Args:
            inlined_rows: up to how many rows of a write stay in the catalog, of a table without an option of its own.
        """

    def attached(self) -> None:
        """It was attached to be written, for the first time since it was opened."""

    def committing(self) -> contextlib.AbstractContextManager[None]:
        """Around a transaction that changes the lake."""

    def flush(self) -> None:
        """Make the files last that the transaction wrote, before it commits."""

    def committed(self) -> None:
        """It did."""

    def may_write(self) -> None:
        """Go on only while nobody else may write or deliver.

        Raises:
            LeaseLost: somebody may.
        """

    @property
    def option(self) -> str:
        """With which a connection to a shared lake's database is the writer's; empty: there is none."""

    @property
    def metrics_folder(self) -> Path:
        """Where files of `metrics` are written; it need not exist."""

    def place_metrics(self, file: Path) -> str:
        """Put a finished Parquet file into the folder of `metrics`; its address, for DuckLake."""

    def remove_metrics(self, name: str) -> None:
        """Remove such a file again."""

    def listed(self) -> dict[str, DataFile]:
        """The files of the tables, by path below the data folder, with slashes."""

    def address(self, name: str) -> str:
        """The full path of such a file, for `read_parquet`."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove such files; those that are gone are no error."""

    def waits_for_readers(self, engine: Engine) -> bool:
        """Whether somebody reads an older state than the newest."""
