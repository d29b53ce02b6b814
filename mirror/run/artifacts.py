"""Versions of artifacts: facts, files, manifest and bytes, as far as they are mirrored."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from mirror.errors import NotMirrored
from mirror.records.artifacts import MANIFEST_MD5
from mirror.records.operations import LogArtifact, UseArtifact
from mirror.records.texts import parse_lenient, storable
from mirror.run.artifact_files import ArtifactFiles, verify_folder
from mirror.run.downloads import check_name, write_out
from mirror.run.local import LocalMirror
from mirror.run.manifest import ArtifactManifest, ArtifactManifestEntry
from mirror.run.pages import SizedPages
from mirror.store.artifact_rows import (
    VersionRow,
    find_version,
    read_entries,
    read_versions,
    run_version_ids,
    runs_of_version,
)
from mirror.store.file_rows import why_unlisted
from mirror.store.run_rows import is_mirrored

if TYPE_CHECKING:
    from mirror.run.collections import ArtifactCollection
    from mirror.run.contents import RunContents
    from mirror.run.run import Run

_LISTING = ("artifacts", "contents")  # as a pull names what it failed at
_VERSION = re.compile(r"v\d+")


class Artifact:
    """A version of an artifact that exists upstream, for reading.

    Args:
        local: the mirror.
        row: what is held of it.
        name: `collection:v3`, or with the alias by which it was asked for; None: its own.
        aliases: given to it by what is queued.
        tags: given to it by what is queued.
    """

    def __init__(
        self,
        local: LocalMirror,
        row: VersionRow,
        name: str | None = None,
        *,
        aliases: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> None:
        self._local = local
        self._row = row
        self._name = name
        self._aliases = [alias for alias in dict.fromkeys([*row.aliases, *aliases]) if not _VERSION.fullmatch(alias)]
        self._tags = list(dict.fromkeys([*row.tags, *tags]))
        metadata = parse_lenient(row.metadata)
        self._metadata: dict[str, Any] = metadata if isinstance(metadata, dict) else {}

    @classmethod
    def named(
        cls,
        local: LocalMirror,
        name: str,
        type: str | None = None,  # noqa: A002 - the SDK's name
        *,
        entity: str | None,
        project: str | None,
        default: Callable[[], tuple[str | None, str | None]],
    ) -> Artifact:
        """A version by its path.

        Args:
            local: the mirror.
            name: `entity/project/collection:v3`, with an alias in place of the version, or without; then it is
                `latest`. What is left out in front is stood in for.
            type: what it must be.
            entity: stands in where the path names none.
            project: stands in where the path names none.
            default: asked for what is still needed then.

        Raises:
            NotMirrored: there is no such version here.
            ValueError: the path is none, or the version is of another type.
        """
        entity, project, wanted = _parsed(name, entity, project, default)
        sequence, _, version = wanted.partition(":")
        row = find_version(local.reader, entity, project, storable(sequence), storable(version or "latest"))
        if row is None:
            raise _missing(local, entity, project, wanted)
        if type is not None and row.type != type:
            raise ValueError(f"type {type!r} specified but this artifact is of type {row.type!r}")
        return cls(local, row, wanted if version else None)

    # What it is called.

    @property
    def id(self) -> str:
        """W&B's opaque id."""
        return self._row.artifact_id

    @property
    def entity(self) -> str:
        """Of the collection."""
        return self._row.entity or ""

    @property
    def project(self) -> str:
        """Of the collection."""
        return self._row.project or ""

    @property
    def name(self) -> str:
        """`collection:v3`, or with the alias by which it was asked for."""
        return self._name or self.source_name

    @property
    def qualified_name(self) -> str:
        """`entity/project/name`."""
        return f"{self.entity}/{self.project}/{self.name}"

    @property
    def version(self) -> str:
        """`v3`."""
        return f"v{self._row.version_index}"

    source_entity = entity
    source_project = project
    source_version = version

    @property
    def source_name(self) -> str:
        """`collection:v3`."""
        return f"{self._row.sequence}:{self.version}"

    @property
    def source_qualified_name(self) -> str:
        """`entity/project/collection:v3`."""
        return f"{self.entity}/{self.project}/{self.source_name}"

    @property
    def is_link(self) -> bool:
        """False: a mirror knows a version by the collection that it was made in."""
        return False

    @property
    def source_artifact(self) -> Artifact:
        """Itself."""
        return self

    @property
    def collection(self) -> ArtifactCollection:
        """The collection that it was made in."""
        from mirror.run.collections import ArtifactCollection

        return ArtifactCollection(self._local, self.entity, self.project, self._row.sequence, self.type)

    source_collection = collection

    @property
    def url(self) -> str:
        """The address of its page on the server."""
        row = self._row
        place = f"{quote(row.type)}/{quote(row.sequence)}/{self.version}"
        return f"{self._local.app_url}{self.entity}/{self.project}/artifacts/{place}"

    # What is known of it.

    @property
    def type(self) -> str:
        """Such as `model` or `dataset`."""
        return self._row.type

    @property
    def state(self) -> str:
        """`COMMITTED`, `PENDING` or `DELETED`."""
        return self._row.state

    @property
    def aliases(self) -> list[str]:
        """Names that point to it, `latest` among them."""
        return self._aliases

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return self._tags

    @property
    def metadata(self) -> dict[str, Any]:
        """What its maker noted."""
        return self._metadata

    @property
    def description(self) -> str | None:
        """A text for people."""
        return self._row.description

    @property
    def digest(self) -> str:
        """Hex, over the whole manifest."""
        return self._row.digest

    @property
    def digest_algorithm(self) -> str:
        """`MANIFEST_MD5` or `MANIFEST_XXH128`."""
        return self._row.digest_algorithm or MANIFEST_MD5

    @property
    def size(self) -> int:
        """Bytes of all its files, references included."""
        return self._row.size if self._row.size is not None else self.manifest.size()

    @property
    def file_count(self) -> int:
        """Files and references."""
        return self._row.file_count if self._row.file_count is not None else len(self.manifest)

    @property
    def commit_hash(self) -> str | None:
        """What the server returned when it was committed."""
        return self._row.commit_hash

    @property
    def created_at(self) -> str | None:
        """As the server sent it; UTC."""
        return self._row.created_at

    @property
    def updated_at(self) -> str | None:
        """As the server sent it; UTC."""
        return self._row.updated_at or self._row.created_at

    @property
    def history_step(self) -> int | None:
        """The nearest step that its run had logged."""
        return None if self._row.history_step is None else max(0, self._row.history_step - 1)

    def is_draft(self) -> bool:
        """Whether it is not saved yet."""
        return self.state == "PENDING"

    def wait(self, timeout: int | None = None) -> Artifact:
        """Itself: it is saved."""
        del timeout
        return self

    def json_encode(self) -> dict[str, Any]:
        """How a run's config or summary refers to it."""
        return {
            "_type": "artifactVersion",
            "_version": "v0",
            "id": self.id,
            "version": self.version,
            "sequenceName": self._row.sequence,
            "usedAs": None,
        }

    # What it contains.

    @cached_property
    def manifest(self) -> ArtifactManifest:
        """All its entries.

        Raises:
            NotMirrored: they are not held.
        """
        rows = read_entries(self._local.reader, self.id)
        if not rows and self._row.manifest is None:
            raise NotMirrored(
                f"the manifest of {self.source_qualified_name} is not in this mirror",
                hint=f"`wandb-mirror pull --source {self.entity}/{self.project}` tries to fetch it",
            )
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

    def files(self, names: Sequence[str] | None = None, per_page: int = 50) -> ArtifactFiles:
        """Its files, by path.

        Args:
            names: only these; none for all.
            per_page: files read at a time.
        """
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
            raise NotMirrored(
                f"no run in this mirror logged {self.source_qualified_name}",
                hint=f"`wandb-mirror pull --source {self.entity}/{self.project}` fetches the runs of its project",
            )
        return Run(self._local, found[0])

    def used_by(self) -> list[Run]:
        """The runs in this mirror that used it, oldest first; the server may know of more."""
        from mirror.run.run import Run

        return [Run(self._local, path) for path in runs_of_version(self._local.reader, self.id, "used")]

    def __repr__(self) -> str:
        """Its name and type."""
        return f"<Artifact {self.qualified_name} ({self.type})>"

    def _default_root(self) -> str:
        check_name(self.source_name[2:] if self.source_name[1:2] == ":" else self.source_name, "artifact name")
        name = self.source_name.replace(":", "-") if os.name == "nt" else self.source_name
        return str(Path(os.path.abspath(os.environ.get("WANDB_ARTIFACT_DIR") or "artifacts"), name))


class RunArtifacts(SizedPages[Artifact]):
    """The versions that a run logged or used. Which ones is settled by the first look; queued ones come last.

    Args:
        local: the mirror.
        run: whose versions.
        mode: "logged" or "used".
        per_page: versions read at a time.

    Raises:
        ValueError: the mode is another.
    """

    def __init__(
        self, local: LocalMirror, run: RunContents, mode: Literal["logged", "used"] = "logged", per_page: int = 50
    ) -> None:
        if mode not in ("logged", "used"):
            raise ValueError("mode must be logged or used")
        super().__init__(per_page)
        self._local = local
        self.run = run
        self._mode = mode

    @cached_property
    def _queued(self) -> dict[str, list[LogArtifact | UseArtifact]]:
        kind = LogArtifact if self._mode == "logged" else UseArtifact
        found: dict[str, list[LogArtifact | UseArtifact]] = {}
        for item in self._local.pending(self.run._run_path):
            if item.is_shown and isinstance(item.operation, LogArtifact | UseArtifact) and type(item.operation) is kind:
                found.setdefault(item.operation.artifact_id, []).append(item.operation)
        return found

    @cached_property
    def _ids(self) -> list[str]:
        queued = self._queued  # before the lake: see `LocalMirror.pending`
        path = self.run._run_path
        held = run_version_ids(self._local.reader, path, self._mode)
        if not held and (reason := why_unlisted(self._local.reader, path, _LISTING)) is not None:
            raise NotMirrored(
                f"the artifacts of {'/'.join(path)} are not in this mirror: {reason}",
                hint=f"`wandb-mirror pull {'/'.join(path)}` tries again",
            )
        more = [artifact_id for artifact_id in queued if artifact_id not in set(held)]
        known = read_versions(self._local.reader, more) if more else {}
        return [*held, *(artifact_id for artifact_id in more if artifact_id in known)]

    def _count(self) -> int:
        return len(self._ids)

    def _read(self, start: int, stop: int) -> Sequence[Artifact]:
        ids = self._ids[start:stop]
        rows = read_versions(self._local.reader, ids)
        return [self._artifact(rows[artifact_id]) for artifact_id in ids]

    def _artifact(self, row: VersionRow) -> Artifact:
        given = [item for item in self._queued.get(row.artifact_id, ()) if isinstance(item, LogArtifact)]
        return Artifact(
            self._local,
            row,
            aliases=[alias for item in given for alias in item.aliases],
            tags=[tag for item in given for tag in item.tags],
        )


def _parsed(
    name: str, entity: str | None, project: str | None, default: Callable[[], tuple[str | None, str | None]]
) -> tuple[str, str, str]:
    """Entity, project and `collection:version` out of a path; an alias may hold slashes."""
    if not name:
        raise ValueError("You must specify name= to fetch an artifact.")
    place, mark, alias = name.partition(":")
    parts = place.split("/")
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"Invalid artifact path: {name!r}")
    given: list[str | None] = [entity, project]
    given = [*given[: 3 - len(parts)], *parts[:-1]]
    if not all(given):
        given = [chosen or known for chosen, known in zip(given, default(), strict=True)]
    if not given[0]:
        raise ValueError("Could not determine entity. Please include the entity as part of the artifact name path.")
    return given[0], given[1] or "uncategorized", f"{parts[-1]}{mark}{alias}"


def _missing(local: LocalMirror, entity: str, project: str, wanted: str) -> NotMirrored:
    hint = f"`wandb-mirror pull --source {entity}/{project}` fetches what its runs logged and used"
    if not is_mirrored(local.reader, entity, project):
        return NotMirrored(f"project {project!r} not found under entity {entity!r} in this mirror", hint=hint)
    return NotMirrored(f"artifact membership {wanted!r} not found in '{entity}/{project}' in this mirror", hint=hint)
