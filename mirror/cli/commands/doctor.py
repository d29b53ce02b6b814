"""`wandb-mirror doctor`: check everything that a pull needs, and say for each what to do."""

from __future__ import annotations

import shlex
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import anyio
import click
import msgspec

from mirror.api.rows.answers import one_line
from mirror.cli.asked_server import refuse_gateway
from mirror.cli.clients import known_key
from mirror.cli.doctor_server import Check, Outcome, examine_server, failed
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import print_json, size, write
from mirror.cli.terminal.statuses import ASKS_SERVER, exit_statuses
from mirror.durable import FULL
from mirror.errors import MirrorError, NotMirrored, StoreError
from mirror.private import is_open
from mirror.store.engine.connection import new_engine
from mirror.store.engine.filesystem import check_can_hold_lake, file_system_of
from mirror.store.engine.meta import is_empty, lake_deployment, other_deployment
from mirror.store.engine.reader import Reader
from mirror.store.read.projects import count_all_runs
from mirror.texts.amounts import plural

LONGEST_DETAIL = 2000  # characters; parts of it are the server's words
FREE_BYTES_WANTED = 1_000_000_000
MARKS = {"ok": "ok  ", "warning": "warn", "failed": "FAIL", "skipped": "skip"}


@click.command("doctor", epilog=exit_statuses(*ASKS_SERVER))
@setting_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(home: str | None, config: str | None, as_json: bool) -> int:
    """Check key, server, clock, disk, file system and extensions. Changes nothing.

    The server is asked what a pull and a replay ask, for one project and one run of the configured sources; what each
    question brought is said, and what this server lacks.
    """
    checks: list[Check] = []
    for check in examine(home, config):
        checks.append(check)
        if not as_json:
            write(f"{MARKS[check.outcome]}  {check.name:14}  {one_line(check.detail, LONGEST_DETAIL)}")
            if check.hint:
                write(f"{'':22}hint: {check.hint}")
    if as_json:
        print_json([msgspec.to_builtins(check) for check in checks])
    return next((check.exit_code for check in checks if check.outcome == "failed"), 0)


def examine(home: str | None, config: str | None) -> Iterator[Check]:
    """Every check in the order in which a pull would need it."""
    yield _guarded("versions", _versions)
    yield _guarded("extensions", _extensions)
    try:
        setting = find_setting(home, config)
    except MirrorError as error:
        yield failed("config", error)
        return
    yield _config(setting)
    yield _guarded("file system", lambda: _file_system(setting))
    yield from _privacy(setting)
    yield _guarded("disk", lambda: _disk(setting))
    if setting.config.store.is_shared:
        from mirror.cluster.inspection import examine_place  # brings what only a shared lake needs

        for found in examine_place(setting.config.store):
            outcome: Outcome = "failed" if found.error else "warning" if found.is_warning else "ok"
            code = found.error.exit_code if found.error else 0
            yield Check(name=found.name, outcome=outcome, detail=found.detail, hint=found.hint, exit_code=code)
    yield _guarded("lake", lambda: _lake(setting))
    key = _guarded("key", lambda: f"found in {known_key(setting.config).source}")
    yield key
    if key.outcome == "failed":
        yield Check(name="server", outcome="skipped", detail="not asked without a key")
        return
    yield from anyio.run(examine_server, setting)


def _guarded(name: str, look: Callable[[], str | Check]) -> Check:
    """Run one check; an error of ours is its finding."""
    try:
        found = look()
    except MirrorError as error:
        return failed(name, error)
    return found if isinstance(found, Check) else Check(name=name, outcome="ok", detail=found)


def _versions() -> str:
    parts = [f"{name} {version(name)}" for name in ("wandb-mirror", "duckdb", "pyarrow", "httpx")]
    return f"Python {sys.version.split()[0]}, " + ", ".join(parts)


def _extensions() -> str:
    new_engine().close()
    return "ducklake and sqlite load from their wheels, without a network"


def _config(setting: Setting) -> Check:
    if not setting.config_path.exists():
        return Check(
            name="config",
            outcome="warning",
            detail=f"{setting.config_path} does not exist",
            hint="run `wandb-mirror init --source ENTITY/PROJECT`",
        )
    sources = ", ".join(source.path for source in setting.config.source) or "no source"
    return Check(name="config", outcome="ok", detail=f"{setting.config_path}: {sources}")


def _file_system(setting: Setting) -> str:
    root = setting.home.root
    check_can_hold_lake(root)
    place = root
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".wandb-mirror-doctor-") as folder:
            connection = sqlite3.connect(Path(folder) / "wal.sqlite")
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            connection.execute("CREATE TABLE probe (x)")
            connection.close()
    except (OSError, sqlite3.Error) as error:
        is_full = "full" in str(error) or (isinstance(error, OSError) and error.errno in FULL)
        raise StoreError(
            f"{place} cannot be written: {error}",
            hint="free some space" if is_full else "check its owner and permissions, or choose another --home",
        ) from error
    if mode != "wal":
        raise StoreError(f"{place} cannot hold a shared catalog", hint="choose a home on a local disk")
    system = file_system_of(root)
    return f"{root} is on {system.type} ({system.mount_point}) and holds a write-ahead log"


def _privacy(setting: Setting) -> Iterator[Check]:
    if is_open(setting.home):
        hint = f"`wandb-mirror pull` and `init` make it private, or: chmod -R go= {shlex.quote(str(setting.home.root))}"
        detail = f"{setting.home.root} is open to other users of this machine"
        yield Check(name="privacy", outcome="warning", detail=detail, hint=hint)


def _disk(setting: Setting) -> Check:
    free = file_system_of(setting.home.root).free_bytes
    enough = free >= FREE_BYTES_WANTED
    return Check(
        name="disk",
        outcome="ok" if enough else "warning",
        detail=f"{size(free)} free",
        hint="" if enough else "a full disk stops a pull; what was committed stays",
    )


def _lake(setting: Setting) -> str:
    with Reader(setting.home) as lake:
        try:
            held = lake_deployment(lake)
        except NotMirrored:
            held = None
        if held is None:
            return "nothing pulled yet"
        refuse_gateway(setting.config, setting.home)
        if held not in setting.deployment.names and not is_empty(lake):
            raise other_deployment(setting.home, held=held, asked=setting.deployment.id)
        count = count_all_runs(lake)
    return f"mirrors {held}, holds {plural(count, 'run')}"
