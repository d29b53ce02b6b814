"""`Api`: the entry, as `wandb.Api()` is, answered from a home with no network at all.

Each member has its place: defaults and paths in `api_paths`, artifacts in `artifacts.of_api`, what a mirror cannot
answer in `sdk.server_only`.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from mirror.errors import CommError, NotMirrored, RunNotFoundError
from mirror.records.addresses import RunPath
from mirror.records.operations import Create
from mirror.run.artifacts.of_api import ApiArtifacts
from mirror.run.sdk.absent import only_server_knows
from mirror.run.sdk.calls import as_comm_error
from mirror.run.sdk.server_only import ServerOnly
from mirror.run.user import User
from mirror.texts.naming import run_id_fault

if TYPE_CHECKING:
    from mirror.run.projects import Project, Projects
    from mirror.run.run import Run
    from mirror.run.runs import Runs
    from mirror.run.sweeps import Sweep

_ID_LETTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 8  # as W&B's own ids


class Api(ApiArtifacts, ServerOnly):
    """Reads a mirror as `wandb.Api` reads a server, and queues what would be written there.

    It takes the SDK's arguments, beside `home`; see `ApiPaths`.
    """

    @as_comm_error
    def run(self, path: str = "") -> Run:
        """One run; the same text gives the same object until `flush()`.

        Args:
            path: `entity/project/run_id`, `entity/project/runs/run_id`, `entity/project:run_id`, or without the parts
                that have a default. What the SDK would find comes first; else, as on the command line and with no
                equal in the SDK, `run_id`, `display name` or `project/…` of either that just one mirrored run has.

        Raises:
            RunNotFoundError: the run is not in this mirror; the text names what may be meant.
            CommError: the path names no run, or several.
        """
        if path not in self._held:
            self._held[path] = self._found(path)
        found: Run = self._held[path]
        return found

    def _found(self, path: str) -> Run:
        """The run of the SDK's path, else the one of this name."""
        from mirror.run.naming import named_run, or_near  # here: what is found at once needs none of it
        from mirror.run.run import Run

        run_path: RunPath | None = None
        try:
            run_path = self._run_path(path)
            return Run(self._local, run_path)
        except ValueError as error:
            if (named := named_run(self._local, path, entity=self._entity, project=self._project)) is not None:
                return Run(self._local, named)
            if run_path is None or not isinstance(error, RunNotFoundError):
                raise
            raise RunNotFoundError(error.message, hint=or_near(self._local, error.hint, run_path)) from None

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
        from mirror.run.runs import Runs

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
        from mirror.run.projects import Project

        return Project(self._local, entity or self._needed_entity(name), name)

    @as_comm_error
    def projects(self, entity: str | None = None, per_page: int = 200) -> Projects:
        """The projects of an entity that are mirrored."""
        from mirror.run.projects import Projects

        return Projects(self._local, entity or self._needed_entity(None), per_page)

    @as_comm_error
    def sweep(self, path: str = "") -> Sweep:
        """A sweep, by the same forms of paths as a run's; the same text gives the same object until `flush()`.

        Raises:
            NotMirrored: the sweep is not in this mirror; also a `ValueError`.
        """
        from mirror.run.sweeps import Sweep

        entity, project, sweep_id = self._run_path(path)
        key = f"sweep {path}"
        if key not in self._held:
            self._held[key] = Sweep(self._local, entity, project, sweep_id)
        found: Sweep = self._held[key]
        return found

    @as_comm_error
    def from_path(self, path: str) -> Project | Run | Sweep:
        """What a path names: a project of one or two parts, a run of three, a run or a sweep of four.

        Raises:
            NotMirrored: it is not in this mirror, or is a report.
            CommError: it names nothing that there can be.
        """
        parts = path.strip("/ ").split("/")
        if len(parts) <= 2:
            return self.project(parts[-1], parts[0] if len(parts) == 2 else None)
        if len(parts) == 3 or (len(parts) == 4 and parts[2].startswith("run")):
            return self.run(path)
        if len(parts) == 4 and parts[2].startswith("sweep"):
            return self.sweep(path)
        if len(parts) == 4 and parts[2].startswith("report"):
            raise only_server_knows(f"the report {path!r} is")
        raise CommError("Invalid path, should be TEAM/PROJECT/TYPE/ID where TYPE is runs, sweeps, or reports")

    def user(self, username_or_email: str) -> User | None:
        """The key's owner, by name or address.

        Raises:
            NotMirrored: it is somebody else, of whom only the server can tell whether there are such.
        """
        viewer = self._local.viewer
        if viewer is not None and username_or_email in (viewer.username, viewer.email):
            return self.viewer
        raise only_server_knows(f"the user {username_or_email!r} is")

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
        if run_id and (fault := run_id_fault(run_id)) is not None:
            raise CommError(fault)
        path = RunPath(
            entity or self._needed_entity(name),
            name,
            run_id or "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH)),
        )
        from mirror.run.run import Run

        try:
            return Run(self._local, path)  # W&B answers with the run that is there
        except NotMirrored:
            self._local.enqueue(path, None, Create(state=state))
            return Run(self._local, path)
