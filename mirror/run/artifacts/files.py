"""Files of a version as `File` objects, and a folder compared with a version."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import xxhash

from mirror.run.artifacts.manifest import content_of, manifest_entry
from mirror.run.downloads import check_name
from mirror.run.files import File
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.pages import SizedPages
from mirror.store.read.artifacts import EntryRow, list_entry_paths, read_entries
from mirror.texts.values import storable

if TYPE_CHECKING:
    from mirror.run.artifacts.artifact import Artifact


class ArtifactFiles(SizedPages[File]):
    """Files of a version, by path.

    Args:
        local: the mirror.
        artifact: the version.
        names: only these; none for all.
        per_page: files read at a time.
    """

    def __init__(
        self, local: LocalMirror, artifact: Artifact, names: Sequence[str] | None = None, per_page: int = 50
    ) -> None:
        super().__init__(per_page)
        self._local = local
        self.artifact = artifact
        self._wanted = list(names or ())

    @property
    def path(self) -> list[str]:
        """Entity, project and name of the version."""
        return [self.artifact.entity, self.artifact.project, self.artifact.name]

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<ArtifactFiles {'/'.join(self.path)} ({len(self)})>"

    @cached_property
    def _paths(self) -> list[str]:
        if self._wanted:
            return list_entry_paths(self._local.reader, self.artifact.id, [storable(name) for name in self._wanted])
        found = list_entry_paths(self._local.reader, self.artifact.id)
        return found or list(self.artifact.manifest.entries)  # which tells "none" from "not mirrored"

    def _count(self) -> int:
        return len(self._paths)

    def _read(self, start: int, stop: int) -> Sequence[File]:
        return [self._file(row) for row in read_entries(self._local.reader, self.artifact.id, self._paths[start:stop])]

    def _file(self, row: EntryRow) -> File:
        attrs = {
            "id": None,
            "name": row.path,
            "url": row.ref or f"{self.artifact.url}/files/{quote(row.path)}",
            "directUrl": row.ref,
            "sizeBytes": row.size or 0,
            "mimetype": mimetypes.guess_type(row.path)[0] or "",
            "updatedAt": self.artifact.created_at,
            "digest": row.digest,
            "md5": row.digest,  # as W&B has it: of a reference whatever stands for its bytes
        }
        return File(self._local, attrs, content_of(self.artifact, row))


def files_below(root: str) -> Iterator[Path]:
    """Files of a folder and of all below it, as paths from it."""
    for folder, _, names in os.walk(root):
        for name in names:
            yield Path(folder, name).relative_to(root)


def verify_folder(artifact: Artifact, root: str) -> None:
    """Compare a folder with a version.

    Raises:
        ValueError: a file is missing, is too many, or has other bytes.
    """
    entries = artifact.manifest.entries
    for path in files_below(root):
        if storable(path.as_posix()) not in entries:
            raise ValueError(f"Found file {Path(root, path)} which is not a member of artifact {artifact.name}")
    for entry in entries.values():
        if entry.ref is not None:
            continue
        check_name(entry.path, "artifact path")
        path = Path(root, entry.path)
        if not path.is_file():
            raise ValueError(f"Missing file: {entry.path}")
        if _digest(path, manifest_entry(entry._row).algorithm) != entry.digest:
            raise ValueError(f"Digest mismatch for file: {entry.path}")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        hasher = hashlib.file_digest(
            file, xxhash.xxh128 if algorithm == "xxh128" else lambda: hashlib.md5(usedforsecurity=False)
        )
    return base64.b64encode(hasher.digest()).decode()
