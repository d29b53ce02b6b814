"""What `wandb.log` and `Artifact.add` wrote into a version under a name: tables and media, by `Artifact.get`.

W&B keeps such an object as a JSON file whose name ends with its type, `NAME.table.json`, and the bytes that belong to
it as files of their own beside it.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import importlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mirror.errors import CommError, NotMirrored
from mirror.run.artifacts.manifest import ArtifactManifestEntry
from mirror.store.read.artifacts import read_versions

if TYPE_CHECKING:
    import pandas as pd

    from mirror.run.artifacts.artifact import Artifact

# In the order in which a name is looked for; what the SDK may find under it.
_TYPES = (
    "table", "partitioned-table", "joined-table", "eval-table", "image-file", "audio-file", "video-file", "html-file",
    "object3D-file", "molecule-file", "bokeh-file", "plotly-file", "graph-file", "classes", "mask", "bounding-boxes",
    "histogram", "wb_trace_tree", "sklearn-model-file", "pytorch-model-file", "tfkeras-model-file",
)  # fmt: skip
_IN_ARTIFACT = "wandb-artifact"  # scheme of a reference to a file of another version


class Table:
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
        return values if convert_to is None else _library("numpy").array(values)

    def get_dataframe(self) -> pd.DataFrame:
        """The table as pandas has it.

        Raises:
            CommError: pandas is not installed.
        """
        frame: pd.DataFrame = _library("pandas").DataFrame.from_records(self.data, columns=self.columns)
        return frame

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


class PartitionedTable:
    """A table in parts, each a table in a folder of the version.

    Args:
        artifact: the version.
        parts_path: the folder.
    """

    def __init__(self, artifact: Artifact, parts_path: str) -> None:
        self._artifact = artifact
        self.parts_path = parts_path

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Number and values of each row, part by part; one part is in memory.

        Raises:
            NotMirrored: a part is not held.
            ValueError: the parts have different columns.
        """
        columns, number = None, 0
        for entry in self._artifact.manifest.get_entries_in_directory(self.parts_path):
            part = get(self._artifact, entry.path)
            if not isinstance(part, Table):
                continue
            columns = columns or part.columns
            if columns != part.columns:
                raise ValueError(f"the parts have different columns: {columns} and {part.columns}")
            for row in part.data:
                yield number, row
                number += 1


class JoinedTable:
    """Two tables, to be joined by a column.

    Attributes:
        table1, table2: the tables; the path of one that the version lacks.
        join_key: the name of the column, or its names in the two.
    """

    def __init__(self, table1: Any, table2: Any, join_key: Any) -> None:
        self.table1, self.table2 = table1, table2
        self.join_key = join_key


class Media:
    """A logged picture, sound, page, model, …: what is noted of it, and its file.

    Attributes:
        type: W&B's name, such as `image-file`.
        path: of its file in the version; None for one without a file.
    """

    def __init__(self, artifact: Artifact, type: str, noted: Mapping[str, Any]) -> None:  # noqa: A002 - W&B's word
        self._artifact = artifact
        self.type = type
        self._noted = noted
        path = noted.get("path")
        self.path = path if isinstance(path, str) else None

    def to_json(self) -> dict[str, Any]:
        """What is noted of it."""
        return dict(self._noted)

    def download(self, root: str | None = None) -> str:
        """Write its file below a folder; see `ArtifactManifestEntry.download`.

        Raises:
            CommError: it has none.
            NotMirrored: its bytes are not held.
        """
        if self.path is None:
            raise CommError(f"{self!r} has no file")
        return self._artifact.get_entry(self.path).download(root)

    def __repr__(self) -> str:
        """Its type and its file."""
        return f"<Media {self.type} {self.path}>"


Logged = Table | PartitionedTable | JoinedTable | Media


def get(artifact: Artifact, name: str) -> Logged | None:
    """The object of a name; None when the version has none.

    Raises:
        NotMirrored: its bytes are not held.
        CommError: its file is no such object, or a library that it takes is not installed.
    """
    entries = artifact.manifest.entries
    for kind in _TYPES:
        suffix = f".{kind}.json"
        entry = entries.get(name if name.endswith(suffix) else name + suffix)
        if entry is None:
            continue
        if entry.ref is not None and urlsplit(entry.ref).scheme == _IN_ARTIFACT:
            other, path = _referred(artifact, entry)
            return get(other, path)
        return _object(artifact, kind, entry)
    return None


def _object(artifact: Artifact, kind: str, entry: ArtifactManifestEntry) -> Logged:
    noted = _parsed(artifact, entry)
    try:
        if kind == "table":
            return Table(noted["columns"], _rows(artifact, noted))
        if kind == "partitioned-table":
            return PartitionedTable(artifact, noted["parts_path"])
        if kind == "joined-table":
            first, second = (get(artifact, noted[name]) or noted[name] for name in ("table1", "table2"))
            return JoinedTable(first, second, noted["join_key"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CommError(f"{entry.path!r} of {artifact.source_qualified_name} is no {kind}: {error!r}") from error
    return Media(artifact, kind, noted)


def _rows(artifact: Artifact, noted: Mapping[str, Any]) -> list[list[Any]]:
    """The rows of a table; one that was logged bit by bit lies in several files."""
    columns: list[Any] = noted["columns"]
    types = ((noted.get("column_types") or {}).get("params") or {}).get("type_map") or {}
    kinds = [list(_kinds(types.get(str(column)))) for column in columns]
    times = {place for place, some in enumerate(kinds) if any(kind.get("wb_type") == "timestamp" for kind in some)}
    arrays = {
        place: _array(artifact, stored)
        for place, some in enumerate(kinds)
        for kind in some
        if (stored := (kind.get("params") or {}).get("serialization_path")) is not None
    }
    rows = noted["data"] if noted.get("log_mode") != "INCREMENTAL" else _increments(artifact, noted)
    return [
        [
            arrays[place][number] if place in arrays else _time(cell) if place in times else cell
            for place, cell in enumerate(row)
        ]
        for number, row in enumerate(rows)
    ]


def _increments(artifact: Artifact, noted: Mapping[str, Any]) -> list[Any]:
    if noted.get("increment_num") is None:
        return []
    parts = [path for path in artifact.manifest.entries if path.endswith(".table.json")]
    rows: list[Any] = []
    for path in sorted(parts, key=_increment):
        rows += _parsed(artifact, artifact.manifest.entries[path])["data"]
    return rows


def _increment(path: str) -> tuple[int, int]:
    """Number and time of a part, of `NUMBER-MILLISECONDS.KEY.table.json`."""
    number, _, moment = path.split(".")[0].partition("-")
    try:
        return int(number), int(moment or 0)
    except ValueError:
        return 0, 0


def _kinds(described: Any) -> Iterator[Mapping[str, Any]]:
    """The types that a column's values may have."""
    if isinstance(described, Mapping):
        yield described
        for inner in (described.get("params") or {}).get("allowed_types") or ():
            yield from _kinds(inner)


def _array(artifact: Artifact, stored: Mapping[str, str]) -> Any:
    entry = artifact.get_entry(stored["path"])
    with artifact._local.objects.open(entry.content.held()) as file:
        return _library("numpy").load(file, allow_pickle=False)[stored["key"]]


def _time(cell: Any) -> Any:
    """W&B writes milliseconds since 1970."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return cell
    return dt.datetime.fromtimestamp(cell / 1000, tz=dt.UTC)


def _parsed(artifact: Artifact, entry: ArtifactManifestEntry) -> dict[str, Any]:
    with artifact._local.objects.open(entry.content.held()) as file:
        try:
            noted = json.load(file)
        except (ValueError, RecursionError) as error:
            raise CommError(f"{entry.path!r} of {artifact.source_qualified_name} is not JSON: {error}") from error
    if not isinstance(noted, dict):
        raise CommError(f"{entry.path!r} of {artifact.source_qualified_name} is no JSON object")
    return noted


def _referred(artifact: Artifact, entry: ArtifactManifestEntry) -> tuple[Artifact, str]:
    """The version that holds what an entry refers to, and the path in it; the address names it by its id in hex."""
    parts = urlsplit(entry.ref_target())
    try:
        wanted = base64.b64encode(binascii.unhexlify(parts.netloc)).decode()
    except binascii.Error as error:
        raise CommError(f"{entry.path!r} refers to {entry.ref!r}, which names no version") from error
    row = read_versions(artifact._local.reader, [wanted]).get(wanted)
    if row is None:
        raise NotMirrored(
            f"{entry.path!r} of {artifact.source_qualified_name} refers to a version that is not in this mirror",
            hint="pull a run that logged or used it",
        )
    return type(artifact)(artifact._local, row), parts.path.lstrip("/")


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CommError(f"{name} is not installed", hint=f"pip install {name}") from error
