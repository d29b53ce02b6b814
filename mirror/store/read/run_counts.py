"""How much of a kind is held of some runs of a project. Runs of which nothing is held are left out."""

from __future__ import annotations

from collections.abc import Sequence

from mirror.store.engine.queries import Queryable
from mirror.store.schema.keys import OF_RUNS


def count_files(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, int]:
    """Files that the server lists, by run id."""
    return _by_run(lake, project, run_ids, "count(*)", f"lake.files WHERE {OF_RUNS} AND status <> 'gone'")


def sum_of_files(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, int]:
    """Bytes of the files that the server lists, by run id."""
    return _by_run(lake, project, run_ids, "coalesce(sum(size), 0)", f"lake.files WHERE {OF_RUNS} AND status <> 'gone'")


def count_console_lines(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, int]:
    """Lines of the console by run id, those before the first that is held among them."""
    return _by_run(lake, project, run_ids, "max(number) + 1", f"lake.console_lines WHERE {OF_RUNS}")


def count_events(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str]) -> dict[str, int]:
    """Rows of system metrics, by run id."""
    return _by_run(lake, project, run_ids, "max(number) + 1", f"lake.system_metrics WHERE {OF_RUNS}")


def _by_run(lake: Queryable, project: tuple[str, str], run_ids: Sequence[str], count: str, rows: str) -> dict[str, int]:
    query = f"SELECT run_id, {count} FROM {rows} GROUP BY run_id"
    return {run_id: int(number) for run_id, number in lake.rows(query, [*project, list(run_ids)])}
