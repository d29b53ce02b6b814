"""The sampled histories of many runs as one list or one data frame."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mirror.run.history.arguments import tell, what_is_wrong
from mirror.run.history.members import RunHistory
from mirror.store.engine.reader import Reader
from mirror.store.read.histories import StoredHistory, stored_histories

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Row = dict[str, Any]
FORMATS = ("default", "pandas", "polars")


def combined(
    reader: Reader,
    project: tuple[str, str],
    pages: Iterable[Sequence[RunHistory]],
    samples: int,
    keys: list[str] | None,
    x_axis: str,
    format: Literal["default", "pandas", "polars"],  # noqa: A002 - the SDK's name
    stream: str,
) -> list[Row] | pd.DataFrame | pl.DataFrame:
    """See `Runs.histories`. Wrong keys are told on stderr once, and give nothing, as with `Run.history`.

    Args:
        reader: of the mirror.
        project: of the runs.
        pages: the runs; where their histories are is asked for a page at a time.
        samples, keys, x_axis, format, stream: as for `Runs.histories`.

    Raises:
        ValueError: the format is unknown, or its library is not installed.
        NotMirrored: the history of one of the runs is not in this mirror.
    """
    if format not in FORMATS:
        raise ValueError(f"Invalid format: {format}. Must be one of 'default', 'pandas', 'polars'")
    wrong = what_is_wrong(keys, stream)
    if wrong is not None:
        tell(wrong)
    library = None if format == "default" else _library(format)
    histories = iter(()) if wrong is not None else _histories(reader, project, pages, samples, keys, x_axis, stream)
    if library is None:
        return [row for rows in histories for row in rows]
    if format == "pandas":
        every = [row for rows in histories for row in rows]
        frame = library.DataFrame.from_records(every)
        return frame[sorted(frame.columns)] if every else library.DataFrame()
    return _polars(library, list(histories))


def _histories(
    reader: Reader,
    project: tuple[str, str],
    pages: Iterable[Sequence[RunHistory]],
    samples: int,
    keys: list[str] | None,
    x_axis: str,
    stream: str,
) -> Iterator[list[Row]]:
    """The rows of each run that has any."""
    for page in pages:
        stored: dict[str, StoredHistory] = {}
        if stream == "default":
            with reader.snapshot() as lake:
                stored = stored_histories(lake, project, [run.id for run in page])
        for run in page:
            if rows := run._sampled(samples, keys, x_axis, stream, stored.get(run.id)):
                yield [{**row, "run_id": run.id} for row in rows]


def _polars(library: Any, histories: list[list[Row]]) -> pl.DataFrame:
    """One below the other, whatever columns each run has; what has no common type is text."""
    frames = [_frame(library, rows) for rows in histories]
    if not frames:
        return library.DataFrame()  # type: ignore[no-any-return]
    try:
        whole = library.concat(frames, how="diagonal_relaxed")
    except library.exceptions.PolarsError:  # dictionaries with other members, or beside numbers
        whole = _frame(library, [row for rows in histories for row in rows])
    return whole.select(sorted(whole.columns))  # type: ignore[no-any-return]


def _frame(library: Any, rows: list[Row]) -> Any:
    """Rows as a frame with every column that any of them has."""
    columns = {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}
    return library.DataFrame([_column(library, key, values) for key, values in columns.items()])


def _column(library: Any, name: str, values: list[Any]) -> Any:
    try:
        return library.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, library.exceptions.PolarsError):
        pass
    try:
        return library.Series(name, values, strict=False)
    except (TypeError, ValueError, OverflowError, library.exceptions.PolarsError):
        return library.Series(name, [None if value is None else str(value) for value in values])


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"Exporting {name} DataFrame requires {name}") from error
