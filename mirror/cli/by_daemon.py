"""What a command does where a daemon holds its home: asks it, and shows what it tells."""

from __future__ import annotations

from typing import TypeVar

from mirror.cli.terminal.output import say
from mirror.config import Narrowing
from mirror.daemon.requests.client import DaemonLeft, daemon_listens, replies
from mirror.daemon.requests.wire import (
    Added,
    AskDrop,
    AskPull,
    AskRepair,
    Dropped,
    ImportDone,
    Maintained,
    Progress,
    PullDone,
    Repaired,
    Request,
    Waits,
)
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.pull import ProjectReport, PullReport, PullRequest, PullWatcher, SilentPull
from mirror.records.addresses import ProjectKey

ASKED_AT_MOST = 4  # times, where a daemon is reloaded meanwhile
T = TypeVar("T", PullDone, Maintained, Repaired, Dropped, Added, ImportDone)


def pull_by_daemon(
    home: Home, request: PullRequest, named: tuple[str, ...], narrowing: Narrowing, watcher: PullWatcher
) -> PullReport | None:
    """Have the daemon pull; None when none runs.

    Args:
        home: whose.
        request: what is asked.
        named: sources that a person named.
        narrowing: which of their runs alone are asked for.
        watcher: told about the progress.

    Raises:
        MirrorError: why it could not be done.
    """
    asked = AskPull(
        sources=named,
        runs=request.runs,
        narrowing=narrowing,
        force_walk=request.force_walk,
        accept_missing=request.accept_missing,
        retry_quarantined=request.retry_quarantined,
        dry_run=request.dry_run,
    )
    done = ask_daemon(home, asked, PullDone, watcher)
    return None if done is None else done.report


def ask_daemon(home: Home, request: Request, kind: type[T], watcher: PullWatcher | None = None) -> T | None:
    """Ask for something; its outcome, None when no daemon runs.

    Args:
        home: whose daemon.
        request: what is asked.
        kind: of the outcome.
        watcher: told about the progress of a pull.

    Raises:
        MirrorError: why it could not be done.
    """
    left: DaemonLeft | None = None
    for _ in range(ASKED_AT_MOST):
        try:
            done = _asked(home, request, kind, watcher or SilentPull())
        except DaemonLeft as error:
            if isinstance(request, AskDrop | AskRepair) or not daemon_listens(home, say):
                raise
            left = error
            say("the daemon took its configuration anew, and is asked again")
            continue
        if done is None and left is not None:  # it ended after all
            raise left
        return done
    assert left is not None
    raise left


def _asked(home: Home, request: Request, kind: type[T], watcher: PullWatcher) -> T | None:
    heard = replies(home, request, say)
    if heard is None:
        return None
    shown, waits = _Shown(watcher), False
    for reply in heard:
        if isinstance(reply, Waits) and not waits:
            waits = True
            say(f"the daemon does this next; it is still at: {reply.reason}")
        elif isinstance(reply, Progress):
            shown.show(reply)
        elif isinstance(reply, kind):
            return reply
    raise StoreError("the daemon answered something else", hint="it may be of another version: restart it")


class _Shown:
    """Reports that a watcher knows, kept up to date by what is told."""

    def __init__(self, watcher: PullWatcher) -> None:
        self._watcher = watcher
        self._reports: dict[ProjectKey, ProjectReport] = {}

    def show(self, told: Progress) -> None:
        for report in (*told.ended, *told.projects):
            if report.key not in self._reports:
                self._reports[report.key] = report
                self._watcher.pass_started(report)
            known = self._reports[report.key]
            for field in ProjectReport.__struct_fields__:
                setattr(known, field, getattr(report, field))
            self._watcher.page_done(known, known.upstream)
        for report in told.ended:
            self._watcher.pass_ended(self._reports.pop(report.key))
