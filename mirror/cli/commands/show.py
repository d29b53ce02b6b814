"""`wandb-mirror show`: one mirrored run, whole: in the terminal, for programs, or as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.highlighter import JSONHighlighter

from mirror.cli.delivery.entries import entry_json
from mirror.cli.report.outbox import print_pending
from mirror.cli.run_paths import find_run, not_mirrored
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.shown_run import shown_run
from mirror.cli.terminal.output import UTF8, print_json, say, size, write, write_lines
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cli.terminal.tables import Answers, cell
from mirror.clock import utc_now
from mirror.durable import write_replace
from mirror.errors import ConfigError, HomeUnusable, RunNotFoundError
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.visible import visible_json

DOCUMENTS = ("config", "summary", "system_metrics", "history_keys")


@click.command("show", epilog=exit_statuses(5))
@setting_options
@click.argument("run", type=UTF8)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page instead: facts, charts of its metrics, config and summary, with nothing to fetch.",
)
def command(home: str | None, config: str | None, run: str, as_json: bool, page: Path | None) -> None:
    """Show one mirrored run whole. No network.

    RUN is ENTITY/PROJECT/RUN_ID, its web address, or an id or a name that just one run of the mirror has.

    What waits in the outbox is shown as if it had happened, and named. A page is a file that any browser opens.
    """
    if page is not None:
        _check_page(page, as_json)
    setting = find_setting(home, config)
    path = find_run(run, setting)
    if page is not None:
        content = page_of(setting.home, path)
        _write_page(page, content)
        say(f"wrote {page} ({size(len(content))})")
        return
    row, pending = shown_run(setting.home, path)
    if as_json:
        print_json({**row, "pending": [entry_json(placed) for placed in pending]})
    else:
        _print(row)
        print_pending(pending, utc_now().replace(tzinfo=None))


def page_of(home: Home, path: RunPath) -> bytes:
    """The page of a run as a whole document.

    Raises:
        NotMirrored: the run is not held.
    """
    from mirror.run.page.notebook import RunLook
    from mirror.run.pending.local import LocalMirror  # here: the other forms are faster without

    local = LocalMirror(home)
    try:
        return RunLook(local, path).page().encode("ascii")
    except RunNotFoundError as error:
        raise not_mirrored(path, home) from error
    finally:
        local.reader.close()


def _check_page(page: Path, as_json: bool) -> None:
    if as_json:
        raise ConfigError("--json and --html are two forms of one answer", hint="name one of them")
    if not page.parent.is_dir():
        raise ConfigError(f"there is no folder {page.parent} to write {page.name} into", hint="make it first")


def _write_page(page: Path, content: bytes) -> None:
    try:
        write_replace(page, content, mode=0o666)  # the user's own file, as open as he wants it
    except OSError as error:
        raise HomeUnusable(
            f"{page} cannot be written: {error.strerror or error}", hint="name a file in a folder of your own"
        ) from error


def _print(run: dict[str, Any]) -> None:
    for name, value in run.items():
        if name in DOCUMENTS or value is None or value == []:
            continue
        write(f"{name:20} {cell(value)}")
    console = Answers(highlight=False)
    for name in DOCUMENTS:
        if run[name] is not None:
            write_lines(f"\n{name}")
            text = visible_json(json.dumps(run[name], ensure_ascii=False, indent=2))
            console.print(JSONHighlighter()(text), soft_wrap=True)
