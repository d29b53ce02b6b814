"""`wandb-mirror add`: take in runs that were trained without a server; they are shown at once, and delivered later."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirror.cli.lake import lake_to_write
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, print_json, say, size, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.clock import utc_now
from mirror.cluster.place import has_lake
from mirror.config import sole_entity
from mirror.errors import NotFound
from mirror.offline.adding import Candidate, OfflineRuns, candidates
from mirror.offline.found import FoundLog
from mirror.offline.wanted import Wanted
from mirror.outbox import Outbox
from mirror.records.offline import OfflineLog, tag_replacements
from mirror.server_facts import read_viewer
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.reading import open_lake
from mirror.store.read.offline import offline_logs
from mirror.texts.amounts import plural
from mirror.texts.naming import run_id_fault
from mirror.texts.visible import visible

if TYPE_CHECKING:
    from mirror.daemon.requests.wire import Added

WATCH_S = 1.0  # between two looks at what grows
SEARCH_S = 10.0  # between two looks for new ones
SHOWN = 5  # names of files that were not there


def _checked_id(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and (fault := run_id_fault(value)) is not None:
        raise click.BadParameter(fault)
    return value


def _checked_tags(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else ",".join(f"{old}={new}" for old, new in tag_replacements(value).items())
    except ValueError as error:
        raise click.BadParameter(f"{error} is not OLD=NEW") from error


@click.command("add", epilog=exit_statuses(5, 9))
@setting_options
@click.argument("paths", type=UTF8, nargs=-1, required=True, metavar="PATH...")
@click.option("--entity", type=UTF8, help="Of the runs, in place of what they name.")
@click.option("--project", type=UTF8, help="Of the runs, in place of what they name.")
@click.option("--id", "run_id", type=UTF8, callback=_checked_id, help="Of the run, in place of the one that it names.")
@click.option("--job-type", type=UTF8, help="Of the runs, in place of what they name.")
@click.option(
    "--replace-tags", type=UTF8, callback=_checked_tags, metavar="OLD=NEW,…",
    help="Give tags other names; OLD= takes one away.",
)  # fmt: skip
@click.option("--online", is_flag=True, help="Also runs that had a server while they trained.")
@click.option("--synced", is_flag=True, help="Also runs that `wandb sync` is done with.")
@click.option("--watch", is_flag=True, help="Go on: follow what grows, find what is new; until Ctrl-C.")
@click.option("--dry-run", is_flag=True, help="Say what would be taken; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(
    home: str | None,
    config: str | None,
    paths: tuple[str, ...],
    entity: str | None,
    project: str | None,
    run_id: str | None,
    job_type: str | None,
    replace_tags: str | None,
    online: bool,
    synced: bool,
    watch: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Take in the runs that W&B's SDK trained offline below PATH: a folder, an `offline-run-…`, a .wandb file.

    Each is shown at once beside the others, its files and artifacts are copied, and `wandb-mirror replay` delivers it.
    The SDK's folders stay as they are, and may be removed afterwards. What was added before goes on where it was, under
    the names that it was added with.
    """
    setting = find_setting(home, config)
    viewer = read_viewer(setting.home)
    wanted = Wanted(
        paths=tuple(os.path.abspath(Path(path).expanduser()) for path in paths), entity=entity, project=project,
        default_entity=sole_entity(setting.config.source) or (viewer.entity if viewer else None),
        run_id=run_id, job_type=job_type, replaced_tags=replace_tags, online=online, synced=synced,
        home=str(setting.home.root),
    )  # fmt: skip
    if dry_run:
        return _told(_planned(setting, wanted), as_json=as_json, dry_run=True)
    if (added := _asked_daemon(setting, wanted)) is not None:
        status = _told(_by_daemon(added), as_json=as_json, dry_run=False)
        if any(not row.ended for row in added.rows):
            say("the daemon goes on following what has not ended; `[[offline]]` in mirror.toml has it find new runs")
        return status
    with lake_to_write(setting) as lake:
        runs = OfflineRuns(lake, Outbox(setting.home))
        status = _told(_taken(runs, runs.candidates(wanted)), as_json=as_json, dry_run=False)
        if watch:
            say("following what grows; Ctrl-C ends this, and `add` goes on where it was")
        while watch:
            status = _watched(runs, wanted)
    return status


def _planned(setting: Setting, wanted: Wanted) -> list[Candidate]:
    known: list[OfflineLog] = []
    if has_lake(setting.home):
        with contextlib.closing(open_lake(setting.home, setting.config.store)) as engine:
            known = offline_logs(Snapshot(engine))
    return candidates(wanted, known, utc_now())


def _asked_daemon(setting: Setting, wanted: Wanted) -> Added | None:
    """What the daemon of the home did; None when none runs."""
    if not setting.home.daemon_lock.exists():  # none ever ran, and what asks one takes a while to load
        return None
    from mirror.cli.by_daemon import ask_daemon
    from mirror.daemon.requests.wire import Added, AskAdd

    return ask_daemon(setting.home, AskAdd(wanted), Added)


def _by_daemon(added: Added) -> list[Candidate]:
    """What the daemon took, and what not."""
    rows = zip(added.rows, added.new, added.lost or ((),) * len(added.rows), strict=True)
    return [
        *(Candidate(found=_found(row.source), row=row, is_new=is_new, lost=lost) for row, is_new, lost in rows),
        *(Candidate(found=_found(one.source), left_out=one.reason) for one in added.left_out),
    ]  # fmt: skip


def _found(source: str) -> FoundLog:
    return FoundLog(path=Path(source), is_online=False, is_synced=False)


def _taken(runs: OfflineRuns, found: Sequence[Candidate]) -> list[Candidate]:
    left_out = [candidate for candidate in found if candidate.row is None]

    def failed(candidate: Candidate, error: OSError) -> None:
        left_out.append(Candidate(found=candidate.found, left_out=f"it cannot be read: {error.strerror}"))

    return [*runs.take_all(found, failed), *left_out]


def _one(runs: OfflineRuns, candidate: Candidate) -> Candidate:
    """A candidate with what the lake has of it now; why not, where that fails."""
    if candidate.row is None:
        return candidate
    try:
        return Candidate(found=candidate.found, row=runs.take(candidate), is_new=candidate.is_new)
    except OSError as error:
        return Candidate(found=candidate.found, left_out=f"it cannot be read: {error.strerror}")


def _watched(runs: OfflineRuns, wanted: Wanted) -> int:
    """Follow for a while, and say what grew."""
    found = runs.candidates(wanted)
    until = time.monotonic() + SEARCH_S
    while time.monotonic() < until:
        for candidate in found:
            if candidate.row is None:
                continue
            before = candidate.row
            after = _one(runs, candidate).row
            if after is not None and (after.rows, after.ended) != (before.rows, before.ended):
                write(_line(after))
        time.sleep(WATCH_S)
        found = [Candidate(found=one.found, row=runs.row_of(one), left_out=one.left_out) for one in found]
    return 0


def _told(found: list[Candidate], *, as_json: bool, dry_run: bool) -> int:
    """Say what was taken, and what not."""
    taken = [candidate for candidate in found if candidate.row is not None]
    left_out = [candidate for candidate in found if candidate.row is None]
    if as_json:
        print_json({"runs": [_json(one) for one in taken], "left_out": [_left_out_json(one) for one in left_out]})
    else:
        for candidate in taken:
            assert candidate.row is not None
            write(
                _line(candidate.row) if not dry_run else f"{visible(str(candidate.row.run_path))}  {_path(candidate)}"
            )
            if candidate.lost:
                say(_lost(candidate))
        for candidate in left_out:
            say(f"left out: {_path(candidate)}: {candidate.left_out}")
        if not found:
            raise NotFound("there is no run of W&B's below these folders", hint="they are in `wandb/offline-run-…`")
        if taken and not dry_run:
            say("`wandb-mirror replay` delivers them; `wandb-mirror outbox` says what waits")
    return 9 if left_out and not taken else 0


def _line(row: OfflineLog) -> str:
    state = ("ended" if row.exit_code is not None else "broke off") if row.ended else "goes on"
    behind = f", behind step {row.first_step - 1:,} of the run" if row.first_step else ""
    damage = f", {plural(row.damaged, 'damaged place')}: {row.damage}" if row.damaged else ""
    return f"{visible(str(row.run_path))}  {plural(row.rows, 'row')}, {size(row.bytes)}, {state}{behind}{damage}"


def _lost(candidate: Candidate) -> str:
    names = ", ".join(visible(name) for name in candidate.lost[:SHOWN])
    more = f" and {len(candidate.lost) - SHOWN} more" if len(candidate.lost) > SHOWN else ""
    assert candidate.row is not None
    return f"not there: {plural(len(candidate.lost), 'file')} of {visible(str(candidate.row.run_path))}: {names}{more}"


def _path(candidate: Candidate) -> str:
    return visible(str(candidate.found.path))


def _json(candidate: Candidate) -> dict[str, Any]:
    row = candidate.row
    assert row is not None
    return {
        "path": str(row.run_path), "source": row.source, "new": candidate.is_new, "rows": row.rows, "bytes": row.bytes,
        "ended": row.ended, "exit_code": row.exit_code, "damaged": row.damaged, "damage": row.damage,
        "first_step": row.first_step, "lost": list(candidate.lost),
    }  # fmt: skip


def _left_out_json(candidate: Candidate) -> dict[str, Any]:
    return {"source": str(candidate.found.path), "reason": candidate.left_out}
