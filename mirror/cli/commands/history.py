"""`wandb-mirror history`: what a run logged step by step, as a table, for programs, or drawn."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

from mirror.cli.run_paths import find_run, not_mirrored
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import UTF8, plural, say, write, write_json_text, write_lines
from mirror.cli.terminal.plot import Series, draw
from mirror.cli.terminal.results import TABLE_ROWS
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cli.terminal.tables import print_table, write_csv
from mirror.errors import ConfigError, NotMirrored
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.store.engine.reader import Reader
from mirror.store.history.forms import WideRows
from mirror.store.history.history import wide_history
from mirror.store.metrics.system_history import system_history
from mirror.store.read.run_overview import RunOverview, run_overview, unknown_keys

PLOTS = 6  # keys that are drawn when none is named
PLOT_WIDTH, PLOT_HEIGHT = 100, 10  # characters
OWN_KEYS = ("_step", "_timestamp", "_runtime")


@click.command("history", epilog=exit_statuses(5))
@setting_options
@click.argument("run", type=UTF8)
@click.option("--keys", type=UTF8, metavar="A,B", help="Only these keys, and rows that hold one of them.")
@click.option("--every-key", is_flag=True, help="With --keys: only rows that hold all of them.")
@click.option("--min-step", type=int, help="First step.")
@click.option("--max-step", type=int, help="Step to stop before, as W&B has it.")
@click.option("--system", is_flag=True, help="System metrics instead.")
@click.option("--plot", "form", flag_value="plot", help="Draw the keys in the terminal.")
@click.option("--json", "form", flag_value="json", help="A JSON array of objects (docs/json.md).")
@click.option("--jsonl", "form", flag_value="jsonl", help="The same objects, one a line and nothing else.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write FILE.parquet instead, typed columns."
)
def command(
    home: str | None,
    config: str | None,
    run: str,
    keys: str | None,
    every_key: bool,
    min_step: int | None,
    max_step: int | None,
    system: bool,
    form: str | None,
    output: Path | None,
) -> None:
    """Show what a run logged, one row a step, with exact values. Asks the mirror alone, never the network.

    RUN is ENTITY/PROJECT/RUN_ID, its web address, or an id or a name that just one run has. A table is cut after 1,000
    rows; the other forms never are.
    """
    chosen = None if keys is None else [name for name in keys.split(",") if name]
    if chosen == []:
        raise ConfigError("--keys names no key", hint="such as --keys loss,val/acc")
    if system and (min_step is not None or max_step is not None):
        raise ConfigError("system metrics have no steps", hint="leave --min-step and --max-step out")
    _check_output(output, form)
    setting = find_setting(home, config)
    path = find_run(run, setting)
    with open_history(setting.home, path, chosen, every_key, (min_step, max_step), system) as rows:
        if output is not None:
            say(f"wrote {output} ({plural(rows.write_parquet(output), 'row')})")
        elif form == "plot":
            plot(rows, chosen)
        else:
            FORMS[form or "table"](rows)


def _check_output(output: Path | None, form: str | None) -> None:
    if output is None:
        return
    if form is not None or output.suffix != ".parquet":
        raise ConfigError(
            f"--output writes Parquet, so {output.name} must end in .parquet and no other form be named",
            hint="for the other forms: wandb-mirror history RUN --csv > file.csv",
        )
    if not output.parent.is_dir():
        raise ConfigError(f"there is no folder {output.parent} to write {output.name} into", hint="make it first")


@contextlib.contextmanager
def open_history(
    home: Home,
    path: RunPath,
    keys: list[str] | None,
    every_key: bool,
    steps: tuple[int | None, int | None],
    system: bool,
) -> Iterator[WideRows]:
    """The rows that are asked for, after what is to be said about them.

    Raises:
        NotMirrored: the run, or its history, is not held.
    """
    with Reader(home) as lake:
        found = run_overview(lake, path)
        if found is None:
            raise not_mirrored(path, home)
        if system:
            if not found.system_metric_rows:
                say(f"{path} holds no system metrics")
            reader = system_history(lake, path, keys=keys)
        elif found.history is None:
            _explain_absence(found)
            reader = system_history(lake, path, keys=[])
            yield WideRows(reader)
            return
        else:
            if not found.history.complete:
                say(f"this history is not complete: {found.history.reason}")
            reader = wide_history(
                lake, path, keys=keys, min_step=steps[0], max_step=steps[1], rows="all" if every_key else "any"
            )
            for name in unknown_keys(lake, path, keys or ()):
                say(f"no row of {path} holds {name!r}")
        yield WideRows(reader)


def _explain_absence(run: RunOverview) -> None:
    """Say why there is nothing, where that is the truth.

    Raises:
        NotMirrored: the server has something.
    """
    path = f"{run.entity}/{run.project}/{run.run_id}"
    failed = next((failure for failure in run.failures if failure.item in {"history", "contents"}), None)
    if failed is not None:
        raise NotMirrored(
            f"the history of {path} could not be mirrored: {failed.reason}",
            hint="pull --retry-quarantined tries again" if failed.quarantined else "the next pull tries again",
        )
    if run.history_line_count:
        raise NotMirrored(
            f"the history of {path} is not in this mirror",
            hint=f"fetch it with `wandb-mirror pull {path}`, and history = true in its source",
        )
    say(f"{path} logged no history")


def print_table_of(rows: WideRows) -> None:
    """For people; cut where a screen ends."""
    held = [[_value(text) for text in row] for row in islice(rows.json_rows(), TABLE_ROWS + 1)]
    if len(held) > TABLE_ROWS:
        say(f"cut after {TABLE_ROWS:,} rows; add --min-step, or use --csv, --jsonl or --output")
    if held:
        print_table(rows.names, held[:TABLE_ROWS])
    else:
        say("no rows")


def print_csv_of(rows: WideRows) -> None:
    """RFC 4180 with a header: texts as they are, everything else as JSON has it."""
    write_csv(
        rows.names,
        (
            ["" if text is None else json.loads(text) if text.startswith('"') else text for text in row]
            for row in rows.json_rows()
        ),
    )


def print_jsonl_of(rows: WideRows) -> None:
    """One object a line."""
    for line in _objects(rows):
        write_json_text(line)


def print_json_of(rows: WideRows) -> None:
    """One array, written as the rows come."""
    opening = "["
    for line in _objects(rows):
        write(opening)
        write_json_text(line, end="")
        opening = ","
    write_lines("[]" if opening == "[" else "\n]")


FORMS = {"table": print_table_of, "csv": print_csv_of, "jsonl": print_jsonl_of, "json": print_json_of}


def _objects(rows: WideRows) -> Iterator[str]:
    names = [json.dumps(name, ensure_ascii=False) for name in rows.names]
    for row in rows.json_rows():
        yield "{" + ", ".join(f"{name}: {text or 'null'}" for name, text in zip(names, row, strict=True)) + "}"


def _value(text: str | None) -> object:
    return None if text is None else json.loads(text)


def plot(rows: WideRows, keys: list[str] | None) -> None:
    """Draw each key for itself, one below the other."""
    drawn = collect(rows)
    for name in keys or ():
        if name in rows.names and name not in drawn:
            say(f"{name} holds no numbers")
    wanted = [name for name in (keys or drawn) if name in drawn]
    if keys is None and len(wanted) > PLOTS:
        say(f"drawn are the first {PLOTS} of {len(wanted)} keys; choose with --keys")
        wanted = wanted[:PLOTS]
    if not wanted:
        say("no rows")
    width = min(PLOT_WIDTH, shutil.get_terminal_size((PLOT_WIDTH, 24)).columns)
    for number, name in enumerate(wanted):
        if number:
            write("")
        for line in draw(drawn[name], width=width, height=PLOT_HEIGHT):
            write(line)


def collect(rows: WideRows) -> dict[str, Series]:
    """The points of every key that holds numbers, by name."""
    found: dict[str, Series] = {}
    for number, row in enumerate(rows.points()):
        step = row[0] if row[0] is not None else float(number)
        for name, value in zip(rows.names[1:], row[1:], strict=True):
            if value is not None and name not in OWN_KEYS:
                found.setdefault(name, Series(name=name)).add(step, value)
    return found
