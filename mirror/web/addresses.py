"""Addresses of bytes on the page: a run's file by its name, an artifact's by its path. Pure."""

from __future__ import annotations

from urllib.parse import quote

from mirror.records.addresses import RunPath

FILES = "/-/file/"
ARTIFACT_FILES = "/-/artifact-file/"


def file_address(path: RunPath, name: str) -> str:
    """Of a file of a run."""
    return FILES + "/".join(quote(part, safe="") for part in (*path, name))


def object_address(artifact_id: str, path: str) -> str:
    """Of a file of an artifact."""
    return ARTIFACT_FILES + "/".join(quote(part, safe="") for part in (artifact_id, path))
