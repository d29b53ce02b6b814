"""What has columns as a data frame of pandas's or polars's, or as a table of Arrow's."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mirror.errors import CommError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from mirror.store.sql.frames import Table as ArrowTable

_EXACT = 2**53  # the largest integer up to which a double holds each


class Framed:
    """Something with columns of Python values."""

    @abstractmethod
    def _columns(self) -> Mapping[str, Sequence[Any]]:
        """The values by column, as many in each; None for one that is not there."""

    def to_df(self) -> pd.DataFrame:
        """As pandas has it. A column of integers that lacks some holds floats, or objects where no float is exact.

        Raises:
            CommError: pandas is not installed.
        """
        pandas = library("pandas")
        columns = self._columns()
        made = {name: _series(pandas, values) for name, values in columns.items()}
        frame: pd.DataFrame = pandas.DataFrame(made, columns=list(columns))
        return frame

    def to_polars(self) -> pl.DataFrame:
        """As polars has it. A column without one type for all its values holds JSON texts.

        Raises:
            CommError: polars is not installed.
        """
        frame: pl.DataFrame = library("polars").from_arrow(self.to_arrow())
        return frame

    def to_arrow(self) -> ArrowTable:
        """A `pyarrow.Table`. A column without one type for all its values holds JSON texts, and its field says so."""
        from mirror.store.sql.frames import arrow_table

        return arrow_table(self._columns())


def library(name: str) -> Any:
    """A library that is there if the user installed it.

    Raises:
        CommError: it is not.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CommError(f"{name} is not installed", hint=f"pip install {name}") from error


def _series(pandas: Any, values: Sequence[Any]) -> Any:
    whole = [value for value in values if type(value) is int]
    loses = len(whole) < len(values) and any(abs(value) > _EXACT for value in whole)
    return pandas.Series(values, dtype=object if loses or not values else None)
