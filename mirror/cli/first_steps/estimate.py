"""What a first pull will take, by the projects' sizes and a look at their latest runs, which changes nothing."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mirror.api.client import Client
from mirror.api.rows.listed import ListedContents
from mirror.api.transport.signed_url import SignedUrl
from mirror.cli.first_steps.questions import Offer
from mirror.cli.lake import lake_to_write
from mirror.cli.setting import Setting
from mirror.cli.terminal.output import size
from mirror.errors import MirrorError
from mirror.layout import Home
from mirror.pull import PullRequest, pull
from mirror.records.addresses import RunPath
from mirror.texts.amounts import plural, span

SAMPLED_PROJECTS, SAMPLED_RUNS = 3, 10  # the largest projects, and the latest runs of each
RATE = 10e6  # bytes a second that are assumed


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Of a first pull."""

    runs: int
    sampled: int  # runs that were looked at
    requests: int
    downloads: int
    bytes: int  # of files and exports
    exports: int  # of the downloads
    export_bytes: int | None  # of one, on average; None: no server told it
    artifacts: int  # versions, whose bytes are not counted
    seconds: float

    def __str__(self) -> str:
        """One line."""
        if not self.runs:
            return "there are no runs yet"
        unknown = ["exports"] * (self.exports > 0 and self.export_bytes is None) + ["artifacts"] * (self.artifacts > 0)
        more = f" (without the bytes of {' and '.join(unknown)})" if unknown else ""
        return (
            f"a first pull of {plural(self.runs, 'run')} takes about {plural(self.requests, 'request')},"
            f" {plural(self.downloads, 'download')} and {size(self.bytes)}{more}: some"
            f" {span(max(1.0, self.seconds))} at {size(RATE)}/s (by the latest {plural(self.sampled, 'run')};"
            " `wandb-mirror pull --dry-run` counts)"
        )


async def estimate_first_pull(client: Client, setting: Setting, projects: Sequence[Offer]) -> Estimate:
    """Look at some runs, and reckon.

    Args:
        client: entered by the caller.
        setting: how to pull.
        projects: all that will be pulled.

    Raises:
        MirrorError: the server does not answer.
    """
    total = sum(project.runs or 0 for project in projects)
    sample: list[RunPath] = []
    told: list[int | None] = []  # the bytes of one export of each project
    for project in sorted(projects, key=lambda one: -(one.runs or 0))[:SAMPLED_PROJECTS]:
        entity, _, name = project.path.partition("/")
        page = await client.runs_page(entity, name, order="-created_at", first=SAMPLED_RUNS, with_contents=True)
        if page is None:
            continue
        sample += [RunPath(entity, name, run.run_id) for run in page.runs]
        listed = (found for found in page.contents.values() if isinstance(found, ListedContents))
        if url := next((found.export_urls[0] for found in listed if found.export_urls), None):
            told.append(await _bytes_told(client, url))
    total = max(total, len(sample))
    if not sample:
        return Estimate(
            runs=0, sampled=0, requests=0, downloads=0, bytes=0, exports=0, export_bytes=None, artifacts=0, seconds=0.0
        )
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="wandb-mirror-init-") as folder,
        lake_to_write(setting, Home(Path(folder))) as lake,
    ):
        request = PullRequest(sources=setting.config.source, runs=tuple(sample), dry_run=True)
        report = await pull(client, lake, setting.config, request)
    by_run = total / len(sample)
    requests = sum(math.ceil((one.runs or 0) / setting.config.pull.page_size_max) for one in projects) + math.ceil(
        by_run * sum(project.requests_ahead for project in report.projects)
    )
    downloads = math.ceil(by_run * sum(one.files + one.parts + one.artifacts for one in report.projects))
    exports = math.ceil(by_run * sum(project.parts for project in report.projects))
    known = [count for count in told if count is not None]
    export_bytes = round(sum(known) / len(known)) if known else None
    fetched = math.ceil(by_run * sum(project.bytes_fetched for project in report.projects))
    fetched += exports * (export_bytes or 0)
    server = setting.config.server
    answer_s = (time.monotonic() - began) / max(1, report.requests)
    waits_s = requests * answer_s / server.concurrent_requests + downloads * answer_s / server.concurrent_transfers
    if ceiling := setting.config.pull.requests_per_second:
        waits_s = max(waits_s, requests / ceiling)
    return Estimate(
        runs=total, sampled=len(sample), requests=requests, downloads=downloads, bytes=fetched,
        exports=exports, export_bytes=export_bytes,
        artifacts=math.ceil(by_run * sum(project.artifacts for project in report.projects)),
        seconds=waits_s + fetched / RATE,
    )  # fmt: skip


async def _bytes_told(client: Client, url: SignedUrl) -> int | None:
    """The size of a file as the head of its download tells it: its body is not read; None where that fails."""
    try:
        async with client.download(url) as body:
            return body.total
    except MirrorError:
        return None
