"""What a pull came to, and how it tells about itself on the way."""

from __future__ import annotations

from typing import Protocol

import msgspec

from mirror.errors import MirrorError
from mirror.records.addresses import ProjectKey
from mirror.records.passes import Failure


class ProjectReport(msgspec.Struct, kw_only=True):
    """One pass over one project; counted up while it runs."""

    key: ProjectKey
    kind: str = "look"  # "walk", "look" or "named"
    phase: str = "listing"  # "listing", "fetching", "writing"; for progress
    listed: int = 0  # runs that the server listed
    settled: int = 0  # of those, runs that are done with all that they contain; for progress
    fetched: int = 0  # runs whose contents came, though not all are committed yet; for progress
    written: int = 0  # new or changed
    new: int = 0  # of those, runs that were not held before
    unchanged: int = 0
    gone: int = 0  # confirmed as deleted upstream
    upstream: int | None = None  # runs in the project, by the server's count
    files: int = 0  # run files fetched
    parts: int = 0  # history exports fetched
    rows: int = 0  # rows of histories read through the API, because no export holds them yet
    artifacts: int = 0  # artifact versions taken
    bytes_fetched: int = 0  # of files, exports and artifacts
    requests_ahead: int = 0  # of a dry run: GraphQL requests beside those of the listing
    cut_short: int = 0  # of a dry run: runs of whose files or artifacts only the first page is counted
    skipped: int = 0  # places in listings where the server put nothing, or what nobody can read
    beyond: int = 0  # new runs that the source's states, tags or day leave out, and that the server listed all the same
    failed: list[Failure] = msgspec.field(default_factory=list)  # runs, or parts of them, left behind with the reason
    left_behind: int = 0  # items that are not over when the pull ends: of this pass, and of earlier ones
    error: MirrorError | None = None  # why the pass stopped before its end


class PullReport(msgspec.Struct, kw_only=True):
    """A whole pull."""

    projects: list[ProjectReport] = msgspec.field(default_factory=list)
    requests: int = 0  # GraphQL requests, retries included
    retries: int = 0
    transfers: int = 0  # downloads, retries included
    bytes_down: int = 0  # as they came over the wire
    seconds: float = 0.0

    @property
    def errors(self) -> list[MirrorError]:
        """Why passes stopped."""
        return [report.error for report in self.projects if report.error is not None]

    @property
    def is_whole(self) -> bool:
        """Whether the projects are held whole: no pass stopped, and nothing is left behind, of earlier ones either."""
        return not self.errors and not self.failures and not any(report.left_behind for report in self.projects)

    @property
    def failures(self) -> int:
        """Runs, and parts of runs, left behind."""
        return sum(len(report.failed) for report in self.projects)


class PullWatcher(Protocol):
    """Whoever wants to show a pull while it runs; every call returns at once."""

    def pass_started(self, report: ProjectReport) -> None:
        """A pass begins."""

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        """A page is committed; `expected` runs will be listed in all, when that is known."""

    def pass_ended(self, report: ProjectReport) -> None:
        """A pass ended, well or with `report.error`."""


class SilentPull:
    """A watcher that shows nothing."""

    def pass_started(self, report: ProjectReport) -> None:
        """Nothing."""

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        """Nothing."""

    def pass_ended(self, report: ProjectReport) -> None:
        """Nothing."""
