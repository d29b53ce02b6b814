"""`wandb-mirror sql`: one query, or a prompt."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mirror.cli.prompt.running import QueryStopped, stoppable
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import say, typed_text
from mirror.cli.terminal.results import show
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError
from mirror.run.sql import connect
from mirror.store.engine.connection import Engine
from mirror.store.sql.guard import SqlGuard
from mirror.store.sql.statements import run_sql, write_parquet
from mirror.texts.amounts import plural


@click.command("sql", epilog=exit_statuses(5))
@setting_options
@click.argument("query", required=False)
@click.option("--json", "form", flag_value="json", help="A JSON array of objects (docs/json.md).")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header.")
@click.option("--table", "form", flag_value="table", help="A table (the default).")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write the answer to FILE.parquet instead."
)
@click.option("--unsafe", is_flag=True, help="Let DuckDB do all that it can: COPY, ATTACH, other files.")
def command(
    home: str | None, config: str | None, query: str | None, form: str | None, output: Path | None, unsafe: bool
) -> None:
    """Answer SQL over the mirror, in DuckDB's dialect. No network; usable while a pull writes.

    Views: runs, metrics, files, system_metrics, console_lines, artifacts, artifact_files, run_artifacts, completeness,
    exports, tails, projects, sweeps, sources, failures, config_values, summary_values, logged_keys, logged_tables; the
    lake itself is `lake`. One value is num(config, 'lr') or str(config, 'opt.name'); a table that a run logged is
    SELECT * FROM logged_table('RUN', 'KEY'). Without QUERY it is read from standard input; on a terminal a prompt
    opens, with completion and a history. Nothing is written but by --output, and no file is read but the mirror's.
    """
    setting = find_setting(home, config)
    place = setting.home
    engine = connect(place, settings=setting.config.store)

    try:
        at_prompt = query is None and sys.stdin.isatty()
        guard = None if unsafe else SqlGuard(engine, place, goes_on=at_prompt)
        if at_prompt:
            from mirror.cli.prompt.session import prompt  # brings what edits lines, which few questions need

            prompt(place, engine, guard, form or "table")
            return
        text = typed_text(query if query is not None else sys.stdin.read(), "the query").strip()
        if not text:
            raise click.UsageError(
                'the query is empty; for example: wandb-mirror sql "SELECT state, count(*) FROM runs"'
            )
        try:
            if output is not None:
                stoppable(engine, lambda: _write_file(engine, text, form, output, guard))
            else:
                show(stoppable(engine, lambda: run_sql(engine, text, guard=guard)), form or "table")
        except QueryStopped:
            raise KeyboardInterrupt from None
    finally:
        engine.close()


def _write_file(engine: Engine, text: str, form: str | None, output: Path, guard: SqlGuard | None) -> None:
    """Write the answer to a Parquet file, whole or not at all."""
    if form is not None or output.suffix != ".parquet":
        raise ConfigError(
            f"--output writes Parquet, so {output.name} must end in .parquet and no other form be named",
            hint="for the other forms: wandb-mirror sql --csv '…' > file.csv",
        )
    if not output.parent.is_dir():
        raise ConfigError(f"there is no folder {output.parent} to write {output.name} into", hint="make it first")
    rows = write_parquet(engine, text, output, guard=guard)
    say(f"wrote {output} ({plural(rows, 'row')})")
