"""What `Run`, `File`, `Sweep` and `Project` share: the server's fields in both spellings, and a page to display."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any


class Attrs:
    """An object over the fields that the server sent, under their camelCase names.

    `obj.created_at` and `obj.createdAt` are the same. Assigning to a field sets an attribute of the object, which is
    how `run.notes = "…"` and then `run.update()` works; the fields stay as they were read.
    """

    def __init__(self, attrs: Mapping[str, Any]) -> None:
        self._attrs: dict[str, Any] = dict(attrs)

    def snake_to_camel(self, string: str) -> str:
        """`created_at` becomes `createdAt`."""
        camel = "".join(part.title() for part in string.split("_"))
        return camel[:1].lower() + camel[1:]

    def to_html(self, height: int = 420, hidden: bool = False) -> str | None:  # noqa: ARG002 - for those who have one
        """A page of HTML, where the object has one."""
        return None

    def display(self, height: int = 420, hidden: bool = False) -> bool:
        """Show the object in Jupyter; False outside of it."""
        html = self.to_html(height, hidden) if _in_jupyter() else None
        if html is None:
            return False
        display: Any = importlib.import_module("IPython.display")
        display.display(display.HTML(html))
        return True

    def __getattr__(self, name: str) -> Any:
        """A field of the server, in either spelling.

        Raises:
            AttributeError: there is no such field.
        """
        attrs = self.__dict__.get("_attrs")
        if attrs is not None and not name.startswith("__"):
            camel = self.snake_to_camel(name)
            if camel == "user":
                raise AttributeError(name)
            for key in (camel, name):
                if key in attrs:
                    return attrs[key]
            raise AttributeError(f"'{self!r}' object has no attribute {name!r}")
        raise AttributeError(name)


def _in_jupyter() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
