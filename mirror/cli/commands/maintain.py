"""`wandb-mirror maintain`: keep a home small: few files, the past that is wanted, no bytes that nobody needs."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

import click
import msgspec

from mirror.cli.by_daemon import ask_daemon
from mirror.cli.lake import lake_to_write
from mirror.cli.report.status import disk_line
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import print_json, size, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.clock import utc_now
from mirror.cluster.place import has_lake
from mirror.daemon.requests.wire import AskMaintain, Maintained
from mirror.errors import NotMirrored
from mirror.offline.adding import OfflineRuns
from mirror.outbox import Outbox
from mirror.outbox.group import needed_objects
from mirror.store.care.files import Removed
from mirror.store.care.maintenance import Maintenance, maintain, plan_maintenance
from mirror.store.engine.reading import open_lake
from mirror.texts.amounts import plural
from mirror.typed import decode


@click.command("maintain", epilog=exit_statuses(5))
@setting_options
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(home: str | None, config: str | None, dry_run: bool, as_json: bool) -> int:
    """Merge small files of the tables, forget old snapshots, and remove bytes that nothing refers to any more.

    What the mirror holds now stays for ever, runs that were deleted upstream with it. `[retention]` in the
    configuration says how long earlier states are kept. Reading goes on meanwhile; a pull has to wait. Where a
    daemon runs, it does this.
    """
    setting = find_setting(home, config)
    done = _plan(setting) if dry_run else _maintain(setting)
    if as_json:
        print_json(maintenance_json(done))
    else:
        _print(done)
    return 0


def maintenance_json(done: Maintenance) -> Any:
    """The documented contract."""
    return msgspec.to_builtins(done)


def _plan(setting: Setting) -> Maintenance:
    with contextlib.closing(open_lake(setting.home, setting.config.store)) as engine:
        return plan_maintenance(
            engine, setting.home, setting.config.retention, needed=partial(needed_objects, setting.home), now=utc_now()
        )


def _maintain(setting: Setting) -> Maintenance:
    if not has_lake(setting.home):
        raise NotMirrored(
            f"nothing is mirrored in {setting.home.root} yet",
            hint="run `wandb-mirror init --source ENTITY/PROJECT` and `wandb-mirror pull`, or name another --home",
        )
    if (done := ask_daemon(setting.home, AskMaintain(), Maintained)) is not None:
        return decode(done.done, Maintenance)
    with lake_to_write(setting) as lake:
        OfflineRuns(lake, Outbox(setting.home)).forget_delivered()
        needed = partial(needed_objects, setting.home)
        return maintain(lake, setting.config.retention, needed=needed, now=utc_now())


def _print(done: Maintenance) -> None:
    would = "would be " if done.dry_run else ""
    write(f"{plural(done.files_merged, 'small file')} of the tables {would}merged")
    write(f"{plural(done.files_rewritten, 'file')} with many deleted rows {would}written anew")
    write(f"{plural(done.rows_written_out, 'row')} of the catalog {would}written out")
    write(f"{plural(done.generations_forgotten, 'earlier generation')} of runs {would}forgotten")
    write(f"{plural(done.snapshots_expired, 'old snapshot')} {would}forgotten")
    for kind, removed in (
        ("of the tables that no snapshot names", done.lake_files),
        ("that interrupted commits left", done.orphans),
        ("that nothing refers to (bytes of files and exports)", done.objects),
        ("of downloads that nobody went on with", done.partials),
    ):
        write(f"{_files(removed)} {kind} {would}removed")
    if done.waits_for_readers:
        write("nothing was removed: somebody still reads an older state; the next `wandb-mirror maintain` goes on")
    if done.dry_run:
        write(f"disk: {disk_line(done.before)}")
    else:
        write(f"disk before: {disk_line(done.before)}")
        write(f"disk after:  {disk_line(done.after)}")


def _files(removed: Removed) -> str:
    return f"{plural(removed.files, 'file')} ({size(removed.bytes)})"
