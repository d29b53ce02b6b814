"""`wandb-mirror export`: the page as files that open without a server, or tables for other engines."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mirror.cli.delivery.entries import entry_json
from mirror.cli.filter_text import parse_filter
from mirror.cli.gateway_start import check_installed
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, say, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError
from mirror.records.addresses import ProjectKey
from mirror.store.parquet.manifest import MANIFEST, ExportKind
from mirror.texts.amounts import plural

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/")


@click.command("export", epilog=exit_statuses(5, 10))
@setting_options
@click.argument("projects", type=UTF8, nargs=-1, metavar="[ENTITY/PROJECT]...")
@click.option("--html", type=click.Path(path_type=Path), metavar="DIR", help="The page, into a folder that is made.")
@click.option("--parquet", type=click.Path(path_type=Path), metavar="DIR", help="The tables, into a folder of them.")
@click.option("--iceberg", type=click.Path(path_type=Path), metavar="DIR", help="The tables as Iceberg tables.")
@click.option("--filter", "filter_text", type=UTF8, help="For --html: W&B's filter as JSON: which runs.")
@click.option(
    "--key", "keys", type=UTF8, multiple=True, metavar="KEY", help="For --html: only this metric; may be given again."
)
def command(
    home: str | None,
    config: str | None,
    projects: tuple[str, ...],
    html: Path | None,
    parquet: Path | None,
    iceberg: Path | None,
    filter_text: str | None,
    keys: tuple[str, ...],
) -> None:
    """Write the page of a project, or the tables of all, as files. No network.

    --html writes a project's table, its curves, and a page a run. The files open in any browser, without a server, also
    in ten years: a paper's appendix, an archive. Of each line up to 500 points are kept, of a console the first 10,000
    lines; images, sounds and videos of runs are copied.

    --parquet writes each view as Parquet files, for Spark, Trino, polars and others, and manifest.json, which names
    them. Given again, it writes what changed since. Without ENTITY/PROJECT it is all that is mirrored. --iceberg writes
    a table of Apache Iceberg for each view, and the same manifest.
    """
    kinds: dict[ExportKind, Path | None] = {"parquet": parquet, "iceberg": iceberg}
    tables = [(kind, target) for kind, target in kinds.items() if target is not None]
    if len(tables) + (html is not None) != 1:
        raise ConfigError(
            "export writes pages or tables", hint="give --html DIR, --parquet DIR or --iceberg DIR, one of them"
        )
    named = [_project(text) for text in projects]
    if html is not None:
        if len(named) != 1:
            raise ConfigError("--html is of one project", hint="name it: wandb-mirror export ENTITY/PROJECT --html DIR")
        _html(find_setting(home, config), named[0], html, filter_text or "{}", keys)
        return
    if filter_text is not None or keys:
        raise ConfigError(
            "--filter and --key are for --html", hint="the tables are whole; filter them where they are read"
        )
    ((kind, target),) = tables
    if _URL.match(str(target)):
        raise ConfigError(
            f"{target} is no folder of this machine",
            hint="export to a folder, and copy that: docs/guides/spark.md says how",
        )
    _tables(find_setting(home, config), named, target, kind)


def _project(text: str) -> ProjectKey:
    parts = text.split("/")
    if len(parts) != 2 or not all(parts):
        raise ConfigError(f"a project is ENTITY/PROJECT, not {text!r}")
    return ProjectKey(*parts)


def _html(setting: Setting, project: ProjectKey, target: Path, filter_text: str, keys: tuple[str, ...]) -> None:
    check_installed()
    from mirror.run.pending.local import LocalMirror
    from mirror.web.static import Wanted, export_html

    wanted = Wanted(project=project, filters=parse_filter(filter_text), keys=keys, target=target)
    count = export_html(LocalMirror(setting.home), wanted, entry_json)
    write(str(target / "index.html"))
    say(f"wrote {plural(count, 'run')}")


def _tables(setting: Setting, projects: list[ProjectKey], target: Path, kind: ExportKind) -> None:
    from mirror.store.parquet.exporting import export_tables

    done = export_tables(setting.home, target.absolute(), projects, setting.config.store, kind)
    write(str(target / MANIFEST))
    say(
        f"snapshot {done.snapshot}: {plural(done.tables, 'table')}, {plural(done.rows, 'row')},"
        f" {plural(done.written, 'file')} of {done.files:,} written"
    )
