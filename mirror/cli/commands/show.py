"""`wandb-mirror show`: one mirrored run, whole: in the terminal, for programs, or as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.highlighter import JSONHighlighter

from mirror.cli.delivery.entries import entry_json
from mirror.cli.report.outbox import print_pending
from mirror.cli.run_paths import find_run, not_mirrored
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.shown_run import shown_run
from mirror.cli.terminal.documents import folded, keys_line, logged_keys, whole
from mirror.cli.terminal.output import UTF8, print_json, say, size, write, write_lines
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cli.terminal.tables import CELL_CHARACTERS, AnswerConsole, cell, print_table, width_of_answers
from mirror.cli.terminal.times import reclocked, utc_option
from mirror.clock import utc_now
from mirror.durable import write_replace
from mirror.errors import ConfigError, HomeUnusable, RunNotFoundError
from mirror.layout import Home
from mirror.records.addresses import RunPath

TIMES = ("created_at", "heartbeat_at", "gone_at", "synced_at", "updated_at")
DOCUMENTS = ("config", "summary", "system_metrics", "history_keys")


@click.command("show", epilog=exit_statuses(5))
@setting_options
@click.argument("run", type=UTF8)
@click.option("--keys", "keys_alone", is_flag=True, help="List the keys that it logged instead.")
@click.option("--all", "unabridged", is_flag=True, help="All keys of every document, and long values whole.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page instead: facts, charts of its metrics, config and summary, with nothing to fetch.",
)
@click.option(
    "--key",
    "drawn",
    type=UTF8,
    multiple=True,
    metavar="KEY",
    help="With --html: draw this metric; globs; may be repeated.",
)
@utc_option
def command(
    home: str | None,
    config: str | None,
    run: str,
    keys_alone: bool,
    unabridged: bool,
    as_json: bool,
    page: Path | None,
    drawn: tuple[str, ...],
) -> None:
    """Show one mirrored run: what it is, what it was told, what came of it. No network.

    RUN is ENTITY/PROJECT/RUN_ID, its web address, or an id or a name that just one run of the mirror has.

    What waits in the outbox is shown as if it had happened, and named. Of long documents the first keys are shown, with
    --all every one; --json has them whole in any case. A page is a file that any browser opens.
    """
    if (page is not None) + keys_alone + as_json > 1:
        raise ConfigError("--json, --keys and --html are forms of one answer", hint="name one of them")
    if drawn and page is None:
        raise ConfigError("--key chooses what a page draws", hint="`wandb-mirror history` draws in the terminal")
    if page is not None:
        _check_page(page)
    setting = find_setting(home, config)
    path = find_run(run, setting)
    if page is not None:
        content = page_of(setting.home, path, drawn)
        _write_page(page, content)
        say(f"wrote {page} ({size(len(content))})")
        return
    row, pending = shown_run(setting.home, path)
    if as_json:
        print_json({**row, "pending": [entry_json(placed) for placed in pending]})
    elif keys_alone:
        _print_keys(row)
    else:
        _print(row, unabridged=unabridged)
        print_pending(pending, utc_now().replace(tzinfo=None))


def page_of(home: Home, path: RunPath, keys: Sequence[str] = ()) -> bytes:
    """The page of a run as a whole document, with these metrics or the first ones.

    Raises:
        NotMirrored: the run is not held.
    """
    from mirror.run.page.notebook import RunLook
    from mirror.run.pending.local import LocalMirror  # here: the other forms are faster without

    local = LocalMirror(home)
    try:
        return RunLook(local, path).page(keys).encode("ascii")
    except RunNotFoundError as error:
        raise not_mirrored(path, home) from error
    finally:
        local.reader.close()


def _check_page(page: Path) -> None:
    if not page.parent.is_dir():
        raise ConfigError(f"there is no folder {page.parent} to write {page.name} into", hint="make it first")


def _write_page(page: Path, content: bytes) -> None:
    try:
        write_replace(page, content, mode=0o666)  # the user's own file, as open as he wants it
    except OSError as error:
        raise HomeUnusable(
            f"{page} cannot be written: {error.strerror or error}", hint="name a file in a folder of your own"
        ) from error


def _print(run: dict[str, Any], *, unabridged: bool) -> None:
    keys = None if unabridged else logged_keys(run["history_keys"])
    width = min(width_of_answers(), CELL_CHARACTERS)
    for name, value in run.items():
        if name in DOCUMENTS or value is None or value == []:
            continue
        write(f"{name:20} {reclocked(value) if name in TIMES else cell(value)}")
    if keys is not None:
        write(f"{'keys':20} {keys_line(keys, width=width - 21)}")
    console = AnswerConsole(highlight=False)
    for name in DOCUMENTS:
        if run[name] is None or (name == "history_keys" and keys is not None):
            continue
        write_lines(f"\n{name}")
        lines = whole(run[name]) if unabridged else folded(run[name], width=width)
        console.print(JSONHighlighter()("\n".join(lines)), soft_wrap=True)


def _print_keys(run: dict[str, Any]) -> None:
    """The keys that a run logged, as the server counts them."""
    keys = logged_keys(run["history_keys"]) or []
    print_table(["key", "type", "values"], keys)
    if not keys:
        say("this run has no keys that are known")
