"""`wandb-mirror history`: what a run logged step by step, as a table, for programs, or drawn; several runs drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

from mirror.cli.histories import keys_of_people, open_history
from mirror.cli.plotting import plot_run, plot_runs
from mirror.cli.run_paths import find_run, shown_names
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.curves import MOST
from mirror.cli.terminal.output import UTF8, say, write, write_json_text, write_lines
from mirror.cli.terminal.results import TABLE_ROWS
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cli.terminal.tables import print_table, write_csv
from mirror.errors import ConfigError
from mirror.store.history.forms import WideRows
from mirror.texts.amounts import plural


@click.command("history", epilog=exit_statuses(5))
@setting_options
@click.argument("runs", type=UTF8, nargs=-1, required=True, metavar="RUN...")
@click.option("--keys", type=UTF8, metavar="A,B", help="Only these keys, and rows that hold one of them.")
@click.option("--every-key", is_flag=True, help="With --keys: only rows that hold all of them.")
@click.option("--min-step", type=int, help="First step.")
@click.option("--max-step", type=int, help="Step to stop before, as W&B has it.")
@click.option("--system", is_flag=True, help="System metrics instead.")
@click.option("--plot", "form", flag_value="plot", help="Draw the keys; of several runs, over one another.")
@click.option("--log", is_flag=True, help="With --plot: a logarithmic axis.")
@click.option("--json", "form", flag_value="json", help="A JSON array of objects (docs/json.md).")
@click.option("--jsonl", "form", flag_value="jsonl", help="The same objects, one a line and nothing else.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write FILE.parquet instead, typed columns."
)
def command(
    home: str | None,
    config: str | None,
    runs: tuple[str, ...],
    keys: str | None,
    every_key: bool,
    min_step: int | None,
    max_step: int | None,
    system: bool,
    log: bool,
    form: str | None,
    output: Path | None,
) -> None:
    """Show what a run logged, one row a step, with exact values. Asks the mirror alone, never the network.

    RUN is ENTITY/PROJECT/RUN_ID, its web address, or an id or a name that just one run has. A table is cut after 1,000
    rows; the other forms never are. Several runs are drawn with --plot; SQL over the view `metrics` compares them all.
    """
    chosen = None if keys is None else [name for name in keys.split(",") if name]
    if chosen == []:
        raise ConfigError("--keys names no key", hint="such as --keys loss,val/acc")
    if system and (min_step is not None or max_step is not None):
        raise ConfigError("system metrics have no steps", hint="leave --min-step and --max-step out")
    _check_output(output, form)
    _check_plot(runs, form, log, every_key)
    setting = find_setting(home, config)
    paths = list(dict.fromkeys(find_run(run, setting) for run in runs))
    if len(paths) > 1:
        plot_runs(setting.home, shown_names(setting.home, paths), chosen, (min_step, max_step), system=system, log=log)
        return
    if not system and output is None and form in (None, "plot"):  # programs get the keys that they name
        chosen = keys_of_people(setting.home, paths[0], chosen)
    with open_history(setting.home, paths[0], chosen, every_key, (min_step, max_step), system) as rows:
        if output is not None:
            say(f"wrote {output} ({plural(rows.write_parquet(output), 'row')})")
        elif form == "plot":
            plot_run(rows, chosen, log=log)
        else:
            FORMS[form or "table"](rows)


def _check_plot(runs: tuple[str, ...], form: str | None, log: bool, every_key: bool) -> None:
    if log and form != "plot":
        raise ConfigError("--log is about the axis of a plot", hint="add --plot")
    if len(runs) == 1:
        return
    if form != "plot":
        raise ConfigError("several runs are drawn, not printed", hint="add --plot, or ask the view `metrics` with SQL")
    if len(runs) > MOST:
        raise ConfigError(f"at most {MOST} runs are drawn over one another", hint="name fewer")
    if every_key:
        raise ConfigError("--every-key is about the rows of one run", hint="leave it out")


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
