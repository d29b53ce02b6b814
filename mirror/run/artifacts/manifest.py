"""The manifest of a version: its entries, each of which can be written out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mirror.records.artifacts import ManifestEntry, manifest_digest
from mirror.run.downloads import Content, check_name, write_out
from mirror.store.read.artifacts import EntryRow
from mirror.texts.values import parse_lenient

if TYPE_CHECKING:
    from mirror.run.artifacts.artifact import Artifact


class ArtifactManifestEntry:
    """One file of a version.

    Args:
        artifact: the version.
        row: the entry.
    """

    def __init__(self, artifact: Artifact, row: EntryRow) -> None:
        self.path = row.path
        self.digest = row.digest
        self.size = row.size
        self.ref = row.ref
        self.birth_artifact_id = row.birth_artifact_id
        extra = parse_lenient(row.extra)
        self.extra: dict[str, Any] = extra if isinstance(extra, dict) else {}
        self._artifact = artifact
        self._row = row

    @property
    def name(self) -> str:
        """The path."""
        return self.path

    @property
    def local_path(self) -> str | None:
        """None: the bytes lie in the mirror under their digest."""
        return None

    def parent_artifact(self) -> Artifact:
        """The version."""
        return self._artifact

    def download(self, root: str | None = None, skip_cache: bool | None = None) -> str:
        """Write the entry below a folder, whole and verified; one with other bytes is replaced.

        Args:
            root: the folder; None: the version's own one, as for `Artifact.download`.
            skip_cache: of no effect; there is no cache.

        Returns:
            Where it is.

        Raises:
            NotMirrored: its bytes are not held.
            ValueError: its path would leave the folder.
        """
        del skip_cache
        folder = root if root is not None else self._artifact._default_root()
        check_name(self.path, "artifact path")
        write_out(self._artifact._local.objects, [self.content], folder, replace=True)
        return str(Path(folder, self.path))

    @property
    def content(self) -> Content:
        """Its bytes, or why they are not held; the SDK has no such member."""
        return content_of(self._artifact, self._row)

    def ref_target(self) -> str:
        """What a reference refers to.

        Raises:
            ValueError: it is no reference.
        """
        if self.ref is None:
            raise ValueError("Only reference entries support ref_target().")
        return self.ref

    def to_json(self) -> dict[str, Any]:
        """The entry as the manifest has it."""
        found = {
            "path": self.path,
            "digest": self.digest,
            "ref": self.ref,
            "birthArtifactID": self.birth_artifact_id,
            "size": self.size,
            "extra": self.extra,
        }
        return {key: value for key, value in found.items() if value is not None}

    def __repr__(self) -> str:
        """As the SDK shows it."""
        shown = {"path": self.path, "digest": self.digest, "ref": self.ref, "birth_artifact_id": self.birth_artifact_id}
        shown |= {"size": self.size, "extra": self.extra or None}  # type: ignore[dict-item]
        return f"ArtifactManifestEntry({', '.join(f'{k}={v!r}' for k, v in shown.items() if v is not None)})"


class ArtifactManifest:
    """All entries of a version.

    Args:
        entries: by path.
        algorithm: of the version's digest.
    """

    manifest_version = 1

    def __init__(self, entries: Mapping[str, ArtifactManifestEntry], algorithm: str) -> None:
        self.entries = dict(entries)
        self.digest_algorithm = algorithm

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        """The paths."""
        return iter(self.entries)

    @property
    def storage_policy(self) -> None:
        """None: where the server keeps bytes is of no matter here."""
        return

    def get_entry_by_path(self, path: str) -> ArtifactManifestEntry | None:
        """The entry of a path; None when there is none."""
        return self.entries.get(path)

    def get_entries_in_directory(self, directory: str) -> list[ArtifactManifestEntry]:
        """The entries below a folder."""
        return [entry for path, entry in self.entries.items() if path.startswith(f"{directory}/")]

    def size(self) -> int:
        """Bytes of all entries whose size is known."""
        return sum(entry.size or 0 for entry in self.entries.values())

    def digest(self) -> str | None:
        """The version's digest as it follows from the entries; None where the algorithm is not known here."""
        records = (manifest_entry(entry._row) for entry in self.entries.values())
        return manifest_digest(records, self.digest_algorithm)


def manifest_entry(row: EntryRow) -> ManifestEntry:
    """The same as the value that knows the rules of digests."""
    return ManifestEntry(
        path=row.path,
        digest=row.digest,
        size=row.size,
        ref=row.ref,
        birth_artifact_id=row.birth_artifact_id,
        extra=row.extra,
    )


def content_of(artifact: Artifact, row: EntryRow) -> Content:
    """The bytes of an entry, or why they are not held and how to have them."""
    if row.object is not None and row.status in ("held", "gone"):
        return Content(name=row.path, object=row.object)
    what = f"{row.path!r} of {artifact.source_qualified_name} is not in this mirror: "
    if row.ref is not None:
        scheme = urlsplit(row.ref).scheme or "unknown"
        return Content(
            name=row.path,
            object=None,
            missing=f"{what}it is a reference ({scheme}) to {row.ref!r}, which only its own store has",
            hint="allow_missing_references=True leaves references out",
        )
    hint = f"`wandb-mirror pull {artifact._a_run}` fetches it"
    if row.status == "left_out":
        name = artifact.source_name.split(":")[0]
        hint += f", once artifacts_include of its source has {name!r} and artifact_size_max_mb lets it in"
    return Content(name=row.path, object=None, missing=what + (row.reason or row.status), hint=hint)
