"""`wandb-mirror outbox export` and `outbox import`: queued work across an air gap, in one file."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror.cli.lake import lake_to_write
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, print_json, say, size, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cluster.place import has_lake
from mirror.errors import EXIT_PARTIAL, ConfigError
from mirror.outbox import Outbox, OutboxReader
from mirror.store.engine.meta import lake_deployment
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.reading import open_lake
from mirror.texts.amounts import plural
from mirror.texts.visible import visible

if TYPE_CHECKING:
    from mirror.carry.outcome import Imported


@click.command("export", short_help="Write what waits into a file, for another home.", epilog=exit_statuses(9))
@setting_options
@click.argument("file", type=UTF8, metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def export(home: str | None, config: str | None, file: str, as_json: bool) -> int:
    """Write the entries that wait into FILE, with the files and the offline runs that they need. No network.

    Another home imports it, and delivers. The entries stay here as well: whoever delivers looks first, so that a change
    that is delivered from both homes is made once. `outbox drop` gives up what is delivered elsewhere.
    """
    from mirror.carry.exporting import Exporter

    setting = find_setting(home, config)
    with contextlib.ExitStack() as opened:
        lake = None
        if has_lake(setting.home):
            lake = Snapshot(opened.enter_context(contextlib.closing(open_lake(setting.home, setting.config.store))))
        known = None if lake is None else lake_deployment(lake)
        if lake is None and next(OutboxReader(setting.home).entries(), None) is None:
            raise ConfigError(f"nothing waits in {setting.home.root}", hint="`wandb-mirror outbox` lists what waits")
        done = Exporter(setting.home, lake, known or setting.deployment.id).export(Path(file).expanduser())
    if as_json:
        print_json(
            {"file": file, "entries": done.entries, "runs": done.runs, "bytes": done.size,
             "for_person": done.for_person, "missing": list(done.missing)}
        )  # fmt: skip
    else:
        runs = f", {plural(done.runs, 'offline run')} among them" if done.runs else ""
        write(f"{plural(done.entries, 'operation')}{runs} ({size(done.size)}) in {visible(file)}")
        say("they stay here, too; delivered from both homes they are made once (`outbox drop` gives one up)")
    for one in done.missing:
        say(f"left out: {visible(one)}")
    if done.for_person:
        say(
            f"left out: {plural(done.for_person, 'operation')} in conflict or refused; `wandb-mirror outbox` lists them"
        )
    return EXIT_PARTIAL if done.missing else 0


@click.command("import", short_help="Queue what another home exported.", epilog=exit_statuses(10))
@setting_options
@click.argument("file", type=UTF8, metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def import_(home: str | None, config: str | None, file: str, as_json: bool) -> int:
    """Queue what FILE holds, which another home exported; offline runs in it are shown at once. No network.

    FILE is checked whole before anything of it is used. What is here already, or was delivered from here, is not queued
    again.
    """
    setting = find_setting(home, config)
    path = Path(file).expanduser().absolute()
    done = _by_daemon(setting, path) or _imported(setting, path)
    if as_json:
        print_json({"queued": done.queued, "there": done.there, "done": done.done, "runs": list(done.runs)})
        return 0
    write(
        f"{plural(done.queued, 'operation')} queued, {done.there} waited here already,"
        f" {done.done} delivered or given up before"
    )
    for run in done.runs:
        write(visible(run))
    if done.queued:
        say("`wandb-mirror replay` delivers them")
    return 0


def _by_daemon(setting: Setting, path: Path) -> Imported | None:
    """What the daemon of the home did; None when none runs."""
    if not setting.home.daemon_lock.exists():  # none ever ran, and what asks one takes a while to load
        return None
    from mirror.cli.by_daemon import ask_daemon
    from mirror.daemon.requests.wire import AskImport, ImportDone

    told = ask_daemon(setting.home, AskImport(str(path)), ImportDone)
    return None if told is None else told.done


def _imported(setting: Setting, path: Path) -> Imported:
    from mirror.carry.archive import reading
    from mirror.carry.importing import Importer, check_server

    with reading(path) as archive:
        check_server(str(path), archive, setting.deployment)
        with lake_to_write(setting) as lake:
            return Importer(lake, Outbox(setting.home), archive).run()
