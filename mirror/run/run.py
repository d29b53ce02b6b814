"""`Run`: the whole surface of the SDK's `wandb.apis.public.Run`, answered from the mirror, with no network.

Each member has its place: what the run is in `facts`, what changes it in `pending.edits`, its history in
`history.members`, what else it contains in `contents`, how it looks in `page.notebook`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mirror.run.contents import RunContents
from mirror.run.history.members import RunHistory
from mirror.run.page.notebook import RunLook

if TYPE_CHECKING:
    from mirror.run.api import Api


class Run(RunHistory, RunLook, RunContents):
    """One run of the mirror. Made by `Api.run`, `Api.runs` and `Run.create`."""

    @classmethod
    def create(
        cls,
        api: Api,
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
