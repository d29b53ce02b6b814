"""Reads of the SDK's public API about artifacts and sweeps."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract import test_local_api_equals_sdk as local
from tests.contract.conftest import ENTITY

PATH = f"{ENTITY}/local proj"
SWEEP = "sw eep1"
Call = Callable[[Any], Any]


def _some(api: Any, name: str = "set-1:latest") -> Any:
    return api.artifact(f"{PATH}/{name}")


def _tree(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _downloaded(artifact: Any, **arguments: Any) -> dict[str, bytes]:
    """Without the SDK's cache, which holds what another server gave."""
    with tempfile.TemporaryDirectory() as folder:
        artifact.download(folder, skip_cache=True, allow_missing_references=True, **arguments)
        return _tree(folder)


def _verified(artifact: Any) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        artifact.download(folder, skip_cache=True, allow_missing_references=True)
        artifact.verify(folder)
    return True


def _entry(artifact: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return Path(artifact.get_entry("b/twin.txt").download(folder, skip_cache=True)).read_bytes()


def _files(artifact: Any, **arguments: Any) -> list[Any]:
    """Names, sizes, digests and bytes; references have none."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(artifact.files(**arguments)):
            content = None
            if not str(file.direct_url).startswith("s3:"):
                with file.download(f"{folder}/{number}") as opened:
                    content = Path(opened.name).read_bytes()
            found.append((file.name, file.size, file.md5, file.mimetype, content))
    return found


def _collection(collection: Any) -> Any:
    return (
        collection.name, collection.type, collection.entity, collection.project, sorted(collection.aliases),
        collection.is_sequence(), [artifact.qualified_name for artifact in collection.artifacts()],
        collection.project_internal_id, collection.project_id,
    )  # fmt: skip


def _facts(artifact: Any) -> Any:
    return (
        local._artifact(artifact), artifact.collection.name, artifact.is_link, artifact.commit_hash,
        artifact.history_step, artifact.updated_at, artifact.digest_algorithm, artifact.source_project,
    )  # fmt: skip


def _kind(api: Any) -> str:
    return str(_some(api).type)


def _sweep(sweep: Any) -> Any:
    best = sweep.best_run()
    return (
        sweep.id, sweep.name, sweep.state, sweep.order, sweep.path, sweep.config, repr(sweep), sweep.description,
        sweep.expected_run_count, sweep.entity, sweep.project, best.id if best else None, sweep.run_count,
        sweep.method, sweep.created_at, sweep.updated_at, sweep.display_name,
    )  # fmt: skip


RUN_CALLS: dict[str, Call] = {
    **{name: local.CALLS[name] for name in ("sweep", "logged artifacts", "used artifacts", "artifact count")},
    "versions that were logged": lambda run: [_facts(artifact) for artifact in run.logged_artifacts()],
    "versions a page": lambda run: [artifact.name for artifact in run.logged_artifacts(per_page=1)],
}

API_CALLS: dict[str, Call] = {
    **{name: local.API_CALLS[name] for name in local.API_CALLS if "artifact" in name},
    "a missing sweep": local.API_CALLS["a missing sweep"],
    "sweep": lambda api: _sweep(api.sweep(f"{PATH}/{SWEEP}")),
    "sweep without a metric": lambda api: _sweep(api.sweep(f"{PATH}/sweep2")),
    "sweep runs": lambda api: sorted(run.id for run in api.sweep(f"{PATH}/{SWEEP}").runs),
    "sweeps of a project": lambda api: [_sweep(sweep) for sweep in api.project("local proj").sweeps()],
    "sweeps filtered": lambda api: [s.id for s in api.project("local proj").sweeps(filters={"state": "RUNNING"})],
    "runs with their sweeps": lambda api: [run.sweep and run.sweep.name for run in api.runs(PATH, include_sweeps=True)],
    "agents of a sweep": lambda api: api.sweep(f"{PATH}/{SWEEP}").agents(),
    "version": lambda api: _facts(_some(api)),
    "version by its number": lambda api: _facts(_some(api, "set-1:v0")),
    "version by an alias": lambda api: _facts(_some(api, "set-1:best")),
    "version by no more than a name": lambda api: _some(api, "set-1").version,
    "version through its run": lambda api: _some(api).logged_by().id,
    "runs that used a version": lambda api: sorted(
        run.id for name in api.artifact_collections(PATH, _kind(api)) for run in _some(api, name.name).used_by()
    ),
    "manifest": lambda api: {path: entry.to_json() for path, entry in _some(api).manifest.entries.items()},
    "download": lambda api: _downloaded(_some(api)),
    "download below a prefix": lambda api: _downloaded(_some(api), path_prefix="b/"),
    "verify": lambda api: _verified(_some(api)),
    "an entry's bytes": lambda api: _entry(_some(api)),
    "a missing entry": lambda api: _some(api).get_entry("nothing"),
    "an artifact's files": lambda api: _files(_some(api)),
    "an artifact's files by name": lambda api: _files(_some(api), names=["a.txt"]),
    "an artifact's files a page": lambda api: [file.name for file in _some(api).files(per_page=1)],
    "where files are stored": lambda api: [file.storage_path for file in _some(api).files()],
    "whether a version exists": lambda api: (api.artifact_exists(f"{PATH}/set-1:v0"), api.artifact_exists("no/p/x:v0")),
    "whether a collection exists": lambda api: (
        api.artifact_collection_exists(f"{PATH}/set-1", _kind(api)),
        api.artifact_collection_exists(f"{PATH}/nothing", _kind(api)),
        api.artifact_collection_exists(f"{PATH}/set-1", "nothing"),
    ),
    "types": lambda api: sorted(kind.name for kind in api.artifact_types(PATH)),
    "a type": lambda api: api.artifact_type(_kind(api), PATH).name,
    "a missing type": lambda api: api.artifact_type("nothing", PATH).name,
    "collections": lambda api: sorted(map(repr, api.artifact_collections(PATH, _kind(api)))),
    "collections in order": lambda api: [c.name for c in api.artifact_collections(PATH, _kind(api), order="-name")],
    "collections of a filter": lambda api: [
        c.name for c in api.artifact_type(_kind(api), PATH).collections(filters={"name": {"$regex": "[13]$"}})
    ],
    "collection": lambda api: _collection(api.artifact_collection(_kind(api), f"{PATH}/set-1")),
    "a missing collection": lambda api: api.artifact_collection(_kind(api), f"{PATH}/nothing"),
    "collection's description, tags and times": lambda api: [
        (c.description, c.tags, c.updated_at) for c in api.artifact_collections(PATH, _kind(api))
    ],
    "versions": lambda api: [artifact.name for artifact in api.artifacts(_kind(api), f"{PATH}/set-1")],
    "versions of a tag": lambda api: [a.name for a in api.artifacts(_kind(api), f"{PATH}/set-1", tags=["t"])],
    "versions in order": lambda api: [a.name for a in api.artifacts(_kind(api), f"{PATH}/set-1", order="+created_at")],
    "count of versions": lambda api: len(api.artifacts(_kind(api), f"{PATH}/set-1")),
    "links to a version": lambda api: [linked.qualified_name for linked in _some(api).linked_artifacts],
    "time to live": lambda api: _some(api).ttl,
    "jobs": lambda api: api.list_jobs(ENTITY, "local proj"),
    "registries": lambda api: [registry.name for registry in api.registries(organization="nothing")],
    "teams": lambda api: api.team(ENTITY).name,
    "users": lambda api: [user.username for user in api.users("sandy")],
    "reports": lambda api: [report.name for report in api.reports(PATH)],
}
