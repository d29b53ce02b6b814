"""The members of the SDK's `Api` that only the server can answer or do: each says so in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from mirror.run.sdk.absent import only_server_can, only_server_knows


class ServerOnly:
    """What a mirror refuses. The arguments are the SDK's, so that a script fails at what it asks and not at how."""

    # What only the server knows. Each raises `NotMirrored`.

    def automation(self, name: str, *, entity: str | None = None) -> NoReturn:
        """Not mirrored."""
        del entity
        raise only_server_knows(f"the automation {name!r} is")

    def automations(
        self, entity: str | None = None, *, name: str | None = None, per_page: int = 50, start: str | None = None
    ) -> Iterator[Any]:
        """Not mirrored."""
        del entity, name, per_page, start
        raise only_server_knows("automations are")

    def integrations(self, entity: str | None = None, *, per_page: int = 50, start: str | None = None) -> Iterator[Any]:
        """Not mirrored."""
        del entity, per_page, start
        raise only_server_knows("integrations are")

    def slack_integrations(
        self, *, entity: str | None = None, per_page: int = 50, start: str | None = None
    ) -> Iterator[Any]:
        """Not mirrored."""
        return self.integrations(entity, per_page=per_page, start=start)

    def webhook_integrations(
        self, entity: str | None = None, *, per_page: int = 50, start: str | None = None
    ) -> Iterator[Any]:
        """Not mirrored."""
        return self.integrations(entity, per_page=per_page, start=start)

    def job(self, name: str | None, path: str | None = None) -> NoReturn:
        """Not mirrored: a job is there to be launched. Its version is an artifact: `artifact(name)`."""
        del path
        raise only_server_knows(f"the launch job {name!r} is")

    def organization(self, name: str | None = None) -> NoReturn:
        """Not mirrored."""
        raise only_server_knows(f"the organization {name!r} is" if name else "organizations are")

    def queued_run(
        self,
        entity: str,
        project: str,
        queue_name: str,
        run_queue_item_id: str,
        project_queue: str | None = None,
        priority: int | None = None,
    ) -> NoReturn:
        """Not mirrored."""
        del entity, project, project_queue, priority
        raise only_server_knows(f"{run_queue_item_id!r} in the launch queue {queue_name!r} is")

    def registries(
        self,
        organization: str | None = None,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the SDK's name
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> NoReturn:
        """Not mirrored."""
        del organization, filter, order, per_page, start
        raise only_server_knows("registries are")

    def registry(self, name: str, organization: str | None = None) -> NoReturn:
        """Not mirrored."""
        del organization
        raise only_server_knows(f"the registry {name!r} is")

    def reports(self, path: str = "", name: str | None = None, per_page: int = 50) -> NoReturn:
        """Not mirrored."""
        del name, per_page
        raise only_server_knows(f"the reports of {path!r} are" if path else "reports are")

    def run_queue(self, entity: str, name: str) -> NoReturn:
        """Not mirrored."""
        raise only_server_knows(f"the launch queue {f'{entity}/{name}'!r} is")

    def team(self, team: str) -> NoReturn:
        """Not mirrored."""
        raise only_server_knows(f"the team {team!r} is")

    def users(self, username_or_email: str) -> NoReturn:
        """Not mirrored."""
        raise only_server_knows(f"users such as {username_or_email!r} are")

    # What only the server can do. Each raises `CommError`, and nothing was queued.

    def create_automation(self, obj: object, *, fetch_existing: bool = False, **kwargs: object) -> NoReturn:
        """Never done."""
        del obj, fetch_existing, kwargs
        raise only_server_can("creating an automation")

    def update_automation(self, obj: object, *, create_missing: bool = False, **kwargs: object) -> NoReturn:
        """Never done."""
        del obj, create_missing, kwargs
        raise only_server_can("changing an automation")

    def delete_automation(self, obj: object) -> NoReturn:
        """Never done."""
        del obj
        raise only_server_can("deleting an automation")

    def create_custom_chart(
        self, entity: str, name: str, display_name: str, spec_type: str, access: str, spec: str | dict[str, Any]
    ) -> NoReturn:
        """Never done."""
        del entity, display_name, spec_type, access, spec
        raise only_server_can(f"creating the chart {name!r}")

    def create_project(self, name: str, entity: str) -> NoReturn:
        """Never done. A project of its own is not needed: `create_run` makes that of its run."""
        raise only_server_can(f"creating the project {f'{entity}/{name}'!r} without a run")

    def create_registry(
        self,
        name: str,
        visibility: str,
        organization: str | None = None,
        description: str | None = None,
        artifact_types: list[str] | None = None,
    ) -> NoReturn:
        """Never done."""
        del visibility, organization, description, artifact_types
        raise only_server_can(f"creating the registry {name!r}")

    def create_run_queue(
        self,
        name: str,
        type: str,  # noqa: A002 - the SDK's name
        entity: str | None = None,
        prioritization_mode: str | None = None,
        config: dict[str, Any] | None = None,
        template_variables: dict[str, Any] | None = None,
    ) -> NoReturn:
        """Never done."""
        del type, entity, prioritization_mode, config, template_variables
        raise only_server_can(f"creating the launch queue {name!r}")

    def upsert_run_queue(
        self,
        name: str,
        resource_config: dict[str, Any],
        resource_type: str,
        entity: str | None = None,
        template_variables: dict[str, Any] | None = None,
        external_links: dict[str, Any] | None = None,
        prioritization_mode: str | None = None,
    ) -> NoReturn:
        """Never done."""
        del resource_config, resource_type, entity, template_variables, external_links, prioritization_mode
        raise only_server_can(f"changing the launch queue {name!r}")

    def create_team(self, team: str, admin_username: str | None = None) -> NoReturn:
        """Never done."""
        del admin_username
        raise only_server_can(f"creating the team {team!r}")

    def create_user(self, email: str, admin: bool | None = False) -> NoReturn:
        """Never done."""
        del admin
        raise only_server_can(f"creating the user {email!r}")

    def sync_tensorboard(
        self, root_dir: str, run_id: str | None = None, project: str | None = None, entity: str | None = None
    ) -> NoReturn:
        """Never done. `wandb sync` has it, where the server can be reached."""
        del run_id, project, entity
        raise only_server_can(f"uploading the events of {root_dir!r}")
