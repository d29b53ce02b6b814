"""Users: who made a run, and whom the key belongs to."""

from __future__ import annotations

from typing import Any

import msgspec

from mirror.errors import NotMirrored
from mirror.records.server import Viewer
from mirror.run.sdk.absent import only_server_can, only_server_knows, unmirrored_field
from mirror.run.sdk.attrs import Attrs

_ELSEWHERE = ("admin", "email", "entity", "id", "teams")  # of a user whom only a listing of runs names


class User(Attrs):
    """A user, as far as a listing of runs names them, or the server told of the key's owner."""

    @classmethod
    def of_key(cls, viewer: Viewer | None) -> User:
        """Whom the API key belongs to.

        Raises:
            NotMirrored: no pull asked yet, or the server does not tell.
        """
        if viewer is None:
            raise NotMirrored("whom the API key belongs to is not known here", hint="the next pull asks the server")
        return cls({**msgspec.structs.asdict(viewer), "teams": list(viewer.teams)})

    @property
    def name(self) -> str | None:
        """The name that people see."""
        return self._attrs.get("name")

    @property
    def username(self) -> str | None:
        """The name in addresses."""
        return self._attrs.get("username")

    @property
    def teams(self) -> list[str]:
        """Names of the teams, in the server's order.

        Raises:
            NotMirrored: they are known of the key's owner alone.
        """
        if "teams" not in self._attrs:
            raise unmirrored_field("teams", self)
        return list(self._attrs["teams"])

    @property
    def api_keys(self) -> list[str]:
        """Never an answer.

        Raises:
            NotMirrored: a mirror holds no keys.
        """
        raise only_server_knows(f"the API keys of {self} are")

    @property
    def user_api(self) -> None:
        """None: a mirror holds no key to make another `Api` with."""
        return

    @classmethod
    def create(cls, api: object, email: str, admin: bool | None = False) -> User:
        """Never done.

        Raises:
            CommError: always.
        """
        del api, admin
        raise only_server_can(f"creating the user {email!r}")

    def generate_api_key(self, description: str | None = None) -> str | None:
        """Never done.

        Raises:
            CommError: always.
        """
        del description
        raise only_server_can(f"making an API key for {self}")

    def delete_api_key(self, api_key: str) -> bool:
        """Never done.

        Raises:
            CommError: always.
        """
        del api_key
        raise only_server_can(f"deleting an API key of {self}")

    def __getattr__(self, name: str) -> Any:
        """A field of the server, in either spelling.

        Raises:
            NotMirrored: it is known of the key's owner alone; also an `AttributeError`.
            AttributeError: there is no such field.
        """
        if name in _ELSEWHERE and name not in self.__dict__.get("_attrs", {name: None}):
            raise unmirrored_field(name, self)
        return super().__getattr__(name)

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<User {self._attrs.get('email') or self.username}>"
