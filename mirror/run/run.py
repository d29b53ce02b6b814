"""`Run`: the whole surface of the SDK's `wandb.apis.public.Run`, answered from the mirror, with no network.

Each member has its place: what the run is in `facts`, what changes it in `pending.edits`, its history in
`history.members`, the tables that it logged in `logged_tables`, what else it contains in `contents`, how it looks in
`page.notebook`. Here is what leads to the other objects that people hold: artifacts, its sweep.
"""

from __future__ import annotations

from typing import Literal, Protocol

from mirror.records.operations import LogArtifact, UseArtifact
from mirror.run.artifacts.artifact import Artifact
from mirror.run.artifacts.run_artifacts import RunArtifacts
from mirror.run.logged_tables import RunTables
from mirror.run.page.notebook import RunLook
from mirror.run.sdk.calls import as_comm_error
from mirror.run.sweeps import Sweep


class CreatesRuns(Protocol):
    """The `Api` of a mirror, as far as `Run.create` needs it."""

    def _create_run(
        self, *, run_id: str | None, project: str | None, entity: str | None, state: Literal["running", "pending"]
    ) -> Run: ...


class Run(RunTables, RunLook):
    """One run of the mirror. Made by `Api.run`, `Api.runs` and `Run.create`."""

    _sweep: Sweep | None = None

    @classmethod
    def create(
        cls,
        api: CreatesRuns,
        run_id: str | None = None,
        project: str | None = None,
        entity: str | None = None,
        state: Literal["running", "pending"] = "running",
    ) -> Run:
        """Queue a new run.

        Args:
            api: of the mirror.
            run_id: its id, fixed now; None makes one.
            project: None: the default one, else "uncategorized".
            entity: None: the default one.
            state: "running", or "pending" for a run that is resumed later.

        Returns:
            The run, which can be changed at once: later operations wait for its creation.

        Raises:
            CommError: the state is another, or no entity is known.
        """
        return api._create_run(run_id=run_id, project=project, entity=entity, state=state)

    @as_comm_error
    def logged_artifacts(self, per_page: int = 100) -> RunArtifacts:
        """The versions that the run logged, oldest first, with those that are queued.

        Args:
            per_page: versions read at a time.
        """
        return RunArtifacts(self._local, self, "logged", per_page)

    @as_comm_error
    def used_artifacts(self, per_page: int = 100) -> RunArtifacts:
        """The versions that the run used, oldest first, with those that are queued.

        Args:
            per_page: versions read at a time.
        """
        return RunArtifacts(self._local, self, "used", per_page)

    @as_comm_error
    def use_artifact(self, artifact: Artifact, use_as: str | None = None) -> Artifact:
        """Queue that the run used a version.

        Args:
            artifact: from `Api.artifact`.
            use_as: what it was used as.
        """
        if not isinstance(artifact, Artifact):
            raise TypeError("You must pass a mirror.Api().artifact() to use_artifact")
        self._queue(UseArtifact(artifact_id=artifact.id, name=artifact.qualified_name, use_as=use_as or artifact.name))
        return artifact

    @as_comm_error
    def log_artifact(
        self, artifact: Artifact, aliases: list[str] | None = None, tags: list[str] | None = None
    ) -> Artifact:
        """Queue that the run logged a version that exists.

        Args:
            artifact: from `Api.artifact`, of this run's project.
            aliases: to give it.
            tags: to give it.
        """
        if not isinstance(artifact, Artifact):
            raise TypeError("You must pass a mirror.Api().artifact() to log_artifact")
        if (self.entity, self.project) != (artifact.source_entity, artifact.source_project):
            raise ValueError("A run can't log an artifact to a different project.")
        self._queue(
            LogArtifact(
                artifact_id=artifact.id,
                name=artifact.qualified_name,
                collection=artifact.source_name.split(":")[0],
                type=artifact.type,
                digest=artifact.digest,
                digest_algorithm=artifact.digest_algorithm,
                aliases=tuple(aliases or ()),
                tags=tuple(tags or ()),
            )
        )
        return artifact

    @property
    def sweep(self) -> Sweep | None:
        """The sweep that started the run, read when it is first asked for; None for a run without one.

        Raises:
            NotMirrored: the sweep is not in this mirror.
        """
        self._load_sweep()
        return self._sweep

    def _load_sweep(self) -> None:
        if self._sweep is None and self.sweep_name:
            self._sweep = Sweep(self._local, self.entity, self.project, self.sweep_name)
