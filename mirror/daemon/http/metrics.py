"""The daemon's figures for Prometheus: a collector over what the last heartbeat said, in a registry of its own.

Labels are bounded: sources as they are configured, names of workers, states, outcomes and findings; never a run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from mirror.daemon.status.health import FINDING_NAMES, Finding
from mirror.daemon.status.status_file import DaemonStatus, SourceStatus

STATES = ("online", "offline", "key_refused", "standby", "lake_away", "stopping", "stopped")
WORKER_STATES = ("idle", "busy", "restarting", "stuck")
OUTCOMES = ("applied", "already_so", "theirs", "buried", "held", "put_back")
DISK_KINDS = ("lake", "objects", "partial", "outbox")

Labelled = Iterable[tuple[tuple[str, ...], float]]  # the labels' values, and the figure


class Metrics:
    """What a scrape gets.

    Args:
        said: what the daemon said last; None before its first word.
        findings: what of that waits for a person now.
    """

    def __init__(self, said: Callable[[], DaemonStatus | None], findings: Callable[[], list[Finding]]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(said, findings))
        ProcessCollector(registry=self._registry)

    def text(self) -> tuple[bytes, str]:
        """The text and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _Collector(Collector):
    def __init__(self, said: Callable[[], DaemonStatus | None], findings: Callable[[], list[Finding]]) -> None:
        self._said = said
        self._findings = findings

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("wandb_mirror", "The program.", value={"version": version("wandb-mirror")})
        said = self._said()
        if said is None:  # it only starts
            return
        names = {finding.name for finding in self._findings()}
        yield _gauge("healthy", "1 when nothing waits for a person.", not names)
        found = (((name,), name in names) for name in FINDING_NAMES)
        yield _gauges("finding", "1 when this waits for a person.", ["finding"], found)
        yield from _of_process(said)
        yield from _of_sources(said.sources, said.updated_at)
        yield from _of_outbox(said)
        yield from _of_home(said)


def _of_process(said: DaemonStatus) -> Iterator[Metric]:
    yield _gauge("start_timestamp_seconds", "When the daemon began.", _unix(said.since))
    yield _gauge("beat_timestamp_seconds", "When the daemon last said how it is.", _unix(said.updated_at))
    states = (((state,), said.state == state) for state in STATES)
    yield _gauges("state", "1 for the state of the daemon.", ["state"], states)
    if said.offline_since is not None:
        since = "Since when the server is away, or refuses the key; absent while it answers."
        yield _gauge("offline_since_timestamp_seconds", since, _unix(said.offline_since))
    yield _gauge("config_refused", "1 while an edited configuration is not in use.", said.config_error is not None)
    workers = [((one.name, state), one.state == state) for one in said.workers for state in WORKER_STATES]
    yield _gauges("worker_state", "1 for the state of the worker.", ["worker", "state"], workers)
    crashes = [((one.name,), one.crashes) for one in said.workers]
    yield _counters("worker_crashes", "Crashes since the configuration was loaded.", ["worker"], crashes)
    requests = [(("graphql",), said.requests), (("transfer",), said.transfers)]
    yield _counters("requests", "Requests to the server, further tries included.", ["kind"], requests)
    yield _counters("request_retries", "Further tries of GraphQL requests.", [], [((), said.retries)])
    moved = [(("down",), said.bytes_down), (("up",), said.bytes_up)]
    yield _counters("transferred_bytes", "Bodies as they went over the wire.", ["direction"], moved)
    pulls = [(("good",), said.pulls_good), (("failed",), said.pulls_failed)]
    yield _counters("pulls", "Pulls that ended.", ["outcome"], pulls)


def _of_sources(sources: list[SourceStatus], now: dt.datetime) -> Iterator[Metric]:
    good = [((one.path,), _unix(one.last_good_at)) for one in sources if one.last_good_at is not None]
    lags = [((one.path,), lag) for one in sources if (lag := one.lag_s(now)) is not None]
    due = [((one.path,), _unix(one.due_at)) for one in sources if one.due_at is not None]
    label = ["source"]
    yield _gauges("source_last_good_pull_timestamp_seconds", "The last pull without an error.", label, good)
    yield _gauges("source_lag_seconds", "How long ago that was.", label, lags)
    yield _gauges("source_due_timestamp_seconds", "When the source's pace owes the next good pull.", label, due)
    failing = [((one.path,), one.last_error is not None) for one in sources]
    yield _gauges("source_failing", "1 when a project of it could not be pulled last time.", label, failing)
    active = [((one.path,), one.active) for one in sources]
    yield _gauges("source_active", "1 when it has runs that have not ended.", label, active)
    errors = [((one.path,), one.errors) for one in sources]
    yield _counters("source_errors", "Pulls in which a project of it failed.", label, errors)


def _of_outbox(said: DaemonStatus) -> Iterator[Metric]:
    box = said.outbox
    places = {"new": box.new, "claimed": box.claimed, "conflict": box.conflict, "dead": box.dead, "aside": box.aside}
    by_state = (((state,), count) for state, count in places.items())
    yield _gauges("outbox_operations", "Operations in the outbox.", ["state"], by_state)
    age_s = 0.0 if box.oldest_at is None else max(0.0, (said.updated_at - box.oldest_at).total_seconds())
    yield _gauge("outbox_oldest_age_seconds", "Since when the oldest that is to be delivered waits; 0: none.", age_s)
    ended = [((outcome,), said.operations.get(outcome, 0)) for outcome in OUTCOMES]
    yield _counters("operations", "Tries of deliveries, by how they ended.", ["outcome"], ended)


def _of_home(said: DaemonStatus) -> Iterator[Metric]:
    yield _gauge("quarantined_items", "Items of the mirror given up until a person asks for them.", said.quarantined)
    if (disk := said.disk) is not None:
        uses = [((kind,), getattr(disk, kind)) for kind in DISK_KINDS]
        yield _gauges("disk_bytes", "What the mirror takes, counted now and then.", ["kind"], uses)
    if said.disk_free is not None:
        yield _gauge("disk_free_bytes", "What is left on that disk.", said.disk_free)
    if said.maintained_at is not None:
        yield _gauge("maintenance_timestamp_seconds", "The last good maintenance.", _unix(said.maintained_at))
    failed = said.maintenance_error is not None
    yield _gauge("maintenance_failed", "1 when maintenance failed the last time.", failed)


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"wandb_mirror_{name}", says, value=value)


def _gauges(name: str, says: str, labels: list[str], values: Labelled) -> Metric:
    family = GaugeMetricFamily(f"wandb_mirror_{name}", says, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _counters(name: str, says: str, labels: list[str], values: Labelled) -> Metric:
    family = CounterMetricFamily(f"wandb_mirror_{name}", says, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _unix(moment: dt.datetime) -> float:
    return moment.replace(tzinfo=dt.UTC).timestamp()
