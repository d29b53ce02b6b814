"""The second half of the demo: edits without a server, and what becomes of them when it is back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from mirror.cli.clients import open_client
from mirror.cli.delivery.entries import wish
from mirror.cli.delivery.round import Rounds, Teller
from mirror.cli.setting import Setting
from mirror.cli.terminal.output import write, write_lines
from mirror.errors import MirrorError
from mirror.records.operations import Entry
from mirror.replay import Replayed, Result
from mirror.run.api import Api
from mirror.texts.amounts import plural

if TYPE_CHECKING:
    from mirror.sandbox import Sandbox

REPORT = "report.md"
COLLEAGUES_TAG = "checked-by-ada"


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The two runs that are edited."""

    best: str  # entity/project/run_id
    failed: str


def edit_offline(home: Setting, paths: Paths) -> None:
    """Change both runs with the server away, and read the changes back as any other process would."""
    best: Any = Api(home.home).run(paths.best)  # its fields are set as any script sets them
    best.tags = [*best.tags, "best"]
    best.notes = "wins; see the report"
    best.config["reviewed"] = True
    best.update()
    report = home.home.root / REPORT
    accuracy = best.summary_metrics["test/accuracy"]
    report.write_text(f"# {best.name}\n\naccuracy {accuracy:.3f} on digits that it never saw\n", encoding="utf-8")
    best.upload_file(str(report), root=str(report.parent))
    Api(home.home).run(paths.failed).update_state("pending")

    again, failed = Api(home.home).run(paths.best), Api(home.home).run(paths.failed)
    write(f"5. Still offline, {best.name} is edited with mirror.Api() and gets a file; the failed run is to run again.")
    write_lines("   Any process on this machine sees it so already:\n")
    write(f"  {again.name:16} tags {', '.join(again.tags)}; notes {again.notes!r}; reviewed {again.config['reviewed']}")
    with again.file(REPORT).download(root=str(home.home.root / "offline"), replace=True) as copy:
        write(f"  {REPORT:16} {copy.read().splitlines()[-1]}")
    write_lines(f"  {failed.name:16} state {failed.state}\n")
    write_lines("   and run.pending says what the server does not have:\n")
    for pending in (*again.pending, *failed.pending):
        write(f"  {pending.entry.run_path}  {wish(pending.operation)}")
    write("")


def edit_by_somebody_else(sandbox: Sandbox, paths: Paths) -> None:
    """What a colleague with a network does meanwhile, to the same run."""
    entity, project, run_id = paths.best.split("/")
    tags = sandbox.state.run(entity, project, run_id).tags
    sandbox.state.edit_run(entity, project, run_id, tags=[*tags, COLLEAGUES_TAG])
    write(f"6. Meanwhile Ada, who has a network, gives the same run the tag {COLLEAGUES_TAG}.")


def deliver_edits(home: Setting) -> Replayed:
    """Replay the outbox.

    Raises:
        MirrorError: not everything was delivered.
    """
    replayed = anyio.run(_replay, home)
    write("")
    if replayed.outage is not None:
        raise replayed.outage
    if replayed.buried or replayed.held or replayed.put_back:
        raise MirrorError("the replay of the demo left something behind; `wandb-mirror outbox list` says what")
    return replayed


async def _replay(home: Setting) -> Replayed:
    async with open_client(home.config, home.home) as client:
        return await Rounds(home, client, Teller(_show)).run()


def _show(entry: Entry, result: Result, words: str | None) -> None:
    write(f"  {result:10} {entry.run_path}  {wish(entry.operation)}{f': {words}' if words else ''}")


def compare(home: Setting, paths: Paths, judged: str) -> None:
    """Compare what the real SDK read from the server with what the mirror says, and with what was asked.

    Args:
        home: of the mirror.
        paths: the runs.
        judged: what the judge printed: JSON by run path.

    Raises:
        MirrorError: they differ.
    """
    theirs: dict[str, Any] = json.loads(judged)
    api = Api(home.home)
    for path in (paths.best, paths.failed):
        run = api.run(path)
        ours = {
            "tags": sorted(run.tags),
            "notes": run.notes,
            "config": run.config,
            "state": run.state,
            "files": sorted(file.name for file in run.files()),
        }
        if ours != theirs[path] or run.pending:
            raise MirrorError(f"the SDK and the mirror disagree about {path}: {theirs[path]} and {ours}")
    best, failed = theirs[paths.best], theirs[paths.failed]
    right = {"best", COLLEAGUES_TAG} <= set(best["tags"]) and best["config"]["reviewed"] is True
    if not right or REPORT not in best["files"] or failed["state"] != "pending":
        raise MirrorError(f"the server does not show what was asked: {theirs}")
    write_lines("8. The real wandb SDK reads the runs from the server, and finds what the mirror says:\n")
    write(f"  tags   {', '.join(best['tags'])}   (ours and Ada's)")
    write(f"  notes  {best['notes']}")
    write(f"  files  {plural(len(best['files']), 'file')}, {REPORT} among them")
    write_lines(f"  state  {failed['state']}   ({api.run(paths.failed).name} is to run again)\n")
