"""`wandb-mirror runs`: list mirrored runs, chosen and ordered in W&B's own terms."""

from __future__ import annotations

from typing import Any

import click

from mirror.cli.filter_text import parse_filter
from mirror.cli.names import find_projects, warn_of_states
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import UTF8
from mirror.cli.terminal.results import show
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cli.terminal.tables import width_of_answers
from mirror.cli.terminal.times import utc_option
from mirror.run.sql import connect
from mirror.store.filters.run_groups import run_groups_sql
from mirror.store.filters.run_list import RunQuery, run_list_sql
from mirror.store.sql.statements import run_sql

DEFAULT_ORDER = "-created_at"
DEFAULT_COLUMNS = "path,display_name,state,tags,created_at,heartbeat_at"
NARROW, NARROW_COLUMNS = 110, "path,display_name,state,created_at"  # on a terminal of fewer characters


@click.command("runs", epilog=exit_statuses(5))
@setting_options
@click.option(
    "--project", type=UTF8, metavar="PROJECT", help="Only this: its path, name or beginning; globs as ENTITY/*."
)
@click.option("--state", "states", multiple=True, help="Only runs in this state; may be given again.")
@click.option("--tag", "tags", type=UTF8, multiple=True, help="Only runs with this tag; given again, with all of them.")
@click.option("--group", type=UTF8, help="Only runs of this group.")
@click.option("--sweep", help="Only runs of this sweep.")
@click.option("--filter", "filters", type=UTF8, metavar="JSON", help='W&B\'s filters: \'{"config.lr": {"$gt": 0.1}}\'.')
@click.option("--order", type=UTF8, help=f"As W&B has it: -summary_metrics.loss.  [default: {DEFAULT_ORDER}]")
@click.option(
    "--columns", type=UTF8, help=f"Names, by commas; config.K and summary.K too.  [default: {DEFAULT_COLUMNS}]"
)
@click.option(
    "--group-by",
    "group_by",
    type=UTF8,
    metavar="A,B",
    help="A row for all runs that share these; of --columns mean, min and max, or just median(summary.loss).",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many (a table: 50, the other forms: all).")
@click.option("--gone", is_flag=True, help="Also runs that were deleted upstream.")
@click.option("--json", "form", flag_value="json", help="A JSON array of objects (docs/json.md).")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header.")
@utc_option
def command(
    home: str | None,
    config: str | None,
    project: str | None,
    states: tuple[str, ...],
    tags: tuple[str, ...],
    group: str | None,
    sweep: str | None,
    filters: str | None,
    order: str | None,
    columns: str | None,
    group_by: str | None,
    limit: int | None,
    gone: bool,
    form: str | None,
) -> None:
    """List mirrored runs. Asks the mirror alone, never the network."""
    setting = find_setting(home, config)
    clauses: list[dict[str, Any]] = []
    warn_of_states(states, setting.home)
    if states:
        clauses.append({"state": {"$in": list(states)}})
    clauses += [{"tags": tag} for tag in tags]
    if group is not None:
        clauses.append({"group": group})
    if sweep is not None:
        clauses.append({"sweep": sweep})
    if filters is not None:
        clauses.append(parse_filter(filters))
    query = RunQuery(
        project=find_projects(project, setting.home),
        filters={"$and": clauses} if clauses else None,
        order=order or (DEFAULT_ORDER if group_by is None else None),
        columns=_names(columns or "") if columns is not None or group_by is not None else _default_columns(form),
        limit=limit if limit is not None or form is not None else 50,
        with_gone=gone,
    )
    text, parameters = run_list_sql(query) if group_by is None else run_groups_sql(query, _names(group_by))
    engine = connect(setting.home, settings=setting.config.store)
    try:
        show(run_sql(engine, text, parameters), form or "table", by_the_clock=True)
    finally:
        engine.close()


def _default_columns(form: str | None) -> tuple[str, ...]:
    return _names(DEFAULT_COLUMNS if form is not None or width_of_answers() >= NARROW else NARROW_COLUMNS)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
