"""The members of a run that read its history: sampled, scanned, or as the files that W&B exported."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from mirror.records.step_metrics import step_metrics_of
from mirror.run.history.arguments import tell, what_is_wrong
from mirror.run.history.exports import DownloadHistoryResult, write_exports
from mirror.run.history.held import held_history, last_history_step, system_metrics_not_mirrored
from mirror.run.history.known_keys import warn_of_unknown
from mirror.run.history.scan import HistoryScan
from mirror.run.pending.edits import RunEdits
from mirror.run.sdk.calls import as_comm_error, deprecated
from mirror.store.read.histories import StoredHistory
from mirror.texts.steps import STEP

if TYPE_CHECKING:
    import pandas as pd

    from mirror.store.history.rows import HistoryRows, Table

Row = dict[str, Any]


class RunHistory(RunEdits):
    """A run whose history can be read."""

    @property
    def lastHistoryStep(self) -> int:  # noqa: N802 - the SDK's name
        """The last step that was logged, by the server's word; -1 when nothing was. As the run was read."""
        return last_history_step(self)

    def step_metric(self, key: str) -> str:
        """The metric that a key is to be drawn over, by `define_metric`; `_step` where none was defined.

        `run.history(keys=["loss"], x_axis=run.step_metric("loss"))`. The SDK has no such member.
        """
        return step_metrics_of(self._known_documents().config).of(key) or STEP

    @as_comm_error
    def history(
        self,
        samples: int = 500,
        keys: list[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        stream: Literal["default", "system"] = "default",
        *,
        arrow: bool = False,
    ) -> list[Row] | pd.DataFrame | Table:
        """Rows of the history, spread evenly over it: always the same ones, the first and the last among them.

        Where the SDK gets another choice from the server each time, the last row perhaps not in it, the same data
        gives the same rows. Rows hold what was logged at their step, in exact types: NaN and infinities are floats.

        A None that was logged is shown as a key that was not: see `HistoryScan`.

        Args:
            samples: how many rows; all, where there are not more.
            keys: only these metrics, and only rows that hold all of them and `x_axis`.
            x_axis: the metric that comes along with `keys`; without them it means nothing.
            pandas: a `pandas.DataFrame`; without pandas installed a warning, and a list.
            stream: "default" for metrics; anything else for system metrics, whose rows have a `_timestamp` (to the
                microsecond), `_runtime` and keys such as `system.cpu`, and no step.
            arrow: a `pyarrow.Table` instead, whatever is installed. Keys without one type for all their values hold
                JSON texts there, and the field's metadata says so.

        Returns:
            A data frame, a table, or a list of dictionaries. Wrong arguments are told on stderr and give an empty list.

        Raises:
            NotMirrored: it is not in this mirror.

        Warns:
            UserWarning: a key that no row holds, with those that may be meant.
        """
        wrong = what_is_wrong(keys, stream)
        if wrong is not None:
            tell(wrong)
            return []
        if arrow:
            table = self._sampled_table(samples, keys, x_axis, stream)
            warn_of_unknown(self, keys)
            return table
        history = self._rows() if stream == "default" else None
        rows = self._sampled(samples, keys, x_axis, stream, history=history)
        warn_of_unknown(self, keys)
        if not pandas:
            return rows
        try:
            module: Any = importlib.import_module("pandas")
        except ImportError:
            warnings.warn("Unable to load pandas, call history with pandas=False", UserWarning, stacklevel=3)
            return rows
        frame = module.DataFrame.from_records(rows)
        return frame if keys or history is None or not rows else frame[_as_logged(frame.columns, history)]

    @as_comm_error
    def scan_history(
        self,
        keys: list[str] | None = None,
        page_size: int = 1_000,
        min_step: int = 0,
        max_step: int | None = None,
        use_cache: bool = True,  # noqa: ARG002 - the SDK's; everything is local
        *,
        how: Literal["all", "any"] = "all",
    ) -> HistoryScan:
        """Every row of the history, by step.

        A None that was logged is shown as a key that was not: see `HistoryScan`.

        Args:
            keys: only these metrics and `_step`, and only rows that hold all of them. The SDK says the same, but gives
                exported rows without them, too, with None.
            page_size: steps that are read at a time.
            min_step: the first step.
            max_step: the step to stop before.
            use_cache: means nothing here.
            how: "any" for rows that hold at least one of the keys; the SDK has no such argument.

        Returns:
            An iterator of dictionaries; see `HistoryScan` for what is in them.

        Raises:
            CommError: the keys are no list of texts.
            NotMirrored: the history is not in this mirror.

        Warns:
            UserWarning: a key that no row holds, with those that may be meant.
        """
        wrong = what_is_wrong(keys, "default")
        if wrong is not None:
            raise ValueError(wrong)
        if how not in ("all", "any"):
            raise ValueError(f"how must be 'all' or 'any', not {how!r}")
        scan = HistoryScan(self, min_step=min_step, max_step=max_step, keys=keys, page_size=page_size, how=how)
        warn_of_unknown(self, keys)
        return scan

    def beta_scan_history(
        self,
        keys: list[str] | None = None,
        page_size: int = 1_000,
        min_step: int = 0,
        max_step: int | None = None,
        use_cache: bool = True,
    ) -> HistoryScan:
        """The older name of `scan_history`."""
        deprecated("`beta_scan_history` is deprecated; use `scan_history` instead")
        return self.scan_history(keys, page_size, min_step, max_step, use_cache)

    def download_history_exports(
        self, download_dir: str | os.PathLike[str], require_complete_history: bool = True
    ) -> DownloadHistoryResult:
        """Write the Parquet files that W&B exported into a folder, byte for byte.

        Files are called `<entity>_<project>_<run>_<i>.runhistory.parquet`, in the order of their steps. What is no
        lower-case letter, digit, `-` or `.` in the three names is percent-encoded, so that no two runs share a file's
        name, as they can with the SDK. A file of that name is replaced.

        Args:
            download_dir: the folder; made when it is missing.
            require_complete_history: refuse where the exports do not hold the whole history.

        Returns:
            The files, and those that could not be written with the reason.

        Raises:
            IncompleteRunHistoryError: there are rows that no export holds, or the mirror lacks some; nothing was
                written. The SDK lets a run pass that has a history and no export at all.
            NotMirrored: the history was never read.
            HomeUnusable: the folder cannot be written.
        """
        return write_exports(self, download_dir, require_complete_history)

    def _sampled(
        self,
        samples: int,
        keys: list[str] | None,
        x_axis: str,
        stream: str,
        stored: StoredHistory | None = None,
        *,
        history: HistoryRows | None = None,
    ) -> list[Row]:
        """Rows of one of the two streams.

        Args:
            samples, keys, x_axis, stream: as for `history`.
            stored: what the lake holds of this run's history, if that was read already.
            history: its rows, if they were opened already.
        """
        if stream != "default":
            from mirror.store.metrics.system_rows import sample_system_metrics

            rows = sample_system_metrics(self._local.reader, self._run_path, samples)
            missing = None if rows or samples < 1 else system_metrics_not_mirrored(self)
            if missing is not None:
                raise missing
            return rows
        return (history or self._rows(stored)).sample([x_axis, *keys] if keys else None, samples)

    def _sampled_table(self, samples: int, keys: list[str] | None, x_axis: str, stream: str) -> Table:
        if stream != "default":
            from mirror.store.metrics.system_rows import system_table

            return system_table(self._sampled(samples, keys, x_axis, stream))
        return self._rows().sample_table([x_axis, *keys] if keys else None, samples)

    def _rows(self, stored: StoredHistory | None = None) -> HistoryRows:
        from mirror.store.history.rows import HistoryRows

        stored = held_history(self, stored)
        return HistoryRows(self._local.objects, stored, self._known_summary)


def _as_logged(columns: Iterable[str], history: HistoryRows) -> list[str]:
    """Columns with `_step` where it was logged; rows begin with it."""
    before = set(history.keys_before_step())
    others = [name for name in columns if name != "_step"]
    place = max((index + 1 for index, name in enumerate(others) if name in before), default=0)
    return [*others[:place], "_step", *others[place:]]
