"""Artifact versions that a run logged without a server: their manifest and their bytes, held before anybody cleans up.

The SDK copies what is added to an artifact into a folder of its own for staging, and its log names the copies.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from mirror.records.artifacts import COMMITTED, LOCAL, MANIFEST_MD5, ArtifactRecord, ManifestEntry
from mirror.records.contents import ArtifactChange, ArtifactFileRow
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import open_regular, take_in
from mirror.texts.values import dump_strict, parse_lenient


def local_id(artifact: Any) -> str:
    """The id of a version until the server gives one: made of the client's own, which the server is told."""
    return f"{LOCAL}{artifact.client_id or artifact.digest}"


def is_local(artifact_id: str) -> bool:
    """Whether a version is known to no server yet."""
    return artifact_id.startswith(LOCAL)


def take_artifact(
    objects: Objects,
    artifact: Any,
    *,
    entity: str,
    project: str,
    version: int | None,
    at: dt.datetime | None,
    moved: Mapping[str, str] | None = None,
) -> ArtifactChange:
    """A version with its bytes, copied into the objects.

    Args:
        objects: of the home.
        artifact: the `Artifact` of the log.
        entity, project: where it was logged.
        version: which one it is going to be, as far as the mirror can tell.
        at: when it was logged, about, UTC.
        moved: where files are now, by the paths that the log names; no others are opened. None: where it names them.
    """
    files: tuple[ArtifactFileRow, ...] | None = None
    manifest = None  # the version is shown all the same, and not delivered without it
    with contextlib.suppress(OSError, ValueError, EOFError, zlib.error):
        entries = list(_entries(artifact, moved))
        files = tuple(_file(objects, entry, _place(path, moved)) for entry, path in entries)
        manifest = objects.put_bytes(manifest_json(artifact, [file.entry for file in files]).encode())
    record = ArtifactRecord(
        artifact_id=local_id(artifact), entity=artifact.entity or entity, project=artifact.project or project,
        sequence=artifact.name, type=artifact.type, version_index=version, state=COMMITTED, digest=artifact.digest,
        digest_algorithm=MANIFEST_MD5, aliases=tuple(artifact.aliases), tags=tuple(artifact.tags),
        metadata_text=artifact.metadata or None, description=artifact.description or None,
        size=sum(file.entry.size or 0 for file in files or ()), file_count=None if files is None else len(files),
        commit_hash=None, history_step=None,
        created_at=at, created_at_text=None, updated_at=at, updated_at_text=None,
    )  # fmt: skip
    return ArtifactChange(record=record, manifest=manifest, files=files)


def manifest_json(artifact: Any, entries: list[ManifestEntry]) -> str:
    """The manifest as W&B's client uploads it."""
    config = {item.key: parse_lenient(item.value_json) for item in artifact.manifest.storage_policy_config}
    return json.dumps(
        {
            "version": artifact.manifest.version or 1,
            "storagePolicy": artifact.manifest.storage_policy or "wandb-storage-policy-v1",
            "storagePolicyConfig": config,
            "contents": {entry.path: _wire(entry) for entry in entries},
        },
        ensure_ascii=False,
    )


def _wire(entry: ManifestEntry) -> dict[str, Any]:
    told = {
        "digest": entry.digest, "birthArtifactID": entry.birth_artifact_id, "ref": entry.ref,
        "extra": parse_lenient(entry.extra), "size": entry.size,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _entries(artifact: Any, moved: Mapping[str, str] | None) -> Iterator[tuple[ManifestEntry, str]]:
    """The entries, each with the path of its bytes on the machine that trained; empty: there is none.

    Raises:
        OSError, ValueError, EOFError, zlib.error: the file that the manifest is in is gone, or damaged.
    """
    for entry in artifact.manifest.contents:
        extra = {item.key: parse_lenient(item.value_json) for item in entry.extra}
        yield _entry(entry.path, entry.digest, entry.size, entry.ref, entry.birth_artifact_id, extra), entry.local_path
    path = artifact.manifest.manifest_file_path  # of a manifest that is too large for a message
    if path:
        with open_regular(_place(path, moved)) as file, gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                told = json.loads(line)
                entry = _entry(
                    told.get("path", ""), told.get("digest", ""), int(told.get("size") or 0), told.get("ref", ""),
                    told.get("birthArtifactID", ""), told.get("extra") or {},
                )  # fmt: skip
                yield entry, told.get("local_path") or told.get("localPath") or ""


def _place(path: str, moved: Mapping[str, str] | None) -> str:
    return path if moved is None else moved.get(path, "")


def _entry(path: str, digest: str, size: int, ref: str, birth: str, extra: dict[str, Any]) -> ManifestEntry:
    return ManifestEntry(
        path=path, digest=digest, size=size, ref=ref or None, birth_artifact_id=birth or None,
        extra=dump_strict(extra) if extra else None,
    )  # fmt: skip


def _file(objects: Objects, entry: ManifestEntry, path: str) -> ArtifactFileRow:
    if entry.ref is not None:
        return ArtifactFileRow(entry=entry, object=None, status="left_out", reason="W&B does not hold its bytes")
    try:
        taken = take_in(objects, path)
    except OSError as error:
        reason = f"{path or 'its file'} cannot be read: {error.strerror}"
    else:
        if entry.md5_hex in (None, base64.b64decode(taken.md5).hex()):
            return ArtifactFileRow(entry=entry, object=taken.object, status="held")
        reason = f"{path} has changed since it was logged"
    return ArtifactFileRow(entry=entry, object=None, status="failed", reason=reason)
