"""Runs as rows: their facts, and each key of config and summary as a column `config.lr`, `summary.loss`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mirror.errors import CommError
from mirror.run.facts import RunFacts
from mirror.run.frames import Framed
from mirror.texts.nonfinite import NUMBERS

# Columns that every run has, and the server's fields that they show.
FACTS = {
    "entity": "entity", "project": "project", "run_id": "id", "display_name": "name", "state": "state", "tags": "tags",
    "group": "group", "job_type": "jobType", "sweep": "sweepName", "user": "user", "created_at": "createdAt",
    "heartbeat_at": "heartbeatAt", "notes": "notes",
}  # fmt: skip
MOST_CELLS = 20_000_000
_DEEPEST = 16  # levels that are flattened; what lies below stays a dictionary


class RunTable(Framed):
    """A row a run, a column a fact or a key.

    Args:
        runs: in order.
        columns: which columns, in order; None: all facts, then each key of config and summary that any run has.

    Raises:
        CommError: it would have more than `MOST_CELLS`.
    """

    def __init__(self, runs: Iterable[RunFacts], columns: Sequence[str] | None = None) -> None:
        self._rows: list[dict[str, Any]] = []
        wanted = None if columns is None else frozenset(columns)
        known: dict[str, None] = {}
        for run in runs:
            row = {name: value for name, value in _row(run) if wanted is None or name in wanted}
            self._rows.append(row)
            known.update(dict.fromkeys(row))
            if len(self._rows) * len(known) > MOST_CELLS:
                raise CommError(
                    f"a table of these runs has more than {MOST_CELLS:,} cells",
                    hint='name the columns that you need: columns=["run_id", "config.lr"]',
                )
        rest = sorted(name for name in known if name not in FACTS)
        self.names = list(dict.fromkeys(columns)) if columns is not None else [*FACTS, *rest]

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self._rows)

    def _columns(self) -> Mapping[str, Sequence[Any]]:
        return {name: _numbers([row.get(name) for row in self._rows]) for name in self.names}


def flattened(prefix: str, document: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Keys of a document with their values, those of dictionaries joined by dots; a key that is spelled so comes last,
    so that it has its way. What has a `_type` is W&B's, and stays whole.
    """
    inner = [key for key, value in document.items() if _is_inner(value) and depth < _DEEPEST]
    for key in inner:
        yield from flattened(f"{prefix}.{key}", document[key], depth + 1)
    for key, value in document.items():
        if key not in inner:
            yield f"{prefix}.{key}", value


def _row(run: RunFacts) -> Iterator[tuple[str, Any]]:
    for name, field in FACTS.items():
        if name == "user":
            yield name, run.user.username if run.user is not None else None
        else:
            yield name, getattr(run, field) if field in _MEMBERS else run._attrs.get(field)
    yield from flattened("config", run._known_document("config") or {})
    summary = {key: value for key, value in run._known_summary().items() if key != "_wandb"}
    yield from flattened("summary", summary)


_MEMBERS = frozenset({"entity", "project", "id", "name", "state"})


def _is_inner(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and "_type" not in value


def _numbers(values: list[Any]) -> list[Any]:
    """W&B's words for what is not finite as floats, where all else in the column is numbers."""
    spoken = [value for value in values if isinstance(value, str)]
    if not spoken or not NUMBERS.keys() >= set(spoken):
        return values
    rest = [value for value in values if value is not None and not isinstance(value, str)]
    if not rest or any(isinstance(value, bool) or not isinstance(value, int | float) for value in rest):
        return values
    return [NUMBERS[value] if isinstance(value, str) else value for value in values]
