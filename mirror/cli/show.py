"""`wandb-mirror show`: one mirrored run, whole."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.json import JSON

from mirror.cli.output import UTF8, print_json, write
from mirror.cli.run_paths import parse_run_path
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.statuses import exit_statuses
from mirror.cli.tables import cell
from mirror.errors import NotMirrored
from mirror.records.passes import ProjectKey
from mirror.store import connect, run_sql

DOCUMENTS = ("config", "summary", "system_metrics", "history_keys")


@click.command("show", epilog=exit_statuses(5))
@setting_options
@click.argument("run", type=UTF8)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(home: str | None, config: str | None, run: str, as_json: bool) -> None:
    """Show one mirrored run whole: RUN is ENTITY/PROJECT/RUN_ID, or its web address. No network."""
    setting = find_setting(home, config)
    key, run_id = parse_run_path(run, setting.config.source)
    engine = connect(setting.home)
    try:
        found = next(
            run_sql(
                engine,
                "SELECT * FROM runs WHERE entity = ? AND project = ? AND run_id = ?",
                [key.entity, key.project, run_id],
            ).plain_rows(),
            None,
        )
    finally:
        engine.close()
    if found is None:
        raise not_mirrored(key, run_id)
    if as_json:
        print_json(found)
    else:
        _print(found)


def not_mirrored(key: ProjectKey, run_id: str) -> NotMirrored:
    """The error for a run that is not held."""
    path = f"{key}/{run_id}"
    return NotMirrored(f"run {path} is not in this mirror", hint=f"fetch it with `wandb-mirror pull {path}`")


def _print(run: dict[str, Any]) -> None:
    for name, value in run.items():
        if name in DOCUMENTS or value is None or value == []:
            continue
        write(f"{name:20} {cell(value)}")
    console = Console(highlight=False)
    for name in DOCUMENTS:
        if run[name] is not None:
            write(f"\n{name}")
            console.print(JSON(json.dumps(run[name], ensure_ascii=False), ensure_ascii=False), soft_wrap=True)
