"""How an exporter of some age writes the Parquet parts of a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StepType = Literal["int64", "double", "uint64", "null"]
"""Type of the `_step` column in an exported part; "null" makes a column of nulls."""

ColumnStyle = Literal["struct", "dotted", "json_bytes", "dotted_json_bytes"]
"""How maps, lists and mixed values become columns.

struct: maps and typed dicts as structs, lists as lists, mixed values as text.
dotted: maps as one column for each dotted key; typed dicts and lists as in struct.
json_bytes: maps, typed dicts, lists and mixed values as BINARY columns of serialised JSON.
dotted_json_bytes: maps as dotted columns; typed dicts, lists and mixed values as JSON bytes.
"""


@dataclass(frozen=True, kw_only=True)
class ExportStyle:
    """The style of one run's exports. Part i takes the i-th column style and step type, which start over at the end."""

    parts: int = 1
    column_styles: tuple[ColumnStyle, ...] = ("struct",)
    step_types: tuple[StepType, ...] = ("int64",)
    whole_numbers_as_doubles: bool = False  # as after a compaction

    def of_part(self, number: int) -> PartStyle:
        return PartStyle(
            columns=self.column_styles[number % len(self.column_styles)],
            step=self.step_types[number % len(self.step_types)],
            whole_numbers_as_doubles=self.whole_numbers_as_doubles,
        )


@dataclass(frozen=True, kw_only=True)
class PartStyle:
    """The style of one part."""

    columns: ColumnStyle = "struct"
    step: StepType = "int64"
    whole_numbers_as_doubles: bool = False

    @property
    def flattens(self) -> bool:
        return self.columns.startswith("dotted")

    @property
    def writes_json_bytes(self) -> bool:
        return self.columns.endswith("json_bytes")
