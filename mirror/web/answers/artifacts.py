"""Artifacts: what a run logged and used, and one version with its files and its lineage."""

from __future__ import annotations

from typing import Any

from mirror.errors import NotMirrored
from mirror.gateway.context import RequestContext
from mirror.records.addresses import RunPath
from mirror.store.read.artifacts import (
    VersionRow,
    find_version,
    list_versions,
    read_entries,
    read_versions,
    run_version_ids,
    runs_of_version,
)
from mirror.texts.ordering import natural
from mirror.texts.values import parse_lenient
from mirror.web.addresses import object_address
from mirror.web.asked import Asked
from mirror.web.file_kinds import kind_of

_FILES_MOST = 10_000


def count_versions(ctx: RequestContext, path: RunPath) -> int:
    """How many versions a run logged and used."""
    return sum(len(_ids(ctx, path)[direction]) for direction in ("logged", "used"))


def artifacts(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """The versions that a run logged and used."""
    ids = _ids(ctx, asked.run())
    found = read_versions(ctx.lake, [one for some in ids.values() for one in some])
    return {direction: [_brief(found[one]) for one in some if one in found] for direction, some in ids.items()}


def artifact(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """One version, by `vN` or an alias.

    Raises:
        NotMirrored: it is not here.
    """
    entity, project, name = asked.text("entity"), asked.text("project"), asked.text("name")
    version = asked.text("version") or "latest"
    found = find_version(ctx.lake, entity, project, name, version)
    if found is None:
        raise NotMirrored(f"{entity}/{project}/{name}:{version} is not in this mirror")
    entries = read_entries(ctx.lake, found.artifact_id)
    others = [one for _, sequence, one in list_versions(ctx.lake, entity, project) if sequence == name]
    versions = read_versions(ctx.lake, others)
    return {
        **_brief(found),
        "description": found.description, "metadata": parse_lenient(found.metadata), "digest": found.digest,
        "tags": found.tags, "file_count": len(entries),
        "files": [
            {
                "path": entry.path, "kind": kind_of(entry.path),
                "size": entry.size, "digest": entry.digest, "held": entry.object is not None,
                "ref": entry.ref, "reason": entry.reason,
                "url": None if entry.object is None else object_address(found.artifact_id, entry.path),
            }
            for entry in entries[:_FILES_MOST]
        ],
        "logged_by": [list(path) for path in runs_of_version(ctx.lake, found.artifact_id, "logged")],
        "used_by": [list(path) for path in runs_of_version(ctx.lake, found.artifact_id, "used")],
        "versions": sorted((_brief(one)["version"] for one in versions.values()), key=natural, reverse=True),
    }  # fmt: skip


def _ids(ctx: RequestContext, path: RunPath) -> dict[str, list[str]]:
    return ctx.recall(
        ("versions", path),
        lambda lake: {
            "logged": run_version_ids(lake, path, "logged"),
            "used": run_version_ids(lake, path, "used"),
        },
        lambda ids: 100 + 60 * sum(map(len, ids.values())),
    )


def _brief(version: VersionRow) -> dict[str, Any]:
    return {
        "entity": version.entity, "project": version.project, "name": version.sequence, "type": version.type,
        "version": "" if version.version_index is None else f"v{version.version_index}", "aliases": version.aliases,
        "size": version.size, "state": version.state, "created_at": version.created_at,
    }  # fmt: skip
