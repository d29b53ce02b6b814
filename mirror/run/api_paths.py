"""What `Api` is told and finds out before it is asked anything: the home, the defaults, and paths by them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from mirror.layout import Home, find_home
from mirror.records.addresses import RunPath
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.paths import parse_artifact_path, parse_path, parse_project_path
from mirror.run.user import User


class ApiPaths:
    """The ground of `Api`.

    Args:
        given: the overrides, which the SDK takes first, or the home.
        timeout: in seconds; the SDK's, and means nothing here, where nobody is waited for.
        api_key: the SDK's; it is neither used nor kept.
        overrides: `{"entity": …, "project": …}` for paths that leave them out; else `WANDB_ENTITY` and
            `WANDB_PROJECT`, where something of them is mirrored: they may be set for training alone.
        home: the mirror's directory; else `WANDB_MIRROR_HOME`, else the user's data folder.

    Raises:
        ConfigError: `home` is no path.
        TypeError: the home or the overrides are given twice.
    """

    def __init__(
        self,
        given: Mapping[str, Any] | str | os.PathLike[str] | Home | None = None,
        /,
        timeout: float | None = None,
        api_key: str | None = None,
        *,
        overrides: Mapping[str, Any] | None = None,
        home: str | os.PathLike[str] | Home | None = None,
    ) -> None:
        del api_key
        if isinstance(timeout, Mapping):
            raise TypeError("beside a home, overrides are named: Api(home, overrides={…})")
        if isinstance(given, Mapping):
            overrides = _only(given, overrides, "overrides")
        elif given is not None:
            home = _only(given, home, "home")
        self._local = LocalMirror(home if isinstance(home, Home) else find_home(home))
        self.settings: dict[str, Any] = {
            "entity": os.environ.get("WANDB_ENTITY"),
            "project": os.environ.get("WANDB_PROJECT"),
            "organization": os.environ.get("WANDB_ORGANIZATION"),
            **(overrides or {}),
        }
        self._overrides = dict(overrides or {})
        self._held: dict[str, Any] = {}

    @property
    def home(self) -> Home:
        """The mirror's directory."""
        return self._local.home

    @property
    def user_agent(self) -> str:
        """Who asks; nobody is told."""
        return f"wandb-mirror {version('wandb-mirror')}"

    @property
    def viewer(self) -> User:
        """Whom the API key belongs to, as the server told at an earlier pull.

        Raises:
            NotMirrored: no pull asked yet, or the server does not tell.
        """
        return User.of_key(self._local.viewer)

    @property
    def default_entity(self) -> str | None:
        """The entity of paths that name none: as given, else the environment's, else the key's owner's, if something of
        it is mirrored, else the only one that is mirrored, else the first of those two that is known.
        """
        return self._entity or self._known_entity(self._local.projects())

    @property
    def _entity(self) -> str | None:
        return self._overrides.get("entity") or None

    @property
    def _project(self) -> str | None:
        return self._overrides.get("project") or None

    def _run_path(self, path: str) -> RunPath:
        return parse_path(path, entity=self._entity, project=self._project, default=self._known)

    def _project_path(self, path: str | None) -> tuple[str, str]:
        return parse_project_path(path, entity=self._entity, project=self._project, default=self._known)

    def _artifact_path(self, path: str) -> tuple[str, str, str]:
        return parse_artifact_path(path, entity=self._entity, project=self._project, default=self._known)

    def _known(self) -> tuple[str | None, str | None]:
        """Entity and project where none is given; the project where just one is mirrored."""
        known = self._local.projects()
        entity, project = self._known_entity(known), self.settings.get("project")
        if project and (entity, project) in known:
            return entity, project
        return entity, known[0][1] if len(known) == 1 else project or None

    def _known_entity(self, known: list[tuple[str, str]]) -> str | None:
        entities = {entity for entity, _ in known}
        viewer = self._local.viewer
        owner = (viewer.entity or viewer.username or None) if viewer is not None else None
        meant = [name for name in (self.settings.get("entity"), owner) if name]
        held = [name for name in meant if name in entities]
        if held or len(entities) != 1:
            return next(iter([*held, *meant]), None)
        return entities.pop()

    def _needed_entity(self, name: str | None) -> str:
        entity = self.default_entity
        if not entity:
            raise ValueError(f"no entity is given{f' for {name}' if name else ''}, and not just one is mirrored")
        return entity

    def __getstate__(self) -> dict[str, Any]:
        """Without the objects that were handed out."""
        return {**self.__dict__, "_held": {}}


def _only(given: Any, named: Any, what: str) -> Any:
    if named is not None:
        raise TypeError(f"{what} is given twice")
    return given
