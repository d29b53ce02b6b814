"""Who made a run."""

from __future__ import annotations

from mirror.run.attrs import Attrs


class User(Attrs):
    """A user, as far as a listing of runs names them."""

    @property
    def name(self) -> str | None:
        """The name that people see."""
        return self._attrs.get("name")

    @property
    def username(self) -> str | None:
        """The name in addresses."""
        return self._attrs.get("username")

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<User {self.username}>"
