"""`/metrics`, read by the library's own parser and held against what the daemon said."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from mirror.daemon.http.metrics import Metrics
from mirror.daemon.http.pages import DaemonPages
from mirror.daemon.status.health import FINDING_NAMES, Finding
from mirror.daemon.status.status_file import Backlog, DaemonStatus, WorkerStatus
from mirror.store.objects.disk import DiskUse
from tests.daemon.test_health import NOW, WELL, ago, source

STUCK = WorkerStatus(name="replay", state="stuck", crashes=2, last_error="boom")
AWAY = source(path='e/"quoted\\p', last_error="gone", last_error_at=NOW, errors=4, last_good_at=None, active=True)
SAID = msgspec.structs.replace(
    WELL,
    updated_at=NOW,
    state="offline",
    offline_since=ago(hours=1),
    offline_reason="no route",
    workers=[*WELL.workers, STUCK],
    sources=[source(), AWAY],
    requests=70,
    retries=3,
    transfers=5,
    bytes_down=1000,
    bytes_up=20,
    pulls_good=9,
    pulls_failed=1,
    operations={"applied": 6, "held": 1},
    outbox=Backlog(new=2, claimed=1, conflict=4, dead=5, aside=6, oldest_at=ago(minutes=2)),
    quarantined=7,
    disk=DiskUse(lake=10, objects=20, partial=30, catalog=4, outbox=40, objects_estimated=False),
    disk_free=123,
    maintained_at=ago(days=1),
    maintenance_error="disk",
)
FOUND = Finding(name="conflicts", sentence="4 in conflict", hint="decide")


def scrape(said: DaemonStatus | None, *findings: Finding) -> list[Sample]:
    text, kind = Metrics(lambda: said, lambda: list(findings)).text()
    assert kind.startswith("text/plain; version=")
    families = list(text_string_to_metric_families(text.decode()))
    for family in families:
        assert family.documentation, family.name
        assert family.type in ("gauge", "counter", "info"), family.name
    return [sample for family in families for sample in family.samples]


def figures(samples: list[Sample], name: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in samples if sample.name == f"wandb_mirror_{name}"}


def unix(moment: dt.datetime) -> float:
    return moment.replace(tzinfo=dt.UTC).timestamp()


def test_each_figure_is_what_the_daemon_said() -> None:
    samples = scrape(SAID, FOUND)
    quoted = AWAY.path
    assert figures(samples, "healthy") == {(): 0}
    assert figures(samples, "finding") == {(name,): float(name == "conflicts") for name in FINDING_NAMES}
    assert figures(samples, "source_last_good_pull_timestamp_seconds") == {("e/p",): unix(ago(minutes=5))}
    assert figures(samples, "source_lag_seconds") == {("e/p",): 300}
    assert figures(samples, "source_failing") == {("e/p",): 0, (quoted,): 1}
    assert figures(samples, "source_errors_total") == {("e/p",): 0, (quoted,): 4}
    assert figures(samples, "source_active") == {("e/p",): 0, (quoted,): 1}
    states = {("new",): 2.0, ("claimed",): 1.0, ("conflict",): 4.0, ("dead",): 5.0, ("aside",): 6.0}
    assert figures(samples, "outbox_operations") == states
    assert figures(samples, "outbox_oldest_age_seconds") == {(): 120}
    assert figures(samples, "quarantined_items") == {(): 7}
    assert figures(samples, "worker_state")[("stuck", "replay")] == 1
    assert figures(samples, "worker_state")[("stuck", "pull")] == 0
    assert figures(samples, "worker_crashes_total") == {("pull",): 0, ("replay",): 2}
    assert figures(samples, "requests_total") == {("graphql",): 70, ("transfer",): 5}
    assert figures(samples, "request_retries_total") == {(): 3}
    assert figures(samples, "transferred_bytes_total") == {("down",): 1000, ("up",): 20}
    assert figures(samples, "state")[("offline",)] == 1
    assert figures(samples, "offline_since_timestamp_seconds") == {(): unix(ago(hours=1))}
    assert figures(samples, "disk_bytes") == {("lake",): 10, ("objects",): 20, ("partial",): 30, ("outbox",): 40}
    assert figures(samples, "disk_free_bytes") == {(): 123}
    assert figures(samples, "maintenance_timestamp_seconds") == {(): unix(ago(days=1))}
    assert figures(samples, "maintenance_failed") == {(): 1}
    assert figures(samples, "pulls_total") == {("good",): 9, ("failed",): 1}
    assert figures(samples, "operations_total")[("applied",)] == 6
    assert figures(samples, "operations_total")[("buried",)] == 0


def test_names_and_units_are_those_of_prometheus_and_labels_are_bounded() -> None:
    samples = scrape(SAID)
    ours = [sample for sample in samples if sample.name.startswith("wandb_mirror_")]
    assert len(ours) > 40
    for sample in ours:
        assert re.fullmatch(r"wandb_mirror_[a-z_]+", sample.name)
        assert set(sample.labels) <= {
            "version", "finding", "source", "state", "worker", "kind", "direction", "outcome"
        }, sample  # fmt: skip
    assert {sample.name for sample in samples} >= {"process_resident_memory_bytes", "process_open_fds"}


def test_a_daemon_that_said_nothing_yet_has_only_its_version() -> None:
    (info,) = [sample for sample in scrape(None) if sample.name.startswith("wandb_mirror")]
    assert info.name == "wandb_mirror_info"
    assert info.labels["version"]


def test_the_page_is_what_the_collector_says() -> None:
    answer = DaemonPages(lambda: SAID, lambda: [FOUND])("/metrics")
    assert answer is not None
    assert answer.status == 200
    assert b"wandb_mirror_quarantined_items 7.0" in answer.body


def test_every_figure_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(wandb_mirror_\w+)", text, re.MULTILINE))
    assert documented == {sample.name for sample in scrape(SAID, FOUND) if sample.name.startswith("wandb_mirror_")}
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) - documented
    assert named == set(FINDING_NAMES)
