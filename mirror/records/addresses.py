"""The addresses of W&B: a project and a run. They are tuples, so that SQL, GraphQL and Python take them apart."""

from __future__ import annotations

from typing import NamedTuple


class ProjectKey(NamedTuple):
    """A project's address; entity and project never hold a slash."""

    entity: str
    project: str

    def __str__(self) -> str:
        """`entity/project`."""
        return f"{self.entity}/{self.project}"


class RunPath(NamedTuple):
    """A run's address."""

    entity: str
    project: str
    run_id: str

    def __str__(self) -> str:
        """`entity/project/run_id`."""
        return f"{self.entity}/{self.project}/{self.run_id}"

    @property
    def key(self) -> ProjectKey:
        """Of the project."""
        return ProjectKey(self.entity, self.project)
