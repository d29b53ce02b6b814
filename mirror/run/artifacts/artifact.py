"""Versions of artifacts: found by name, their files, manifest and bytes as far as they are mirrored."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.errors import NotMirrored
from mirror.run.artifacts.changes import ArtifactChanges
from mirror.run.artifacts.files import ArtifactFiles, files_below, verify_folder
from mirror.run.artifacts.manifest import ArtifactManifest, ArtifactManifestEntry
from mirror.run.artifacts.queued import find_shown
from mirror.run.downloads import check_name, write_out
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.absent import only_server_knows, unmirrored_field
from mirror.run.sdk.pages import check_start
from mirror.store.read.artifacts import no_manifest, read_entries, runs_of_version
from mirror.store.read.projects import is_mirrored
from mirror.texts.typed_paths import in_shell
from mirror.texts.values import storable

if TYPE_CHECKING:
    from mirror.run.artifacts.collections import ArtifactCollection
    from mirror.run.artifacts.logged_objects import Logged
    from mirror.run.run import Run


class Artifact(ArtifactChanges):
    """A version of an artifact that exists upstream, for reading."""

    @classmethod
    def named(
        cls,
        local: LocalMirror,
        path: tuple[str, str, str],
        type: str | None = None,  # noqa: A002 - the SDK's name
    ) -> Artifact:
        """A version by its path.

        Args:
            local: the mirror.
            path: entity, project and `collection:v3`, with an alias in place of the version, or without; then it is
                `latest`.
            type: what it must be.

        Raises:
            NotMirrored: there is no such version here.
            ValueError: the version is of another type.
        """
        entity, project, wanted = path
        sequence, _, version = wanted.partition(":")
        row = find_shown(local, (entity, project, storable(sequence)), storable(version or "latest"))
        if row is None:
            raise _missing(local, entity, project, wanted)
        if type is not None and row.type != type:
            raise ValueError(f"type {type!r} specified but this artifact is of type {row.type!r}")
        return cls(local, row, wanted if version else None)

    @property
    def source_artifact(self) -> Artifact:
        """Itself."""
        return self

    @property
    def collection(self) -> ArtifactCollection:
        """The collection that it was made in."""
        from mirror.run.artifacts.collections import ArtifactCollection

        return ArtifactCollection(self._local, self.entity, self.project, self._row.sequence, self.type, listed=True)

    source_collection = collection

    @property
    def size(self) -> int:
        """Bytes of all its files, references included."""
        return self._row.size if self._row.size is not None else self.manifest.size()

    @property
    def file_count(self) -> int:
        """Files and references."""
        return self._row.file_count if self._row.file_count is not None else len(self.manifest)

    def wait(self, timeout: int | None = None) -> Artifact:
        """Itself: it is saved."""
        del timeout
        return self

    @cached_property
    def manifest(self) -> ArtifactManifest:
        """All its entries.

        Raises:
            NotMirrored: they are not held.
        """
        rows = read_entries(self._local.reader, self.id)
        if not rows and self._row.manifest is None:
            raise no_manifest(self.source_qualified_name, self.entity, self.project)
        entries = {row.path: ArtifactManifestEntry(self, row) for row in rows}
        return ArtifactManifest(entries, self.digest_algorithm)

    def get_entry(self, name: str | os.PathLike[str]) -> ArtifactManifestEntry:
        """One entry.

        Raises:
            KeyError: there is none of this path.
        """
        path = os.fspath(name).replace(os.sep, "/")
        entry = self.manifest.entries.get(storable(path))
        if entry is None:
            raise KeyError(f"Path not contained in artifact: {path}")
        return entry

    def get_path(self, name: str | os.PathLike[str]) -> ArtifactManifestEntry:
        """The same as `get_entry`."""
        return self.get_entry(name)

    def get(self, name: str) -> Logged | None:
        """What was logged into the version under a name: a table, a picture, …; see `logged_objects`.

        Args:
            name: as it was given to `Artifact.add`, or the key that `wandb.log` had.

        Returns:
            A `Table` with `columns`, `data` and `get_dataframe()`, and no object of the SDK's; None when the version
            has nothing of that name.

        Raises:
            NotMirrored: its bytes are not held.
            CommError: its file is not what its name says.
        """
        from mirror.run.artifacts.logged_objects import get

        return get(self, name)

    def __getitem__(self, name: str) -> Logged | None:
        """The same as `get`."""
        return self.get(name)

    @property
    def linked_at(self) -> str | None:
        """None: it is no link."""
        return None

    @property
    def linked_artifacts(self) -> list[Artifact]:
        """Never an answer.

        Raises:
            NotMirrored: only the server knows who links to a version.
        """
        raise only_server_knows(f"links to {self} are")

    @property
    def ttl(self) -> dt.timedelta | None:
        """Never an answer.

        Raises:
            NotMirrored: only the server knows when a version ends; also an `AttributeError`.
        """
        raise unmirrored_field("ttl", self)

    def files(self, names: Sequence[str] | None = None, per_page: int = 50, start: str | None = None) -> ArtifactFiles:
        """Its files, by path.

        Args:
            names: only these; none for all.
            per_page: files read at a time.
            start: not possible here: a cursor is the server's.

        Raises:
            CommError: a cursor is given.
        """
        check_start(start)
        return ArtifactFiles(self._local, self, names, per_page)

    def file(self, root: str | None = None) -> str:
        """Write the only file of the version below a folder.

        Returns:
            Where it is.

        Raises:
            ValueError: it has none, or more than one.
            NotMirrored: its bytes are not held.
        """
        entries = list(self.manifest.entries.values())
        if len(entries) != 1:
            raise ValueError(
                f"This artifact contains {'no' if not entries else 'more than one'} file, call `.download()` to get all"
                ' files or call .get_entry("filename").download()'
            )
        return entries[0].download(root)

    def download(
        self,
        root: str | os.PathLike[str] | None = None,
        allow_missing_references: bool = False,
        skip_cache: bool | None = None,
        path_prefix: str | os.PathLike[str] | None = None,
        multipart: bool | None = None,
    ) -> str:
        """Write its files below a folder. Either all bytes are held, or nothing is written.

        Args:
            root: the folder; None: `./artifacts/NAME:vN`. What else is in it stays; files of other bytes are replaced.
            allow_missing_references: leave out references, whose bytes only their own stores have.
            skip_cache: of no effect; there is no cache.
            path_prefix: only entries whose path begins so.
            multipart: of no effect.

        Returns:
            The folder.

        Raises:
            NotMirrored: bytes are not held; the message says of which file and why, the hint how to have them.
            ValueError: a path would leave the folder.
            StoreError: the mirror's bytes are damaged, or the disk is full.
        """
        del skip_cache, multipart
        folder = os.fspath(root) if root else self._default_root()
        prefix = "" if path_prefix is None else os.fspath(path_prefix)
        wanted = [entry for path, entry in self.manifest.entries.items() if path.startswith(prefix)]
        contents = [
            entry.content
            for entry in wanted
            if not (allow_missing_references and entry.ref is not None and entry.content.object is None)
        ]
        for content in contents:
            check_name(content.name, "artifact path")
        write_out(self._local.objects, contents, folder, replace=True)
        return folder

    def checkout(self, root: str | None = None) -> str:
        """Make a folder hold the version's files and no others: **files that are not its own are removed**.

        Args:
            root: the folder; None: `./artifacts/NAME`.

        Returns:
            The folder.

        Raises:
            NotMirrored: bytes are not held; nothing was removed or written.
            ValueError: a path would leave the folder.
            StoreError: the mirror's bytes are damaged, or the disk is full.
        """
        folder = root or self._default_root(with_version=False)
        for entry in self.manifest.entries.values():
            entry.content.held()
            check_name(entry.path, "artifact path")
        for path in list(files_below(folder)):
            if storable(path.as_posix()) not in self.manifest.entries:
                Path(folder, path).unlink()
        return self.download(folder)

    def verify(self, root: str | None = None) -> None:
        """Compare a folder with the manifest: every file and nothing else, byte for byte; references are not looked at.

        Args:
            root: the folder; None: where `download` puts it.

        Raises:
            ValueError: a file is missing, is too many, or has other bytes.
        """
        verify_folder(self, root or self._default_root())

    # Its runs.

    def logged_by(self) -> Run:
        """The run that made it; of several that logged it, the oldest.

        Raises:
            NotMirrored: no mirrored run logged it. The SDK's None, for "a user made it", cannot be told from that.
        """
        from mirror.run.run import Run

        found = runs_of_version(self._local.reader, self.id, "logged")
        if not found:
            typed = in_shell(self.entity, self.project)
            raise NotMirrored(
                f"no run in this mirror logged {self.source_qualified_name}",
                hint=f"`wandb-mirror pull --source {typed}` fetches the runs of its project",
            )
        return Run(self._local, found[0])

    def used_by(self) -> list[Run]:
        """The runs in this mirror that used it, oldest first; the server may know of more."""
        from mirror.run.run import Run

        return [Run(self._local, path) for path in runs_of_version(self._local.reader, self.id, "used")]

    @cached_property
    def _a_run(self) -> str:
        """A run whose pull looks at this version again, for a hint."""
        reader = self._local.reader
        found = runs_of_version(reader, self.id, "logged") or runs_of_version(reader, self.id, "used")
        return in_shell(*found[0]) if found else f"--source {in_shell(self.entity, self.project)}"

    def _default_root(self, *, with_version: bool = True) -> str:
        check_name(self.source_name[2:] if self.source_name[1:2] == ":" else self.source_name, "artifact name")
        name = self.source_name if with_version else self._row.sequence
        name = name.replace(":", "-") if os.name == "nt" else name
        return str(Path(os.path.abspath(os.environ.get("WANDB_ARTIFACT_DIR") or "artifacts"), name))


def _missing(local: LocalMirror, entity: str, project: str, wanted: str) -> NotMirrored:
    hint = (
        f"it is not in this mirror: `wandb-mirror pull --source {in_shell(entity, project)}` fetches what its runs have"
    )
    if not is_mirrored(local.reader, entity, project):
        return NotMirrored(f"project {project!r} not found under entity {entity!r}", hint=hint)
    return NotMirrored(f"artifact membership {wanted!r} not found in '{entity}/{project}'", hint=hint)
