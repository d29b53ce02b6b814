"""Keep pyarrow and DuckDB from importing what they do without, where it is there: half a second that nobody needs."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

NEEDLESS = ("pandas", "numpy")


class _Refusing(MetaPathFinder):
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Nothing of them is to be found.

        Raises:
            ModuleNotFoundError: as where it is not installed. `None` in `sys.modules` is not enough: pyarrow takes it.
        """
        if name in self.names:
            raise ModuleNotFoundError(f"this command does without {name}", name=name)


def leave_out(names: tuple[str, ...] = NEEDLESS) -> None:
    """For the rest of the process, unless they are there already."""
    if not any(isinstance(finder, _Refusing) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Refusing(names))


def let_in(name: str) -> None:
    """From now on it may be imported, by whoever has work that is worth the time."""
    for finder in sys.meta_path:
        if isinstance(finder, _Refusing):
            finder.names = tuple(other for other in finder.names if other != name)
