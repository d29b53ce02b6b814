"""`wandb-mirror verify`: read everything again, and say what is wrong and what to type."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from mirror.check import Damage, VerifyReport, verify
from mirror.check.hashing import HashingProgress
from mirror.cli.setting import setting_options
from mirror.cli.terminal.output import on_terminal, print_json, say, size, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.config import Config, load_config
from mirror.errors import EXIT_PARTIAL, ConfigError
from mirror.layout import Home, find_home
from mirror.store.engine.connection import store_errors
from mirror.store.objects.disk import disk_use
from mirror.texts.amounts import plural

SHOWN = 20  # findings of a kind that are printed; JSON has more
_EVERY_S = 0.2  # the bar is drawn so often


@click.command("verify", epilog=exit_statuses(5, EXIT_PARTIAL))
@setting_options
@click.option("--quick", is_flag=True, help="Look at presence and sizes alone; hash nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(home: str | None, config: str | None, quick: bool, as_json: bool) -> int:
    """Read everything that the mirror holds and compare it with what was written. Changes nothing.

    Objects are hashed, the tables' files compared with recorded digests, the catalog and the outbox looked through.
    What is wrong is said with what is lost by it and what to type; the status is 9 then. Pulls, the daemon and readers
    go on meanwhile.
    """
    outer = click.get_current_context().obj or {}
    place = find_home(home or outer.get("home"))
    settings = _config(place, config or outer.get("config")).store
    meter = HashingProgress()
    try:
        with progress_bar(place, meter) if on_terminal() and not as_json else contextlib.nullcontext():
            report = verify(place, settings, quick=quick, meter=meter)
    except KeyboardInterrupt:
        say("interrupted; nothing was changed, and what was not read yet is not known")
        return 130
    if as_json:
        print_json(verify_json(report))
    else:
        _print(report)
    return 0 if report.is_sound else EXIT_PARTIAL


def verify_json(report: VerifyReport) -> Any:
    """The documented contract."""
    said = msgspec.to_builtins(report)
    return {"sound": report.is_sound, **said, "seconds": round(report.seconds, 3)}


def _config(home: Home, named: str | None) -> Config:
    """The configuration; one that cannot be read is a finding, and the defaults do."""
    path = Path(named).expanduser() if named else home.config
    if named and not path.exists():
        raise ConfigError(f"{path} does not exist", hint="without --config, HOME/mirror.toml is read")
    try:
        return load_config(path)
    except ConfigError:
        return Config()


def _print(report: VerifyReport) -> None:
    printed: dict[str, int] = {}
    for finding in report.findings:
        printed[finding.kind] = printed.get(finding.kind, 0) + 1
        if printed[finding.kind] <= SHOWN:
            print_finding(finding)
    for kind, count in report.counts.items():
        if count > SHOWN:
            write(f"{kind}: {count - SHOWN:,} more; `wandb-mirror verify --json` has them")
    said = "sound" if report.is_sound else plural(sum(report.counts.values()), "finding")
    looked = ", ".join(
        [
            plural(report.lake_files, "file") + " of the tables",
            plural(report.objects, "object"),
            plural(report.entries, "operation"),
        ]
    )
    rate = f" ({size(report.bytes / report.seconds)}/s)" if report.seconds > 1 else ""
    write(f"{said}: {looked}; {size(report.bytes)} hashed in {report.seconds:.1f} s{rate}")
    if report.quick:
        write("quick: presence and sizes alone; without --quick every byte is read")
    elif report.catalog == "unsealed":
        write("the catalog was being written, or its writer was killed: its structure was checked, not every value")
    if report.unrecorded:
        write(f"{plural(report.unrecorded, 'file')} of the tables had no digest yet: read whole instead")


def print_finding(finding: Damage) -> None:
    """What, where, what is lost, what to do."""
    write(f"{finding.kind}  {finding.path}")
    write(f"    {finding.wrong}")
    write(f"    lost: {finding.lost}")
    write(f"    do: {finding.hint}")


@contextlib.contextmanager
def progress_bar(home: Home, meter: HashingProgress) -> Iterator[None]:
    """A bar on the terminal, drawn beside the work by a thread that only looks."""
    with store_errors(home):
        used = disk_use(home)
    total = used.objects + used.lake - used.catalog
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),  # the rest fits into 80 columns
        TextColumn("{task.fields[note]}"),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    task = progress.add_task("verify", total=total or None, note="")
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(_EVERY_S):
            note = f"{meter.files:,} files, {size(meter.bytes)}"
            progress.update(task, completed=meter.bytes, description=meter.phase or "verify", note=note)

    drawer = threading.Thread(target=draw, daemon=True)
    with progress:
        drawer.start()
        try:
            yield
        finally:
            ended.set()
            drawer.join()
