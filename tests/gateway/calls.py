"""Every read of the SDK's public API, as calls on a run and on the API itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.contract import test_local_api_equals_sdk as local
from tests.contract.conftest import ENTITY
from tests.gateway import artifact_calls

PROJECT = "local proj"
PATH = f"{ENTITY}/{PROJECT}"
Call = Callable[[Any], Any]

# What says nothing of the answers: addresses of pages on the server, and calls that ask no server.
_ELSEWHERE = {
    *("url", "to_html", "to_html hidden", "display"),
    *(name for name in local.CALLS if "nonsense" in name or name.startswith("update")),
}


def _downloads(run: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(run.files()):
            try:
                with file.download(root=f"{folder}/{number}") as opened:
                    found[file.name] = Path(opened.name).read_bytes()
            except Exception as error:
                found[file.name] = type(error).__name__
    return found


def _exports(run: Any, *, complete: bool) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        result = run.download_history_exports(folder, require_complete_history=complete)
        return [sorted(path.read_bytes() for path in result.paths), result.contains_live_data, result.errors]


def _scan(run: Any, **arguments: Any) -> list[Any]:
    return list(run.scan_history(use_cache=False, **arguments))


def _filtered(api: Any, filters: dict[str, Any]) -> list[str]:
    return [run.id for run in api.runs(PATH, filters=filters)]


def _ordered(api: Any, order: str, key: Call) -> list[Any]:
    """What the order goes by; where runs without it go, the server's notes do not say."""
    values = [key(run) for run in api.runs(PATH, order=order, lazy=False)]
    return [value for value in values if value is not None]


RUN_CALLS: dict[str, Call] = {
    **{name: call for name, call in local.CALLS.items() if name not in _ELSEWHERE},
    **artifact_calls.RUN_CALLS,
    "files' bytes": _downloads,
    "scan": _scan,
    "scan of steps": lambda run: _scan(run, min_step=20, max_step=120),
    "scan of keys": lambda run: _scan(run, keys=["loss", "count"]),
    "history": lambda run: run.history(pandas=False),
    "history sampled": lambda run: run.history(samples=5, pandas=False),
    "history of keys": lambda run: run.history(keys=["loss"], pandas=False),
    "history of a nested key": lambda run: run.history(keys=["deep.a.b"], pandas=False),
    "history over another axis": lambda run: run.history(keys=["loss", "flag"], x_axis="_runtime", pandas=False),
    "system metrics": lambda run: run.history(stream="system", pandas=False),
    "exports": lambda run: _exports(run, complete=False),
    "exports, if complete": lambda run: _exports(run, complete=True),
}

API_CALLS: dict[str, Call] = {
    **{name: call for name, call in local.API_CALLS.items() if "sweep" not in name and "artifact" not in name},
    **artifact_calls.API_CALLS,
    **{f"filter {filters}": partial(_filtered, filters=filters) for filters in local.FILTERS},
    **{f"order {order}": partial(_ordered, order=order, key=key) for order, key in local.ORDERS.items()},
    "count of a filter": lambda api: len(api.runs(PATH, filters={"state": "running"})),
    "pages of two": lambda api: [run.id for run in api.runs(PATH, per_page=2)],
    "a filter on nothing known": lambda api: len(api.runs(PATH, filters={"nothing": 1})),
    "histories": lambda api: api.runs(PATH, per_page=5)[0:3] and api.runs(PATH).histories(samples=3, keys=["loss"]),
    "viewer": lambda api: (api.viewer.username, api.viewer.entity, api.viewer.teams, api.viewer.name, api.viewer.email),
    "the viewer's keys": lambda api: len(api.viewer.api_keys),
    "default entity": lambda api: api.default_entity,
    "project's facts": lambda api: [(p.name, p.entity, p.created_at, p.id) for p in api.projects(ENTITY)],
}  # fmt: skip
