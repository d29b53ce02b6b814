"""`Table`: a table that was logged, and how its cells are read from the JSON that W&B keeps it as."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO

from mirror.run.frames import Framed, library
from mirror.texts.values import unique_names

if TYPE_CHECKING:
    import pandas as pd


class Table(Framed):
    """A logged table. Cells are as they were logged: times are `datetime`, arrays are numpy's, media are dictionaries
    with a `_type` and, of a file, its `path` in the version, for `Artifact.get_entry(path)`.

    Attributes:
        columns: their names, or numbers.
        data: a list of values for each row.
    """

    def __init__(self, columns: list[Any], data: list[list[Any]]) -> None:
        self.columns = columns
        self.data = data

    def get_column(self, name: Any, convert_to: str | None = None) -> Any:
        """The values of a column.

        Args:
            name: of the column.
            convert_to: "numpy" for an array.

        Raises:
            KeyError: there is no such column.
            ValueError: it cannot be converted to that.
        """
        if convert_to not in (None, "numpy"):
            raise ValueError(f"a column is converted to numpy or not at all, not to {convert_to!r}")
        if name not in self.columns:
            raise KeyError(name)
        place = self.columns.index(name)
        values = [row[place] for row in self.data]
        return values if convert_to is None else library("numpy").array(values)

    def get_dataframe(self) -> pd.DataFrame:
        """The table as pandas has it.

        Raises:
            CommError: pandas is not installed.
        """
        frame: pd.DataFrame = library("pandas").DataFrame.from_records(self.data, columns=self.columns)
        return frame

    def _columns(self) -> Mapping[str, Sequence[Any]]:
        names = unique_names([str(column) for column in self.columns])
        return {name: [row[place] for row in self.data] for place, name in enumerate(names)}

    def get_index(self) -> list[int]:
        """The numbers of the rows."""
        return list(range(len(self.data)))

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Number and values of each row."""
        return iter(enumerate(self.data))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.data)

    def __repr__(self) -> str:
        """Its size."""
        return f"<Table of {len(self.data)} rows, {len(self.columns)} columns>"


def table_of(
    noted: Mapping[str, Any], rows: Sequence[Sequence[Any]], opened: Callable[[str], AbstractContextManager[BinaryIO]]
) -> Table:
    """A table from its JSON.

    Args:
        noted: the JSON; it says what the columns hold.
        rows: the rows, with cells as JSON has them.
        opened: opens a file beside it, by its path; arrays lie in such files.

    Raises:
        KeyError, TypeError, ValueError, IndexError: it is no table.
    """
    columns: list[Any] = noted["columns"]
    types = ((noted.get("column_types") or {}).get("params") or {}).get("type_map") or {}
    kinds = [list(_kinds(types.get(str(column)))) for column in columns]
    times = {place for place, some in enumerate(kinds) if any(kind.get("wb_type") == "timestamp" for kind in some)}
    arrays = {
        place: _array(stored, opened)
        for place, some in enumerate(kinds)
        for kind in some
        if (stored := (kind.get("params") or {}).get("serialization_path")) is not None
    }
    data = [
        [
            arrays[place][number] if place in arrays else _time(cell) if place in times else cell
            for place, cell in enumerate(row)
        ]
        for number, row in enumerate(rows)
    ]
    if any(len(row) != len(columns) for row in data):
        raise ValueError(f"a row has not the {len(columns)} cells that the columns are")
    return Table(columns, data)


def _kinds(described: Any) -> Iterator[Mapping[str, Any]]:
    """The types that a column's values may have."""
    if isinstance(described, Mapping):
        yield described
        for inner in (described.get("params") or {}).get("allowed_types") or ():
            yield from _kinds(inner)


def _array(stored: Mapping[str, str], opened: Callable[[str], AbstractContextManager[BinaryIO]]) -> Any:
    with opened(stored["path"]) as file:
        return library("numpy").load(file, allow_pickle=False)[stored["key"]]


def _time(cell: Any) -> Any:
    """W&B writes milliseconds since 1970."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return cell
    return dt.datetime.fromtimestamp(cell / 1000, tz=dt.UTC)
