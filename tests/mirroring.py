"""One mirror of one sandbox, as a test holds it: pulls on demand, and asks the lake in SQL."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import datetime as dt
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import anyio
import duckdb
import msgspec

from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import Deployment, deployment_of
from mirror.cli.clients import known_server
from mirror.clock import utc_now
from mirror.config import Config, HealthSettings, PullSettings, ServerSettings, SourceSettings
from mirror.errors import MirrorError
from mirror.layout import Home
from mirror.pull import ProjectReport, PullReport, PullRequest, PullWatcher, SilentPull, pull
from mirror.records.addresses import RunPath
from mirror.sandbox import Sandbox
from mirror.store.engine.catalog_seal import unsealed
from mirror.store.engine.connection import plan_lightly
from mirror.store.engine.lake import Lake
from mirror.store.engine.meta import APP_URL, DEPLOYMENT
from mirror.store.engine.reading import open_lake
from mirror.store.sql.statements import connect, run_sql
from mirror.store_settings import StoreSettings

ENTITY, PROJECT = "team", "proj"
SOURCE = f"{ENTITY}/{PROJECT}"
# Waits are cut short, since the sandbox's faults are gone at once or never.
SERVER = ServerSettings(retry_attempts=2, retry_wait_max_s=0.01, timeout_s=10.0)
PULL = PullSettings()
HEALTH = HealthSettings()
# For lakes this small a second thread of DuckDB's only spins: half of the CPU of these tests.
ENGINE = StoreSettings(threads=1)


@functools.cache
def empty_home() -> Path:
    """A home whose lake has its tables and no row, made once for each process: for copying."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with Lake(Home(folder / "home"), deployment="nobody", app_url="nowhere", settings=ENGINE):
        pass
    return folder / "home"


def make_lake(home: Home, deployment: Deployment | None = None) -> None:
    """Begin a home that has no lake yet with an empty one of a server, which costs half as much as its tables.

    None: of nobody, as after a mistyped address.
    """
    if home.catalog.parent.exists():
        return
    shutil.copytree(empty_home(), home.root, dirs_exist_ok=True)
    if deployment is not None:
        with unsealed(home), contextlib.closing(sqlite3.connect(home.catalog)) as catalog, catalog:
            ((rows,),) = catalog.execute(
                "SELECT i.table_name FROM ducklake_inlined_data_tables i JOIN ducklake_table t USING (table_id)"
                " WHERE t.table_name = 'meta'"
            )
            says = [(deployment.id, DEPLOYMENT), (deployment.app_url, APP_URL)]
            catalog.executemany(f"UPDATE {rows} SET value = ? WHERE key = ?", says)


def empty_lake(home: Home) -> Lake:
    """The lake of a home, which begins empty and of nobody, for a test that writes it without a server."""
    make_lake(home)
    return Lake(home, deployment="nobody", settings=ENGINE)


class _Kept:
    """Lakes that stay open, where that was asked for."""

    closing: contextlib.ExitStack | None = None
    lakes: ClassVar[dict[Path, Lake]] = {}


@contextlib.contextmanager
def lakes_stay_open() -> Iterator[None]:
    """Inside, lakes stay open from one pull or replay to the next, as in the daemon."""
    with contextlib.ExitStack() as closing:
        _Kept.closing = closing
        _Kept.lakes.clear()
        try:
            yield
        finally:
            _Kept.closing = None


def lake_of(home: Home, deployment: Deployment) -> contextlib.AbstractContextManager[Lake]:
    """The lake for writing."""
    opened = Lake(home, deployment=deployment.id, app_url=deployment.app_url, settings=ENGINE)
    if _Kept.closing is None:
        return opened
    if home.root not in _Kept.lakes:
        _Kept.lakes[home.root] = _Kept.closing.enter_context(opened)
    return contextlib.nullcontext(_Kept.lakes[home.root])


def lake_for_questions(home: Home) -> duckdb.DuckDBPyConnection:
    """The lake for one question after the other, without views: the one that stays open, or one of its own."""
    if _Kept.closing is not None and home.root in _Kept.lakes:
        with _Kept.lakes[home.root].reading() as engine:
            return engine.cursor()
    return open_lake(home, settings=ENGINE)


@dataclass(kw_only=True)
class Mirror:
    """A home and the server that it mirrors.

    Questions share a reader, which sees each commit, as those of a daemon do.
    """

    url: str
    api_key: str
    home: Home
    server: ServerSettings = SERVER
    settings: PullSettings = PULL
    health: HealthSettings = HEALTH
    sources: tuple[str, ...] = (SOURCE,)
    policy: Mapping[str, Any] = field(default_factory=dict)  # of every source: what of a run is wanted
    now: Callable[[], dt.datetime] = field(default=utc_now)
    is_fresh: bool = False  # the first pull makes the tables
    # By whether it has views, and by the catalog, which a test may put another one in place of.
    _readers: dict[tuple[bool, int], duckdb.DuckDBPyConnection] = field(default_factory=dict, init=False, repr=False)

    def using(self, **settings: Any) -> Mirror:
        """The same mirror with other settings of the pull."""
        return dataclasses.replace(self, settings=msgspec.structs.replace(self.settings, **settings))

    def copied(self, home: Home) -> Mirror:
        """The same with a copy of its home."""
        shutil.copytree(self.home.root, home.root)
        return dataclasses.replace(self, home=home)

    def pull(
        self,
        *sources: str,
        runs: tuple[str, ...] = (),
        force_walk: bool = False,
        accept_missing: bool = False,
        retry_quarantined: bool = False,
        watcher: PullWatcher | None = None,
    ) -> PullReport:
        """One pull, from a closed lake to a closed lake, if lakes do not stay open."""
        request = PullRequest(
            sources=tuple(SourceSettings(path=path, **self.policy) for path in sources or self.sources),
            runs=tuple(RunPath(ENTITY, PROJECT, run_id) for run_id in runs),
            force_walk=force_walk,
            accept_missing=accept_missing,
            retry_quarantined=retry_quarantined,
        )
        return anyio.run(self.pull_async, request, watcher)

    async def pull_async(self, request: PullRequest, watcher: PullWatcher | None = None) -> PullReport:
        """The same inside an event loop."""
        deployment = deployment_of(self.url)
        if not self.is_fresh:
            make_lake(self.home, deployment)
        config = Config(server=self.server, pull=self.settings, health=self.health)
        known = known_server(self.home, deployment)
        async with Client(deployment, ApiKey(self.api_key, "a test"), self.server, known=known) as client:
            with lake_of(self.home, deployment) as lake:
                with contextlib.suppress(MirrorError):  # so that reports count what pulls ask, and not the learning
                    await client.learn_if_due(self.now())
                return await pull(client, lake, config, request, watcher=watcher, now=self.now)

    def ask(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Rows of a query, as `wandb-mirror sql --json` prints them."""
        # The views are half of the cost of a connection, and what asks for tables of the lake needs none.
        with self.open(views="lake." not in query) as rows:
            return rows(query, *parameters)

    @contextlib.contextmanager
    def open(self, *, views: bool = True) -> Iterator[Callable[..., list[dict[str, Any]]]]:
        """A place for several questions; without views it knows the tables `lake.…` alone."""
        with self.reader(views=views) as engine:
            yield lambda query, *parameters: list(run_sql(engine, query, parameters).plain_rows())

    def reader(self, *, views: bool = False) -> duckdb.DuckDBPyConnection:
        """A cursor of the connection that all questions share."""
        if not views and _Kept.closing is not None:
            return lake_for_questions(self.home)
        wanted = views, self.home.catalog.stat().st_ino if self.home.catalog.exists() else 0
        if wanted not in self._readers:
            engine = (connect if views else open_lake)(self.home, settings=ENGINE)
            plan_lightly(engine, is_small=True)
            self._readers[wanted] = engine
        return self._readers[wanted].cursor()

    def run(self, run_id: str) -> dict[str, Any]:
        """One run with everything that the lake holds of it."""
        (row,) = self.ask("SELECT * FROM lake.runs WHERE run_id = ?", run_id)
        return row

    def source(self, project: str = PROJECT) -> dict[str, Any]:
        """How far a project was pulled."""
        (row,) = self.ask("SELECT * FROM lake.sources WHERE project = ?", project)
        return row

    def run_ids(self, where: str = "gone_at IS NULL") -> list[str]:
        """Ids of held runs, sorted; each as often as it is held."""
        return [row["run_id"] for row in self.ask(f"SELECT run_id FROM lake.runs WHERE {where} ORDER BY run_id")]


class Away(SilentPull):
    """Takes the server away after so many pages."""

    def __init__(self, sandbox: Sandbox, after: int) -> None:
        self._left = after
        self._sandbox = sandbox
        self._outage = contextlib.ExitStack()

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        """Count, and at the last one pull the plug."""
        self._left -= 1
        if self._left == 0:
            self._outage.enter_context(self._sandbox.outage())

    def over(self) -> None:
        """The server is back."""
        self._outage.close()
