"""How a mirror is, source by source and in findings: a part of `wandb-mirror status`.

The judgement is the daemon's own (`mirror.daemon.status.health`); here it gets what the command has just looked at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from mirror.cli.terminal.output import ago
from mirror.config import Config, HealthSettings, SourceSettings, source_of
from mirror.daemon.status.health import Finding, is_late
from mirror.daemon.status.status_file import DaemonStatus, SourceStatus
from mirror.store.read.overview import ProjectOverview
from mirror.texts.amounts import plural, span

SHOWN = 10  # sources that are listed although all is well with them


class SourceLag(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind a configured source is. Times are UTC without a zone."""

    path: str
    active: bool  # it has runs that have not ended
    last_good_at: dt.datetime | None
    lag_s: int | None  # since then, seconds
    due_at: dt.datetime | None  # when its pace owes the next good pull; None: nobody promised one
    late: bool  # it is due for too long
    next_at: dt.datetime | None  # the daemon's next pull
    pulling: bool  # by the daemon, now
    last_error: str | None
    last_error_at: dt.datetime | None


def source_statuses(
    config: Config, projects: Sequence[ProjectOverview], daemon: DaemonStatus | None
) -> list[SourceStatus]:
    """Each configured source: in the daemon's words, or from what the last pulls left in the lake.

    Args:
        config: the configuration.
        projects: that were pulled.
        daemon: that runs.
    """
    told = {} if daemon is None else {source.path: source for source in daemon.sources}
    by_source: dict[str, list[ProjectOverview]] = {source.path: [] for source in config.source}
    for project in projects:
        if (source := source_of(config.source, project.entity, project.project)) is not None:
            by_source[source.path].append(project)
    return [
        told.get(source.path) or _from_lake(source, by_source[source.path], config.health) for source in config.source
    ]


def _from_lake(source: SourceSettings, projects: Sequence[ProjectOverview], health: HealthSettings) -> SourceStatus:
    failing = [project for project in projects if project.last_error is not None]
    latest = max((project.last_pass_at for project in projects if project.last_pass_at), default=None)
    good_at = min((project.last_pass_at for project in failing if project.last_pass_at), default=latest)
    worst = failing[0] if failing else None
    due_at = None
    if health.pull_within_hours and good_at is not None:
        due_at = good_at + dt.timedelta(hours=health.pull_within_hours)
    elif worst is not None:
        due_at = good_at or worst.last_error_at
    return SourceStatus(
        path=source.path,
        active=any(project.active for project in projects),
        last_good_at=good_at,
        next_at=None,
        last_error=None if worst is None else worst.last_error,
        last_error_at=None if worst is None else worst.last_error_at,
        due_at=due_at,
    )


def lag_of(source: SourceStatus, now: dt.datetime, health: HealthSettings) -> SourceLag:
    """What `status` tells of a source."""
    lag_s = source.lag_s(now)
    return SourceLag(
        path=source.path,
        active=source.active,
        last_good_at=source.last_good_at,
        lag_s=None if lag_s is None else round(lag_s),
        due_at=source.due_at,
        late=is_late(source, now, health),
        next_at=source.next_at,
        pulling=source.pulling,
        last_error=source.last_error,
        last_error_at=source.last_error_at,
    )


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Whether a person need do something, and what to type."""
    if not findings:
        return ["health  good: nothing waits for you"]
    lines = [f"health  {plural(len(findings), 'thing')} to look at"]
    for finding in findings:
        lines += [f"  {finding.name}: {finding.sentence}", f"    {finding.hint}"]
    return lines


def source_lines(lags: Sequence[SourceLag], now: dt.datetime) -> list[str]:
    """A line for each source; of many, those with trouble and the first few others."""
    troubled = [one for one in lags if one.late or one.last_error is not None]
    well = [one for one in lags if not one.late and one.last_error is None]
    lines = [f"source  {describe_source(one, now)}" for one in [*troubled, *well[:SHOWN]]]
    if len(well) > SHOWN:
        lines.append(f"        {len(well) - SHOWN:,} more without an error")
    return lines


def describe_source(one: SourceLag, now: dt.datetime) -> str:
    """A source in one line: how far behind, when the next pull comes, what went wrong."""
    lag = f"lag {span(one.lag_s)}" if one.lag_s is not None else "never pulled well"
    parts = [f"{one.path}: {'LATE, ' if one.late else ''}{lag}"]
    if one.active:
        parts.append("runs under way")
    if one.pulling:
        parts.append("being pulled")
    elif one.next_at is not None:
        parts.append(f"next pull in {span((one.next_at - now).total_seconds())}")
    if one.last_error is not None:
        parts.append(f"error {ago(one.last_error_at, now)}: {one.last_error}")
    return ", ".join(parts)
