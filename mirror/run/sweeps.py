"""Sweeps: what they search, how they rank their runs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from mirror.errors import CommError, NotMirrored
from mirror.records.addresses import RunPath
from mirror.records.passes import SWEEPS, SWEEPS_OF
from mirror.run.api_paths import ApiPaths
from mirror.run.naming import project_not_mirrored
from mirror.run.page.server_page import iframe
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.absent import SweepNotMirrored
from mirror.run.sdk.attrs import Attrs
from mirror.run.sdk.calls import deprecated
from mirror.run.sdk.pages import SizedPages
from mirror.store.read.failures import why_failed
from mirror.store.read.sweeps import SweepRow, list_sweep_ids, read_sweeps
from mirror.texts.typed_paths import in_shell

if TYPE_CHECKING:
    from mirror.run.run import Run
    from mirror.run.runs import Runs

_log = logging.getLogger(__name__)
_COLUMNS = ("createdAt", "updatedAt", "name", "sweep")  # of a run; as a bare key they give no order
_DOCUMENTS = ("config", "summary_metrics", "tags")
_RUNS_PER_PAGE = 10


class Sweep(Attrs):
    """A sweep of a project. The server's fields are there in both spellings: `best_loss`, `run_count`, `method`, ….

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        sweep_id: the last part of the sweep's path.
        row: as it was listed; None to look it up.

    Raises:
        NotMirrored: the sweep is not in this mirror; also a `ValueError`.
    """

    def __init__(
        self, local: LocalMirror, entity: str, project: str, sweep_id: str, row: SweepRow | None = None
    ) -> None:
        super().__init__({})
        self._local = local
        self._entity = entity
        self.project = project
        self.id = sweep_id
        self._run_order = "+created_at"
        if row is None:
            self.load(force=True)
        else:
            self._attrs = _wire_fields(row)

    def load(self, force: bool = False) -> dict[str, Any]:
        """The sweep's fields; with `force` read again from the mirror.

        Raises:
            NotMirrored: the sweep is not in this mirror.
        """
        if force or not self._attrs:
            row = read_sweeps(self._local.reader, self._entity, self.project, [self.id]).get(self.id)
            if row is None:
                raise SweepNotMirrored(
                    f"Could not find sweep {self!r}",
                    hint=f"`wandb-mirror pull --source {in_shell(self._entity, self.project)}` fetches its sweeps",
                )
            self._attrs = _wire_fields(row)
            self.__dict__.pop("runs", None)
        return self._attrs

    @property
    def entity(self) -> str:
        """The user or team that owns the project."""
        return self._entity

    @property
    def username(self) -> str:
        """The entity; deprecated."""
        deprecated("Sweep.username is deprecated. please use Sweep.entity instead.")
        return self._entity

    @property
    def name(self) -> str:
        """The name that a user gave it, else the one in its config, else its id."""
        given = self._attrs.get("displayName")
        if not given:
            with contextlib.suppress(CommError):  # of its config alone
                given = self._definition.get("name")
        return str(given or self.id)

    @property
    def state(self) -> str | None:
        """`RUNNING`, `PAUSED`, `FINISHED`, `CANCELED`, …: in upper case, unlike a run's."""
        return self._attrs.get("state")

    @property
    def config(self) -> Any:
        """What it searches, parsed at each access; None for a sweep without a definition.

        Raises:
            CommError: its text is not YAML.
        """
        import yaml  # takes its time, and few scripts ask

        try:
            return yaml.safe_load(self._attrs.get("config") or "")
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise CommError(f"the config of {self} is not YAML: {error}") from error

    @property
    def order(self) -> str | None:
        """How its runs are ranked, best first: `+summary_metrics.loss` to minimise; None without a metric."""
        metric = self._definition.get("metric")
        if not isinstance(metric, Mapping) or not metric.get("name"):
            return None
        sign = "+" if metric.get("goal", "minimize") == "minimize" else "-"
        return format_order(f"{sign}{metric['name']}")

    @cached_property
    def runs(self) -> Runs:
        """The runs that it started."""
        from mirror.run.runs import Runs

        return Runs(self._local, self._entity, self.project, self._its_runs, self._run_order, per_page=_RUNS_PER_PAGE)

    def best_run(self, order: str | None = None) -> Run | None:
        """The run that is first by the metric of the config, or by an order; None when it has no run.

        Args:
            order: `+key` or `-key` of the summary, or `config.key`; without a sign the largest value comes first. A run
                without the value is never better than one with it, as it is where the server puts it first.
        """
        from mirror.run.runs import Runs

        chosen = self.order if order is None else format_order(order)
        if chosen is None:
            _log.warning("no order was given and none is in the sweep's config: this is the most recent run")
        else:
            _log.info("Sorting runs by %s", chosen)
        ranked = [{chosen[1:]: {"$ne": None}}] if chosen is not None else []
        for among in ([*self._its_runs["$and"], *ranked], self._its_runs["$and"]):  # an ascending order begins without
            found = Runs(
                self._local, self._entity, self.project, {"$and": among}, chosen or "-created_at", 1, lazy=False
            )
            if len(found):
                return found[0]
        return None

    @property
    def expected_run_count(self) -> int | None:
        """How many runs it is to have; None: no end is set."""
        return self._attrs.get("runCountExpected")

    @property
    def path(self) -> list[str]:
        """Entity, project and id, quoted with `+` for a blank, as the SDK quotes them here; a fresh list."""
        return [quote_plus(part) for part in (self._entity, self.project, self.id)]

    @property
    def url(self) -> str:
        """The address of its page on the server."""
        entity, project, sweep_id = self.path
        return f"{self._local.app_url}{entity}/{project}/sweeps/{sweep_id}"

    @classmethod
    def get(
        cls,
        api: ApiPaths,
        entity: str | None = None,
        project: str | None = None,
        sid: str | None = None,
        order: str | None = None,
        query: str | None = None,
    ) -> Sweep | None:
        """A sweep; None when it is not in the mirror.

        Args:
            api: of the mirror.
            entity: None: the default one.
            project: None: the default one.
            sid: id of the sweep.
            order: of its runs.
            query: not possible here.

        Raises:
            CommError: a query is given; only the server can execute it.
        """
        if query is not None:
            raise CommError("a mirror executes no GraphQL: ask without a query")
        path = "/".join(part for part in (entity, project, sid) if part)
        try:
            found = cls(api._local, *api._run_path(path))
        except SweepNotMirrored:
            return None
        found._run_order = order or found._run_order
        return found

    def agents(self) -> list[Any]:
        """Never an answer.

        Raises:
            NotMirrored: only the server knows agents.
        """
        raise NotMirrored(f"the agents of {self} are not mirrored", hint="only the server knows them")

    def agent(self, agent_id: str) -> Any:
        """Never an answer.

        Raises:
            NotMirrored: only the server knows agents.
        """
        raise NotMirrored(f"agent {agent_id} of {self} is not mirrored", hint="only the server knows agents")

    def enqueue_run(self, config: Mapping[str, Any], display_name: str | None = None) -> str:
        """Never done: only the server can say which run it becomes, and the answer cannot wait.

        Raises:
            CommError: always.
        """
        raise CommError(
            f"a run ({display_name or len(config)}) cannot be enqueued for {self} without the server",
            hint="use wandb.Api() for it, where the server can be reached",
        )

    def to_html(self, height: int = 420, hidden: bool = False) -> str:
        """A frame with the server's page, which a browser fetches when it shows it."""
        return iframe(self.url, "sweep", height, hidden=hidden)

    def _repr_html_(self) -> str:
        """The frame."""
        return self.to_html()

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<Sweep {'/'.join(self.path)} ({self._attrs.get('state', 'Unknown State')})>"

    @property
    def _definition(self) -> Mapping[Any, Any]:
        """The config, where it is one."""
        found = self.config if self._attrs.get("config") else None
        return found if isinstance(found, Mapping) else {}

    @property
    def _its_runs(self) -> dict[str, Any]:
        return {"$and": [{"sweep": self.id}]}


class Sweeps(SizedPages[Sweep]):
    """The sweeps of a project, oldest first. Which ones is settled by the first look.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        per_page: sweeps read at a time.
        filters: not possible here.

    Raises:
        CommError: filters are given.
    """

    def __init__(
        self,
        local: LocalMirror,
        entity: str,
        project: str,
        per_page: int = 50,
        filters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(per_page)
        if filters:
            raise CommError(
                "a mirror cannot filter sweeps", hint="read them all, or ask `sweeps` in SQL: mirror.connect()"
            )
        self._local = local
        self.entity, self.project = entity, project

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<Sweeps {self.entity}/{self.project}>"

    @cached_property
    def _sweep_ids(self) -> list[str]:
        found = list_sweep_ids(self._local.reader, self.entity, self.project)
        if not found and not self._local.is_mirrored(self.entity, self.project):
            raise project_not_mirrored(
                self._local, self.entity, self.project, f"Could not find project {self.project!r}"
            )
        if not found and (reason := self._why_not_held()) is not None:
            raise NotMirrored(
                f"the sweeps of {self.entity}/{self.project} are not in this mirror: {reason}",
                hint=f"`wandb-mirror pull --source {in_shell(self.entity, self.project)}` tries again",
            )
        return found

    def _why_not_held(self) -> str | None:
        """Why a pull did not bring them; None when it did, so that there are none."""
        reason = why_failed(self._local.reader, RunPath(self.entity, self.project, SWEEPS_OF), [SWEEPS])
        lack = None if reason is not None else self._local.lack_of("sweeps")
        return reason if lack is None else f"the server {lack.verb} sweeps"

    def _count(self) -> int:
        return len(self._sweep_ids)

    def _read(self, start: int, stop: int) -> Sequence[Sweep]:
        ids = self._sweep_ids[start:stop]
        rows = read_sweeps(self._local.reader, self.entity, self.project, ids)
        return [Sweep(self._local, self.entity, self.project, sweep_id, rows.get(sweep_id)) for sweep_id in ids]


def format_order(key: str) -> str | None:
    """An order of runs out of what people write for `best_run`, by the SDK's rules.

    Args:
        key: without a sign the largest comes first; a key that is no field of a run is one of its summary.

    Returns:
        None for a field of a run that gives no order alone.
    """
    sign, key = (key[0], key[1:]) if key.startswith(("+", "-")) else ("-", key)
    parts = key.split(".")
    if len(parts) == 1 and key in _COLUMNS:
        return None
    return f"{sign}{key}" if len(parts) > 1 and parts[0] in _DOCUMENTS else f"{sign}summary_metrics.{key}"


def _wire_fields(row: SweepRow) -> dict[str, Any]:
    """A sweep under the server's names."""
    return {
        "id": row.storage_id,
        "name": row.sweep_id,
        "displayName": row.display_name,
        "method": row.method,
        "state": row.state,
        "description": row.description,
        "bestLoss": row.best_loss,
        "config": row.config,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
        "runCount": row.run_count,
        "runCountExpected": row.run_count_expected,
    }
