"""`wandb-mirror repair`: take damaged objects out of the way, so that the next pull fetches them again."""

from __future__ import annotations

import contextlib
import sys

import click
import msgspec

from mirror.check import verify
from mirror.check.hashing import HashingProgress
from mirror.check.repair import Plan, plan_repair, repair
from mirror.cli.by_daemon import ask_daemon
from mirror.cli.commands.verify import print_finding, progress_bar
from mirror.cli.lake import lake_to_write
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.asking import confirm
from mirror.cli.terminal.output import on_terminal, print_json, say, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.clock import utc_now
from mirror.cluster.place import has_lake
from mirror.daemon.requests.client import daemon_listens
from mirror.daemon.requests.wire import AskRepair, Repaired
from mirror.errors import EXIT_PARTIAL, NotMirrored, Refused, StoreError
from mirror.layout import Home
from mirror.outbox.group import needed_objects
from mirror.store.engine.reading import open_lake
from mirror.texts.amounts import plural


@click.command("repair", epilog=exit_statuses(5, EXIT_PARTIAL, 10))
@setting_options
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md); asks nothing, so it needs --yes.")
def command(home: str | None, config: str | None, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Move damaged objects into HOME/damaged, and let the next pull fetch them again.

    First everything is read, as `verify` does. Nothing is removed, and what W&B no longer has stays where it is.
    Tables, the catalog and the outbox are left alone; what to do about them is said. A pull has to end first; a daemon
    that runs does the moving.
    """
    setting = find_setting(home, config)
    if not has_lake(setting.home):
        raise NotMirrored(f"nothing is mirrored in {setting.home.root} yet", hint="`wandb-mirror pull` comes first")
    meter = HashingProgress()
    with contextlib.nullcontext() if daemon_listens(setting.home, say) else lake_to_write(setting) as lake:
        with progress_bar(setting.home, meter) if on_terminal() and not as_json else contextlib.nullcontext():
            report = verify(setting.home, setting.config.store, meter=meter)
        needed = list(needed_objects(setting.home))
        with contextlib.closing(open_lake(setting.home)) if lake is None else lake.reading() as engine:
            plan = plan_repair(engine, report, needed)
        if not as_json:
            _print(plan)
        again = 0
        if not (dry_run or plan.is_empty):
            if not yes:
                _ask(as_json=as_json)
            again = _by_daemon(setting.home, plan) if lake is None else repair(lake, plan, utc_now())
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "moved": plan.aside,
                "missing": plan.missing,
                "to_fetch": again,
                "left": [msgspec.to_builtins(finding) for finding in plan.left],
            }
        )
    elif again:
        write(f"done; `wandb-mirror pull` fetches {plural(again, 'item')} again")
    return EXIT_PARTIAL if plan.left else 0


def _by_daemon(home: Home, plan: Plan) -> int:
    """Have the daemon carry out a plan; how many items the next pull fetches again."""
    done = ask_daemon(home, AskRepair(msgspec.Raw(msgspec.json.encode(plan))), Repaired)
    if done is None:
        raise StoreError("the daemon ended meanwhile", hint="the same command does it without one")
    return done.to_fetch


def _print(plan: Plan) -> None:
    if plan.is_empty and not plan.left:
        write("sound: there is nothing to repair")
    if plan.aside:
        objects = plural(len(plan.aside), "damaged object")
        write(f"{objects} to be moved into damaged/, and not mirrored until the next pull")
    if plan.missing:
        write(f"{plural(len(plan.missing), 'object')} missing, to be fetched again")
    if plan.left:
        write(f"{plural(len(plan.left), 'finding')} that this cannot repair:")
        for finding in plan.left:
            print_finding(finding)


def _ask(*, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise Refused("nobody can be asked whether to go on", hint="look at it with --dry-run, then give --yes")
    if not confirm("Go on?"):
        raise click.Abort
