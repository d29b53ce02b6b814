"""Files whose names a folder cannot hold, under names that stand for them, and a table in the folder that says which.

They lie in one folder of their own, `odd-names`, so that none takes the place of a file that has its name. The table,
`odd-names.json`, is an array of objects with `path`, `name` and `reason`; it is ASCII, whatever the names hold. What
another checkout into the folder noted there stays. It is written first: so no file is there that it does not name.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from mirror.durable import TMP_PREFIX, rename_inside, sync_descriptor
from mirror.texts.paths import casefold_path, safe_name

FOLDER = "odd-names"
LARGEST = 1 << 26  # bytes of a table that is read
_COLUMNS = {"path", "name", "reason"}
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class OddNames:
    """The places of a checkout's files.

    Args:
        top: the target, an open folder.
        names: of all files.
        refused: those that the target cannot hold, and why.
    """

    def __init__(self, top: int, names: Iterable[str], refused: Mapping[str, str]) -> None:
        self._top, self._refused = top, refused
        taken = {casefold_path(name.split("/")[0]) for name in names if name not in refused}
        self.folder, self._before = self._free(taken)
        self.table = f"{self.folder}.json"

    def path(self, name: str) -> str:
        """Where a file goes, below the target."""
        return f"{self.folder}/{safe_name(name)}" if name in self._refused else name

    def write_table(self) -> None:
        """Write the table, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        rows = {row["path"]: row for row in self._before}
        for name, reason in self._refused.items():
            rows[self.path(name)] = {"path": self.path(name), "name": name, "reason": reason}
        content = f"{json.dumps([rows[path] for path in sorted(rows)], indent=1)}\n".encode()
        temporary = f"{TMP_PREFIX}{secrets.token_hex(8)}"
        target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666, dir_fd=self._top)
        try:
            with os.fdopen(target, "wb") as file:
                file.write(content)
                file.flush()
                sync_descriptor(file.fileno())
            rename_inside(self._top, temporary, self.table)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._top)
            raise

    def _free(self, taken: set[str]) -> tuple[str, list[dict[str, Any]]]:
        """A name that no file has, for the folder and for the table beside it, and what is in the table already."""
        number, name = 1, FOLDER
        while name in taken or f"{name}.json" in taken or (rows := self._rows(f"{name}.json")) is None:
            number += 1
            name = f"{FOLDER}-{number}"
        return name, rows

    def _rows(self, table: str) -> list[dict[str, Any]] | None:
        """The rows of a table; none where there is none, None where something else has its name."""
        try:
            descriptor = os.open(table, os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0), dir_fd=self._top)
        except FileNotFoundError:
            return []
        except OSError:
            return None
        try:
            with os.fdopen(descriptor, "rb") as file:
                rows = json.loads(file.read(LARGEST))
        except (OSError, ValueError, RecursionError):
            return None
        is_ours = isinstance(rows, list) and all(isinstance(row, dict) and row.keys() >= _COLUMNS for row in rows)
        return rows if is_ours else None
