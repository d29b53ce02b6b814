"""Keep pyarrow and DuckDB from importing pandas unasked, where it is installed: half a second that no command needs."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Nothing of it is to be found.

        Raises:
            ModuleNotFoundError: as where it is not installed. `None` in `sys.modules` is not enough: pyarrow takes it.
        """
        if name == "pandas":
            raise ModuleNotFoundError("no command needs pandas", name=name)


def leave_pandas_out() -> None:
    """For the rest of the process, unless it is there already."""
    if not any(isinstance(finder, _NoPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoPandas())
