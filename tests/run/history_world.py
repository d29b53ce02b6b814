"""Runs whose histories are exported, live, both, or neither, as the SDK and the mirror read them."""

from __future__ import annotations

import contextlib
import io
import math
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror import Api
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import ExportPart
from tests.contract.both import words
from tests.contract.conftest import ENTITY
from tests.contract.hostile import add_hostile_run
from tests.mirroring import Mirror

PROJECT = "run-history"
HOSTILE = [f"hostile-{seed:02}" for seed in range(24)]
ROWS = [
    {"_step": n, "_timestamp": 1.7e9 + n, "loss": 1 / (n + 3), "text": f"t{n}", "deep": {"a": {"b": n * 0.5}, "c": "x"}}
    | ({"rare": n} if n % 5 == 0 else {})
    for n in range(30)
]
EXACT = [
    {"_step": 0, "one": 1.0, "zero": -0.0, "big": 2**60 + 1, "nan": math.nan, "flag": True, "list": [1.5], "t": "NaN"},
    {"_step": 1, "one": 2.0, "zero": 0.5, "big": -(2**63), "nan": 0.25, "flag": False, "list": [], "t": "é☃"},
    {"_step": 2, "one": 0.5, "zero": 0.0, "big": 0, "nan": -math.inf, "flag": True, "list": [2.0, 3.0], "t": ""},
]


Outcome = tuple[str, Any]


class NoNetworkAllowed(AssertionError):
    """Somebody opened a socket where none may be."""


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Every attempt to connect anywhere fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise NoNetworkAllowed("a socket was used")

    with contextlib.ExitStack() as patches:
        for name in ("connect", "connect_ex", "bind", "sendto"):
            patches.enter_context(mock.patch.object(socket.socket, name, refuse))
        patches.enter_context(mock.patch.object(socket, "getaddrinfo", refuse))
        yield


@dataclass(frozen=True, kw_only=True)
class Histories:
    """A project that was mirrored, as the SDK sees it over the network and as the mirror sees it without one."""

    mirror: Mirror
    sdk: Any  # wandb.Api
    held: Api  # of the mirror; its lake stays open
    project: str

    def path(self, run_id: str) -> str:
        return f"{ENTITY}/{self.project}/{run_id}"

    def api(self) -> Api:
        """A new one each time: what a process sees that starts now."""
        return Api(self.mirror.home)

    def run(self, run_id: str) -> Any:
        """A `mirror.Run`; untyped, as scripts for the SDK are."""
        self.held.flush()
        return self.held.run(self.path(run_id))

    def both(self, run_id: str, question: Callable[[Any], Any]) -> tuple[Outcome, Outcome]:
        """What the SDK and the mirror answer to a question about a run: values, or classes and texts of errors."""
        return self.both_apis(lambda api: question(api.run(self.path(run_id))))

    def both_apis(self, question: Callable[[Any], Any]) -> tuple[Outcome, Outcome]:
        """The same of a question to the `Api` itself."""
        theirs = _outcome(lambda: question(self.sdk))
        with offline():
            self.held.flush()
            return theirs, _outcome(lambda: question(self.held))


def _outcome(answer: Callable[[], Any]) -> Outcome:
    """A value, or the name and text of an error: the SDK's and ours have the same names."""
    try:
        return "value", answer()
    except NoNetworkAllowed:
        raise
    except Exception as error:
        kind = next(kind for kind in type(error).__mro__ if not kind.__dict__.get("_is_joined"))
        return kind.__name__, words(error)


def histories_of(server: Sandbox, home: Home, project: str, **policy: Any) -> Histories:
    """Mirror a project."""
    import wandb

    source = f"{ENTITY}/{project}"
    mirror = Mirror(url=server.url, api_key=server.api_key, home=home, sources=(source,), policy=policy)
    assert mirror.pull().errors == []
    sdk = wandb.Api(overrides={"entity": ENTITY, "base_url": server.url}, timeout=30)
    return Histories(mirror=mirror, sdk=sdk, held=Api(home), project=project)


_made: WeakKeyDictionary[Sandbox, dict[str, Histories]] = WeakKeyDictionary()


def once(server: Sandbox, project: str, make: Callable[[], Histories]) -> Histories:
    """A project that tests only read, made once a server: pytest-xdist may come back to a module that it had left."""
    known = _made.setdefault(server, {})
    if project not in known:
        server.faults.clear()
        known[project] = make()
    return known[project]


def history_world(server: Sandbox, folders: pytest.TempPathFactory) -> Histories:
    """Runs with histories of every kind; tests only read."""
    return once(server, PROJECT, lambda: _history_world(server, folders.mktemp("histories")))


def _history_world(server: Sandbox, folder: Path) -> Histories:
    state = server.state
    runs: dict[str, dict[str, Any]] = {
        "plain": {"parts": 3},
        "live": {"exported": False, "state": "running"},
        "both": {"exported": 12, "parts": 2, "state": "running"},
        "alone": {"exported": False, "live_data": False},
        "exact": {"history": EXACT},
        "exact-live": {"history": EXACT, "exported": False, "state": "running", "nonfinite": "text"},
        "empty": {"history": []},
        "gap": {"history": [*ROWS[:5], {"_step": 1_700_000_000, "loss": 0.5}], "parts": 2},
        "long": {"history": [{"_step": n * 3, "loss": float(n)} for n in range(1000)]},
    }
    for name, options in runs.items():
        state.add_run(ENTITY, PROJECT, name, **{"history": ROWS, **options})
    events = [{"_timestamp": 1.7e9 + n, "_runtime": n, "_wandb": True, "system.cpu": n + 0.5} for n in range(40)]
    state.add_run(ENTITY, PROJECT, "measured", events=events, system_metrics={"system.cpu": 39.5})
    _out_of_order(server)
    for seed, name in enumerate(HOSTILE):
        add_hostile_run(server, ENTITY, PROJECT, name, seed)
    return histories_of(server, Home(folder / "home"), PROJECT)


def _out_of_order(server: Sandbox) -> None:
    """Parts that share steps, repeat them and are not sorted, with rows without a step; and a live row beside them."""
    run = server.state.add_run(
        ENTITY, PROJECT, "mixed", state="running", exported=False, history=[{"_step": n, "a": n} for n in range(7)]
    )
    one = {"_step": pa.array([2, 0, None, 2]), "a": [20, 0, -1, None], "b": [None, None, None, "later"]}
    two = {"_step": pa.array([1, 2, 3]), "a": pa.array([10.5, None, 30.5]), "c": ["x", None, None]}
    with server.state.lock:
        for columns in (one, two):
            sink = io.BytesIO()
            pq.write_table(pa.table(columns), sink)
            key = f"exports/{run.number}/{server.state.number()}.parquet"
            server.state.bucket.put(key, sink.getvalue())
            run.parts.append(ExportPart(object_key=key, rows=len(columns["_step"])))
        run.exported = {0, 1, 2, 3}


def without_none(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the SDK's as the mirror gives it: without what was not logged."""
    return {key: _without_none(value) for key, value in row.items() if value is not None}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
