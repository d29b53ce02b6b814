"""Versions of artifacts that a process makes against the gateway, from announcement to commit.

Their bytes lie in the recording of the run, and its log names them once they are all there. A version that is never
committed leaves files that nobody names.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mirror.errors import NotFound
from mirror.offline.recording import Recording
from mirror.records.artifacts import ManifestEntry, parse_manifest
from mirror.wandb_protocol.errors import RequestRefused

MANIFEST = "wandb_manifest.json"
MOST = 1_000  # versions on their way at once


class NewVersion:
    """One version on its way.

    Args:
        recording: of the run that makes it.
        given: the input of createArtifact.
    """

    def __init__(self, recording: Recording, given: Mapping[str, Any]) -> None:
        self.recording, self.given = recording, given
        self.files: dict[str, Path] = {}  # by name in the version


class NewVersions:
    """The versions on their way of one gateway; for any thread."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._versions: dict[str, NewVersion] = {}

    def begin(self, artifact_id: str, recording: Recording, given: Mapping[str, Any]) -> None:
        """Announce one; the same once more changes nothing.

        Raises:
            RequestRefused: too many are on their way.
        """
        with self._changing:
            if len(self._versions) >= MOST:
                raise RequestRefused(f"{MOST} versions of artifacts are on their way and not committed", status=429)
            self._versions.setdefault(artifact_id, NewVersion(recording, given))

    def get(self, artifact_id: str) -> NewVersion:
        """One of them.

        Raises:
            NotFound: it was not announced here, or is committed.
        """
        with self._changing:
            found = self._versions.get(artifact_id)
        if found is None:
            raise NotFound(f"no version of the id {artifact_id!r} is on its way here", hint="it is announced first")
        return found

    def stage(self, artifact_id: str, name: str, content: BinaryIO) -> None:
        """Take the bytes of a file.

        Raises:
            NotFound: the version is not on its way.
            StoreError: the disk is full or failing.
        """
        version = self.get(artifact_id)
        version.files[name] = version.recording.stage(artifact_id, name, content)

    def commit(self, artifact_id: str) -> NewVersion:
        """Have a version recorded that is whole.

        Raises:
            NotFound: it is not on its way.
            RequestRefused: a file of its manifest did not come, or the manifest.
            StoreError: the disk is full or failing.
        """
        version = self.get(artifact_id)
        if (path := version.files.get(MANIFEST)) is None:
            raise RequestRefused("the manifest of the version did not come here", status=400)
        try:
            manifest = parse_manifest(path.read_bytes())
        except ValueError as error:
            raise RequestRefused(f"the manifest of the version cannot be read: {error}", status=400) from error
        wanted = (entry.path for entry in manifest.entries if not entry.ref)
        if lacking := next((path for path in wanted if path not in version.files), None):
            raise RequestRefused(f"the bytes of {lacking!r} did not come here", status=400)

        def fill(artifact: Any) -> None:
            _fill(artifact, version)
            artifact.manifest.version = manifest.version
            artifact.manifest.storage_policy = manifest.storage_policy or ""
            layout = manifest.storage_layout
            if layout:
                artifact.manifest.storage_policy_config.add(key="storageLayout", value_json=f'"{layout}"')
            for entry in manifest.entries:
                _add(artifact.manifest.contents.add(), entry, version.files.get(entry.path))

        version.recording.write_artifact(fill)
        with self._changing:
            self._versions.pop(artifact_id, None)
        return version


def _fill(artifact: Any, version: NewVersion) -> None:
    given, path = version.given, version.recording.begun
    artifact.entity, artifact.project, artifact.run_id = path.entity, path.project, path.run_id
    artifact.name = (given.get("artifactCollectionNames") or [given.get("artifactCollectionName")])[0]
    artifact.type, artifact.digest = given["artifactTypeName"], given["digest"]
    told = {
        "description": "description", "metadata": "metadata", "clientID": "client_id",
        "sequenceClientID": "sequence_client_id", "distributedID": "distributed_id",
        "ttlDurationSeconds": "ttl_duration_seconds",
    }  # fmt: skip
    for field, name in told.items():
        if given.get(field):
            setattr(artifact, name, given[field])
    artifact.aliases.extend(alias["alias"] for alias in given.get("aliases") or ())
    artifact.tags.extend(tag["tagName"] for tag in given.get("tags") or ())


def _add(entry: Any, told: ManifestEntry, path: Path | None) -> None:
    entry.path, entry.digest, entry.size = told.path, told.digest, told.size or 0
    entry.ref, entry.birth_artifact_id = told.ref or "", told.birth_artifact_id or ""
    entry.local_path = "" if path is None else str(path)
    for key, value in told.extras.items():
        entry.extra.add(key=key, value_json=value)
