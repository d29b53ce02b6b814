"""`Runs`: the runs of a project that a filter keeps, in order, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from mirror.errors import CommError, ConfigError
from mirror.records.addresses import RunPath
from mirror.run.facts import NO_DOCUMENTS
from mirror.run.naming import project_not_mirrored
from mirror.run.pending.listing import listed_ids, runs_to_be_made
from mirror.run.pending.local import LocalMirror
from mirror.run.run import Run
from mirror.run.run_table import RunTable
from mirror.run.sdk.calls import as_comm_error
from mirror.run.sdk.pages import SizedPages
from mirror.store.read.runs import Documents, read_documents, read_light_runs

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from mirror.store.sql.frames import Table as ArrowTable

_ROWS_AT_ONCE = 500  # runs of a data frame whose documents are in memory at once


class Runs(SizedPages[Run]):
    """Runs of one project. Which runs, and in which order, is settled by the first look, from one commit of the mirror.

    A run comes without its documents; the first that is asked for brings those of its whole page.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        filters: W&B's Mongo-style object.
        order: `+field` or `-field`.
        per_page: runs read at a time.
        include_sweeps: let each run have its sweep at once.
        lazy: leave the documents for later.
        with_gone: also runs that were deleted upstream; the SDK has no such argument.
    """

    def __init__(
        self,
        local: LocalMirror,
        entity: str,
        project: str,
        filters: Mapping[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,
        include_sweeps: bool = False,
        lazy: bool = True,
        *,
        with_gone: bool = False,
    ) -> None:
        super().__init__(per_page)
        self._local = local
        self.entity, self.project = entity, project
        self.filters: dict[str, Any] = dict(filters or {})
        self.order = order or "+created_at"
        self._include_sweeps = include_sweeps
        self._lazy = lazy
        self._with_gone = with_gone

    @as_comm_error
    def histories(
        self,
        samples: int = 500,
        keys: list[str] | None = None,
        x_axis: str = "_step",
        format: Literal["default", "pandas", "polars"] = "default",  # noqa: A002 - the SDK's name
        stream: Literal["default", "system"] = "default",
    ) -> list[dict[str, Any]] | pd.DataFrame | pl.DataFrame:
        """Sampled histories of all these runs, with a column `run_id`.

        Args:
            samples: rows of each run.
            keys: only these metrics; None for all.
            x_axis: the metric that comes along with `keys`.
            format: "default" for a list of dictionaries, "pandas" or "polars" for a data frame with sorted columns.
            stream: "default" for metrics, "system" for system metrics.

        Returns:
            Runs without rows are left out. Unlike the SDK's, the polars form takes runs of different columns.

        Raises:
            CommError: the format is unknown.
        """
        from mirror.run.history.histories import combined

        every = (run for run in self)  # `islice` calls `iter`, and `iter(self)` begins again
        pages = iter(lambda: list(islice(every, self.per_page)), [])
        place = self.entity, self.project
        return combined(self._local.reader, place, pages, samples, keys, x_axis, format, stream)

    @as_comm_error
    def to_df(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A row a run: its facts, then config and summary as columns `config.lr`, `summary.loss`, and `config.opt.name`
        of a dictionary, which is `config["opt"]["name"]` where a run has a key `opt.name` as well. The SDK has no such
        members.

        Args:
            columns: which, in this order; None: all. A column that no run has is empty.

        Raises:
            CommError: pandas is not installed, or the table would have more than `run_table.MOST_CELLS`.
        """
        return self._table(columns).to_df()

    @as_comm_error
    def to_polars(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The same for polars; a column without one type for all its values holds JSON texts."""
        return self._table(columns).to_polars()

    @as_comm_error
    def to_arrow(self, columns: Sequence[str] | None = None) -> ArrowTable:
        """The same as a `pyarrow.Table`, which DuckDB takes by the name of its variable."""
        return self._table(columns).to_arrow()

    def _table(self, columns: Sequence[str] | None) -> RunTable:
        count = self._count()
        parts = range(0, count, _ROWS_AT_ONCE)
        return RunTable((run for at in parts for run in self._read(at, min(at + _ROWS_AT_ONCE, count))), columns)

    def _repr_html_(self) -> str:
        """The first runs as a table, for a notebook."""
        from mirror.run.page.runs_table import RUNS_SHOWN, runs_table

        count = self._count()
        first = RunTable(self._read(0, min(RUNS_SHOWN, count)))
        return runs_table(f"{self.entity}/{self.project}", count, first._columns())

    def upgrade_to_full(self) -> None:
        """Read the documents of the runs that are loaded, and of those that follow at once."""
        self._lazy = False
        for run in list(self._in_use.values()):
            run.load_full_data()

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<Runs {self.entity}/{self.project}>"

    @cached_property
    def _run_ids(self) -> list[str]:
        place = self.entity, self.project
        try:
            found = listed_ids(self._local, place, filters=self.filters, order=self.order, with_gone=self._with_gone)
        except ConfigError as error:  # the server would refuse it, which the SDK reports under this name
            raise CommError(error.message, hint=error.hint) from error
        if not found and not self._local.is_mirrored(*place):
            raise project_not_mirrored(self._local, *place, f"Could not find project {self.project}")
        return found

    def _count(self) -> int:
        return len(self._run_ids)

    def _read(self, start: int, stop: int) -> Sequence[Run]:
        run_ids = self._run_ids[start:stop]
        place = self.entity, self.project
        waiting = self._local.pending_of(place, run_ids)  # before the lake: see `LocalMirror.pending`
        rows = {run.run_id: run for run in read_light_runs(self._local.reader, place, run_ids)}
        source = _PageDocuments(self._local, place, list(rows))
        rows = runs_to_be_made(waiting) | rows
        runs = [
            Run(self._local, RunPath(*place, run_id), rows[run_id], source, waiting[run_id])
            for run_id in run_ids
            if run_id in rows  # one that was to be made may have been given up since
        ]
        for run in runs:
            if not self._lazy:
                run.load_full_data()
            if self._include_sweeps:
                run._load_sweep()
        return runs


class _PageDocuments:
    """The documents of a page of runs, read together when the first is asked for."""

    def __init__(self, local: LocalMirror, project: tuple[str, str], run_ids: Sequence[str]) -> None:
        self._local, self._project, self._run_ids = local, project, run_ids
        self._held: dict[str, Documents] | None = None

    def documents(self, run_id: str) -> Documents:
        """Those of one run; handed out once, so that memory does not hold them twice."""
        if self._held is None:
            self._held = read_documents(self._local.reader, self._project, self._run_ids)
        return self._held.pop(run_id, NO_DOCUMENTS)
