"""What resolvers see: the state, who asks, and which runs the answer shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mirror.sandbox.state.records import ProjectRecord, RunRecord, UserRecord
from mirror.sandbox.state.sandbox_state import SandboxState
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Info, Resolver


@dataclass(kw_only=True)
class Context:
    """One GraphQL request. `user` is None without credentials."""

    state: SandboxState
    user: UserRecord | None
    run_names: set[str] = field(default_factory=set)

    def may_read(self, project: ProjectRecord) -> bool:
        return not project.private or self.may_write(project.entity)

    def may_write(self, entity: str) -> bool:
        return self.user is not None and self.user.belongs_to(entity)

    def readable_project(self, entity: str | None, name: str | None) -> ProjectRecord | None:
        """The project; None when it does not exist or may not be read: the two cannot be told apart."""
        default = self.user.entity if self.user else None
        project = self.state.find_project(entity or default, name)
        return project if project is not None and self.may_read(project) else None

    def writable_run(self, storage_id: str) -> RunRecord:
        """The run of a storage id, for a mutation.

        Raises:
            RequestRefused: no such run, or the key may not write to its entity.
        """
        run = self.state.run_by_storage_id(storage_id)
        if not self.may_write(run.project.entity):
            raise RequestRefused("permission denied", status=403)
        self.run_names.add(run.name)
        return run

    def writable_project(self, entity: str | None, name: str) -> ProjectRecord:
        """The project of that name, made when it is missing.

        Raises:
            RequestRefused: the key may not write to the entity.
        """
        owner = entity or (self.user.entity if self.user else "")
        if not self.may_write(owner):
            raise RequestRefused("permission denied", status=403)
        # A team's projects are private unless said otherwise (Entity.defaultAccess).
        return self.state.add_project(owner, name, private=owner in self.state.teams)


def context(info: Info) -> Context:
    """The request's context, typed."""
    value = info.context
    assert isinstance(value, Context)
    return value


def mutation(act: Callable[[Context, dict[str, Any]], Any]) -> Resolver:
    """A resolver of a mutation that takes one `input`, as all of W&B's do."""

    def resolve(_root: Any, info: Info, **arguments: Any) -> Any:
        return act(context(info), arguments["input"])

    return resolve
