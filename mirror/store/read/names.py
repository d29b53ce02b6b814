"""Runs by what people call them: a run id or its beginning, a display name, with the project or without."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.queries import Queryable, columns_of, structs

LISTED = 20  # runs that fit, of which a person is to choose
NEAR = 3
MOST_TYPOS = 3  # letters


class NamedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and what tells it from others of its name."""

    entity: str
    project: str
    run_id: str
    display_name: str | None
    state: str | None
    created_at: dt.datetime | None  # UTC, without a zone

    @property
    def run_path(self) -> RunPath:
        """Entity, project, run id."""
        return RunPath(self.entity, self.project, self.run_id)


_COLUMNS = columns_of(NamedRun)
_WHOLE, _BEGINNING = 2, 4  # the last ranks of a whole name, and of its beginning
# The better a name fits, the lower its rank; only the runs of the best rank count.
_RANK = (
    "CASE WHEN run_id = ? THEN 0 WHEN display_name = ? THEN 1 WHEN lower(display_name) = lower(?) THEN 2"
    " WHEN starts_with(run_id, ?) THEN 3 WHEN starts_with(lower(display_name), lower(?)) THEN 4 END"
)
# In how many letters a column and what was typed of it differ; null where it was not typed.
_TYPOS = "damerau_levenshtein(lower({}), lower(?))"


def runs_named(
    lake: Queryable, name: str, *, project: str | None = None, entity: str | None = None, whole: bool = False
) -> list[NamedRun]:
    """The runs that fit a name best, the latest first.

    Args:
        lake: to ask.
        name: a run id, a display name, or how one of them begins.
        project: only of projects of this name.
        entity: only of this entity.
        whole: the beginning of a name is not enough.

    Returns:
        At most `LISTED`.
    """
    rows = lake.rows(
        f"SELECT {_COLUMNS} FROM (SELECT *, {_RANK} AS rank FROM lake.runs"
        " WHERE coalesce(lower(project) = lower(?), true) AND coalesce(entity = ?, true))"
        " WHERE rank <= ? QUALIFY rank = min(rank) OVER ()"
        " ORDER BY created_at DESC NULLS LAST, entity, project, run_id LIMIT ?",
        [name, name, name, name, name, project, entity, _WHOLE if whole else _BEGINNING, LISTED],
    )
    return structs(NamedRun, rows)


def similar_runs(
    lake: Queryable, name: str, *, project: str | None = None, entity: str | None = None, limit: int = NEAR
) -> list[NamedRun]:
    """The runs that a mistyped name may be meant for, the likest first; none that is unlike it.

    Args:
        lake: to ask.
        name: a run id or a display name.
        project: as typed; None: not typed.
        entity: as typed; None: not typed.
        limit: at most so many.
    """
    of_name = f"least({_TYPOS.format('run_id')}, {_TYPOS.format('display_name')})"
    outside = " + ".join(f"coalesce({_TYPOS.format(column)}, 0)" for column in ("project", "entity"))
    rows = lake.rows(
        f"SELECT {_COLUMNS} FROM (SELECT *, {of_name} + {outside} AS typos FROM lake.runs) WHERE typos <= ?"
        " ORDER BY typos, created_at DESC NULLS LAST LIMIT ?",
        [name, name, project, entity, max(1, min(MOST_TYPOS, len(name) // 3)), limit],
    )
    return structs(NamedRun, rows)


def states_held(lake: Queryable) -> list[str]:
    """The states that mirrored runs are in."""
    return [str(state) for (state,) in lake.rows("SELECT DISTINCT state FROM lake.runs WHERE state IS NOT NULL")]


def display_names(lake: Queryable, runs: Sequence[RunPath]) -> dict[RunPath, str]:
    """The display names of some runs, as they are mirrored; a run without one, or that is not held, is left out.

    Args:
        lake: to ask.
        runs: their paths.
    """
    wanted = "SELECT unnest(?::VARCHAR[]) AS entity, unnest(?::VARCHAR[]) AS project, unnest(?::VARCHAR[]) AS run_id"
    rows = lake.rows(
        "SELECT entity, project, run_id, display_name FROM lake.runs"
        f" SEMI JOIN ({wanted}) USING (entity, project, run_id) WHERE display_name <> ''",
        [[run[part] for run in runs] for part in range(3)],
    )
    return {RunPath(*path): name for *path, name in rows}
