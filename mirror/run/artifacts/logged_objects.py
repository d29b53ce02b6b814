"""What `wandb.log` and `Artifact.add` wrote into a version under a name: tables and media, by `Artifact.get`.

W&B keeps such an object as a JSON file whose name ends with its type, `NAME.table.json`, and the bytes that belong to
it as files of their own beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from mirror.errors import CommError, NotMirrored
from mirror.run.artifacts.manifest import ArtifactManifestEntry
from mirror.run.artifacts.table import Table, table_of
from mirror.store.read.artifacts import read_versions

if TYPE_CHECKING:
    from mirror.run.artifacts.artifact import Artifact

# In the order in which a name is looked for; what the SDK may find under it.
_TYPES = (
    "table", "partitioned-table", "joined-table", "eval-table", "image-file", "audio-file", "video-file", "html-file",
    "object3D-file", "molecule-file", "bokeh-file", "plotly-file", "graph-file", "classes", "mask", "bounding-boxes",
    "histogram", "wb_trace_tree", "sklearn-model-file", "pytorch-model-file", "tfkeras-model-file",
)  # fmt: skip
_IN_ARTIFACT = "wandb-artifact"  # scheme of a reference to a file of another version


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
            rows = noted["data"] if noted.get("log_mode") != "INCREMENTAL" else _increments(artifact, noted)
            return table_of(noted, rows, lambda path: _opened(artifact, path))
        if kind == "partitioned-table":
            return PartitionedTable(artifact, noted["parts_path"])
        if kind == "joined-table":
            first, second = (get(artifact, noted[name]) or noted[name] for name in ("table1", "table2"))
            return JoinedTable(first, second, noted["join_key"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CommError(f"{entry.path!r} of {artifact.source_qualified_name} is no {kind}: {error!r}") from error
    return Media(artifact, kind, noted)


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


def _opened(artifact: Artifact, path: str) -> BinaryIO:
    return artifact._local.objects.open(artifact.get_entry(path).content.held())


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
