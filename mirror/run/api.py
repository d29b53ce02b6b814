"""`Api`: the entry, as `wandb.Api()` is, answered from a home with no network at all."""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Mapping
from typing import Any, Literal

from mirror.errors import CommError, NotMirrored
from mirror.layout import Home, find_home
from mirror.records.operations import Create
from mirror.run.artifacts import Artifact
from mirror.run.calls import as_comm_error
from mirror.run.local import LocalMirror
from mirror.run.paths import parse_path, parse_project_path
from mirror.run.projects import Project, Projects
from mirror.run.run import Run
from mirror.run.runs import Runs
from mirror.run.sweeps import Sweep
from mirror.store.run_rows import mirrored_projects

_ID_LETTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 8  # as W&B's own ids


class Api:
    """Reads a mirror as `wandb.Api` reads a server, and queues what would be written there.

    Args:
        home: the mirror's directory; else `WANDB_MIRROR_HOME`, else the user's data folder.
        overrides: `{"entity": …, "project": …}` for paths that leave them out; else `WANDB_ENTITY` and
            `WANDB_PROJECT`, else the only ones that are mirrored.

    Raises:
        ConfigError: `home` is no path.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | Home | None = None,
        overrides: Mapping[str, str | None] | None = None,
    ) -> None:
        self._local = LocalMirror(home if isinstance(home, Home) else find_home(home))
        given = overrides or {}
        self._entity = given.get("entity") or os.environ.get("WANDB_ENTITY")
        self._project = given.get("project") or os.environ.get("WANDB_PROJECT")
        self._held: dict[str, Any] = {}

    @property
    def home(self) -> Home:
        """The mirror's directory."""
        return self._local.home

    @property
    def default_entity(self) -> str | None:
        """The entity of paths that name none: as given, else the only one that is mirrored."""
        if self._entity is None:
            entities = {entity for entity, _ in mirrored_projects(self._local.reader)}
            return entities.pop() if len(entities) == 1 else None
        return self._entity

    @as_comm_error
    def run(self, path: str = "") -> Run:
        """One run; the same text gives the same object until `flush()`.

        Args:
            path: `entity/project/run_id`, `entity/project/runs/run_id`, `entity/project:run_id`, or without the parts
                that have a default.

        Raises:
            RunNotFoundError: the run is not in this mirror.
            CommError: the path names no run.
        """
        run_path = self._run_path(path)
        if path not in self._held:
            self._held[path] = Run(self._local, run_path)
        found: Run = self._held[path]
        return found

    @as_comm_error
    def runs(
        self,
        path: str | None = None,
        filters: Mapping[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,
        include_sweeps: bool = False,
        lazy: bool = True,
        *,
        with_gone: bool = False,
    ) -> Runs:
        """The runs of a project; the same question gives the same object until `flush()`.

        Args:
            path: `entity/project`; without a default entity or project, both are needed.
            filters: W&B's Mongo-style object, for example `{"config.lr": {"$gt": 0.1}, "state": "finished"}`. An
                operator or a field that W&B does not know is an error that names it.
            order: `created_at`, `heartbeat_at`, `config.KEY.value` or `summary_metrics.KEY` after `+` or `-`.
            per_page: runs read at a time.
            include_sweeps: let each run have its sweep at once.
            lazy: leave config, summary and system metrics for later.
            with_gone: also runs that were deleted upstream; the SDK has no such argument.

        Raises:
            CommError: the path names no project; of the first look at the runs, where the filter or the order is wrong.
        """
        entity, project = self._project_path(path)
        key = f"{path or ''}{filters or {}}{order}{with_gone}"
        if key not in self._held:
            self._held[key] = Runs(
                self._local, entity, project, filters, order, per_page, include_sweeps, lazy, with_gone=with_gone
            )
        found: Runs = self._held[key]
        if not lazy and found._lazy:
            found.upgrade_to_full()
        return found

    @as_comm_error
    def project(self, name: str, entity: str | None = None) -> Project:
        """A project; what is not mirrored shows when it is looked at, as with the SDK."""
        return Project(self._local, entity or self._needed_entity(name), name)

    @as_comm_error
    def projects(self, entity: str | None = None, per_page: int = 200) -> Projects:
        """The projects of an entity that are mirrored."""
        return Projects(self._local, entity or self._needed_entity(None), per_page)

    @as_comm_error
    def sweep(self, path: str = "") -> Sweep:
        """A sweep, by the same forms of paths as a run's; the same text gives the same object until `flush()`.

        Raises:
            NotMirrored: the sweep is not in this mirror; also a `ValueError`.
        """
        entity, project, sweep_id = self._run_path(path)
        key = f"sweep {path}"
        if key not in self._held:
            self._held[key] = Sweep(self._local, entity, project, sweep_id)
        found: Sweep = self._held[key]
        return found

    @as_comm_error
    def artifact(self, name: str, type: str | None = None) -> Artifact:  # noqa: A002 - the SDK's name
        """A version of an artifact.

        Args:
            name: `entity/project/collection:v3`, or an alias in place of the version; parts that have a default may be
                left out, and so may the version, which is then `latest`.
            type: what it must be, if given.

        Raises:
            NotMirrored: no such version is in this mirror.
            CommError: it is of another type.
        """
        return Artifact.named(
            self._local, name, type, entity=self._entity, project=self._project, default=self._only_project
        )

    def create_run(
        self,
        *,
        run_id: str | None = None,
        project: str | None = None,
        entity: str | None = None,
    ) -> Run:
        """Queue a new run; see `Run.create`."""
        return self._create_run(run_id=run_id, project=project, entity=entity, state="running")

    def flush(self) -> None:
        """Forget the objects that were handed out: the next question looks at the mirror again."""
        self._held.clear()

    @as_comm_error
    def _create_run(
        self,
        *,
        run_id: str | None,
        project: str | None,
        entity: str | None,
        state: Literal["running", "pending"],
    ) -> Run:
        if state not in ("running", "pending"):
            raise CommError(f"a run is created 'running' or 'pending', not {state!r}")
        name = project or self._project or "uncategorized"
        path = (
            entity or self._needed_entity(name),
            name,
            run_id or "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH)),
        )
        try:
            return Run(self._local, path)  # W&B answers with the run that is there
        except NotMirrored:
            self._local.enqueue(path, None, Create(state=state))
            return Run(self._local, path)

    def _run_path(self, path: str) -> tuple[str, str, str]:
        return parse_path(path, entity=self._entity, project=self._project, default=self._only_project)

    def _project_path(self, path: str | None) -> tuple[str, str]:
        return parse_project_path(path, entity=self._entity, project=self._project, default=self._only_project)

    def _only_project(self) -> tuple[str | None, str | None]:
        """Entity and project where just one is mirrored."""
        known = mirrored_projects(self._local.reader)
        entities = {entity for entity, _ in known}
        return (entities.pop() if len(entities) == 1 else None, known[0][1] if len(known) == 1 else None)

    def _needed_entity(self, name: str | None) -> str:
        entity = self.default_entity
        if not entity:
            raise ValueError(f"no entity is given{f' for {name}' if name else ''}, and not just one is mirrored")
        return entity

    def __getstate__(self) -> dict[str, Any]:
        """Without the objects that were handed out."""
        return {**self.__dict__, "_held": {}}
