"""The tables that a run logged with `wandb.log`, by the keys that it logged them under."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from mirror.errors import CommError, NotMirrored, ServerError
from mirror.run.artifacts.table import Table, table_of
from mirror.run.files import Files
from mirror.run.history.members import RunHistory
from mirror.run.sdk.calls import as_comm_error
from mirror.store.read.tables import TableRow, list_tables
from mirror.texts.typed_paths import in_shell

LARGEST = 1 << 29  # bytes of a table's JSON; W&B stops at 200,000 rows
_DIGEST = re.compile(r"[0-9a-f]{64}")


_AS_IT_IS = "its bytes are mirrored as they are: `wandb-mirror checkout RUN` writes them out"


class RunTables(RunHistory):
    """A run whose logged tables can be read."""

    @as_comm_error
    def table(self, key: str, step: int | None = None) -> Table:
        """A table that was logged: `run.table("predictions").to_df()`. The SDK has no such member.

        Args:
            key: as it was logged; a table inside of a dictionary has a dot in it, `eval.predictions`.
            step: as it was logged at this step; None: the last one. Of one that was logged bit by bit, what was there
                by then.

        Raises:
            NotMirrored: its bytes are not held, or the mirror knows of no such table.
            ServerError: its file is no table.
            CommError: it is too large to be read at once.
        """
        found = [
            row for row in list_tables(self._local.reader, self._run_path, key) if step is None or row.step <= step
        ]
        if not found and step is None:
            found = list(_of_summary(self._known_summary(), key))
        if not found or (step is not None and found[-1].step != step):
            raise self._no_table(key, step)
        last = found[-1]
        parts = [last] if last.increment is None else _increments(found)
        noted = self._noted(last)
        try:
            rows = [row for part in parts for row in (noted if part is last else self._noted(part))["data"]]
            return table_of(noted, rows, self._opened)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ServerError(f"{last.path!r} of {self._run_path} is no table: {error!r}", hint=_AS_IT_IS) from error

    def _no_table(self, key: str, step: int | None) -> NotMirrored:
        of_step = "" if step is None else f" at step {step}"
        known = list(dict.fromkeys(row.key for row in list_tables(self._local.reader, self._run_path)))
        listed = ", ".join(map(repr, known[:20])) + (", …" if len(known) > 20 else "")
        tried = f"`wandb-mirror pull {in_shell(*self._run_path)}` asks the server again"
        return NotMirrored(
            f"no table {key!r} of {self._run_path}{of_step} is in this mirror",
            hint=f"it logged {listed}; {tried}" if known else tried,
        )

    def _noted(self, row: TableRow) -> Mapping[str, Any]:
        with self._opened(row.path, row.sha256) as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise CommError(
                f"{row.path!r} of {self._run_path} has more than {LARGEST:,} bytes, which are not read at once",
                hint=f"`wandb-mirror checkout {in_shell(*self._run_path)}` writes it out",
            )
        try:
            noted = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ServerError(f"{row.path!r} of {self._run_path} is not JSON: {error}", hint=_AS_IT_IS) from error
        if not isinstance(noted, dict):
            raise ServerError(f"{row.path!r} of {self._run_path} is no JSON object", hint=_AS_IT_IS)
        return noted

    def _opened(self, path: str, sha256: str | None = None) -> BinaryIO:
        """A file by its digest, under which the object may be held as part of an artifact; else by its name."""
        if sha256 is not None and _DIGEST.fullmatch(sha256) and self._local.objects.has(sha256):
            return self._local.objects.open(sha256)
        for file in Files(self._local, self, [path]):
            return self._local.objects.open(file._content.held())
        raise NotMirrored(
            f"{path!r} of {self._run_path} is not in this mirror",
            hint=f"`wandb-mirror pull {in_shell(*self._run_path)}` fetches it, if its source has files = true",
        )


def _of_summary(summary: Mapping[str, Any], key: str) -> Iterator[TableRow]:
    """The table that a summary names, where the history is not mirrored."""
    from mirror.store.history.nesting import lookup  # here: it brings Arrow along

    noted = lookup(summary, key)
    if isinstance(noted, dict) and noted.get("_type") == "table-file" and isinstance(path := noted.get("path"), str):
        digest = noted.get("sha256")
        yield TableRow(key=key, step=-1, path=path, sha256=digest if isinstance(digest, str) else None, increment=None)


def _increments(rows: list[TableRow]) -> Iterator[TableRow]:
    """The parts of a table that was logged bit by bit, up to the last row; the last one of each number."""
    parts = {
        row.increment: row for row in rows if row.increment is not None and row.increment <= (rows[-1].increment or 0)
    }
    yield from (parts[number] for number in sorted(parts))
