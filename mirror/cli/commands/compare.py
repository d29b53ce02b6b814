"""`wandb-mirror compare`: in what runs differ, and their curves over one another."""

from __future__ import annotations

from typing import Any

import click
from msgspec import UNSET

from mirror.cli.differences import Difference, compared
from mirror.cli.run_paths import find_run, shown_names
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.shown_run import shown_run
from mirror.cli.terminal.documents import logged_keys, rising_keys
from mirror.cli.terminal.output import UTF8, print_json, say, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cli.terminal.tables import cell, print_table
from mirror.cli.terminal.times import reclocked, utc_option
from mirror.errors import ConfigError, NotMirrored
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.run.pending.local import LocalMirror
from mirror.run.run import Run
from mirror.texts.amounts import plural

MOST = 8  # runs
SHOWN = 200  # values of a part in a table
PLOTS = 3  # keys that are drawn when none is named
FIELDS = (
    *("state", "tags", "group", "job_type", "sweep", "notes", "description", "user", "host", "commit"),
    *("created_at", "heartbeat_at", "history_line_count"),
)
TIMES = ("created_at", "heartbeat_at")
ABSENT = "–"


@click.command("compare", epilog=exit_statuses(5))
@setting_options
@click.argument("runs", type=UTF8, nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--all", "with_equal", is_flag=True, help="Also what is the same in all of them.")
@click.option("--keys", type=UTF8, metavar="A,B", help=f"Draw these keys (else up to {PLOTS} that all of them logged).")
@click.option("--log", is_flag=True, help="Draw with a logarithmic axis.")
@click.option("--no-plot", is_flag=True, help="Draw nothing.")
@utc_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(
    home: str | None,
    config: str | None,
    runs: tuple[str, ...],
    with_equal: bool,
    keys: str | None,
    log: bool,
    no_plot: bool,
    as_json: bool,
) -> None:
    """Show in what runs differ: fields, config, summary, metadata; and draw their curves. No network.

    Each RUN is ENTITY/PROJECT/RUN_ID, its web address, or an id or a name that just one run has. What waits in the
    outbox counts as if it had happened.
    """
    chosen = None if keys is None else [name for name in keys.split(",") if name]
    if chosen == []:
        raise ConfigError("--keys names no key", hint="such as --keys loss,val/acc")
    setting = find_setting(home, config)
    paths = list(dict.fromkeys(find_run(run, setting) for run in runs))
    if not 1 < len(paths) <= MOST:
        raise ConfigError(f"{plural(len(paths), 'run')} cannot be compared", hint=f"name 2 to {MOST} different ones")
    rows = [shown_run(setting.home, path)[0] for path in paths]
    found = all_values(rows, metadata_of(setting.home, paths))
    if as_json:
        _print_json(paths, rows, found, with_equal=with_equal)
        return
    names = shown_names(setting.home, paths)
    _print(list(names.values()), found, with_equal=with_equal)
    if not no_plot:
        _draw(setting.home, names, chosen or common_keys(rows), log=log)


def all_values(rows: list[dict[str, Any]], metadata: list[dict[str, Any] | None]) -> list[Difference]:
    """Everything that runs may differ in.

    Args:
        rows: of the view `runs`, one of each run.
        metadata: what `wandb-metadata.json` of each says; None where it is not held.
    """
    fields = [{name: row[name] for name in FIELDS if row.get(name) not in (None, [])} for row in rows]
    return [
        *compared("run", fields),
        *compared("config", [_document(row["config"]) for row in rows]),
        *compared("summary", [_document(row["summary"]) for row in rows]),
        *compared("metadata", metadata),
    ]


def metadata_of(home: Home, paths: list[RunPath]) -> list[dict[str, Any] | None]:
    """What `wandb-metadata.json` of each run says; None where it is not held."""
    local, found = LocalMirror(home), []
    for path in paths:
        try:
            found.append(_document(Run(local, path).metadata))
        except NotMirrored:
            found.append(None)
    local.reader.close()
    return found


def common_keys(rows: list[dict[str, Any]]) -> list[str] | None:
    """The first keys of numbers that all runs logged, by name, counters last; None where no document tells any."""
    logged = [{name for name, kinds, _ in logged_keys(row["history_keys"]) or [] if "number" in kinds} for row in rows]
    common = [name for name in set.intersection(*logged) if not name.startswith("_")]
    rising = rising_keys(rows[0]["history_keys"])
    return sorted(common, key=lambda name: (name in rising, name))[:PLOTS] or None


def _document(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _print(names: list[str], found: list[Difference], *, with_equal: bool) -> None:
    """A table for each part; what is the same is counted."""
    shown = [one for one in found if with_equal or not one.is_one]
    for part in dict.fromkeys(one.part for one in shown):
        rows = [one for one in shown if one.part == part]
        cells = ([one.key, *(_cell(one.key, value) for value in one.values)] for one in rows[:SHOWN])
        print_table([part, *names], cells)
        if len(rows) > SHOWN:
            say(f"cut after {SHOWN} values of {part}; --json has all {len(rows):,}")
        write("")
    if not shown:
        write("no differences")
    if equal := sum(one.is_one for one in found):
        write(f"{plural(equal, 'value is', 'values are')} the same in all{'' if with_equal else '; --all shows them'}")


def _cell(key: str, value: Any) -> Any:
    if value is UNSET:
        return ABSENT
    if value is None:
        return "null"
    return reclocked(value) if key in TIMES else value if isinstance(value, int | float) else cell(value)


def _print_json(paths: list[RunPath], rows: list[dict[str, Any]], found: list[Difference], *, with_equal: bool) -> None:
    """The documented contract."""
    shown = [one for one in found if with_equal or not one.is_one]
    print_json(
        {
            "runs": [
                {"path": str(path), "display_name": row["display_name"]} for path, row in zip(paths, rows, strict=True)
            ],
            "differences": [
                {
                    "part": one.part,
                    "key": one.key,
                    "values": [None if value is UNSET else value for value in one.values],
                    "present": [value is not UNSET for value in one.values],
                }
                for one in shown
            ],
            "equal": sum(one.is_one for one in found),
        }
    )


def _draw(home: Home, names: dict[RunPath, str], keys: list[str] | None, *, log: bool) -> None:
    """The curves; a history that is not held is no reason to show nothing at all."""
    from mirror.cli.plotting import plot_runs  # here: without curves it is faster without Arrow

    write("")
    try:
        plot_runs(home, names, keys, log=log, most=PLOTS)
    except NotMirrored as error:
        say(f"no curves: {error.message}")
