"""Made-up runs and their values: for a server's state, and straight into a lake."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.api.rows.runs import with_fingerprint
from mirror.clock import utc_now
from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.passes import Changes, SourceState
from mirror.records.runs import RunRecord
from mirror.store.engine.lake import Lake
from mirror.store.metrics.files import register, write_metrics
from mirror.store.metrics.fold import fold_exports
from mirror.store.write.writer import commit
from mirror.wandb_protocol.wire import config_envelope

EPOCH = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
DEPLOYMENT = "a bench"
AT_ONCE = 1_000  # runs of a commit, as in the largest page of a pull
FOLDED_AT_ONCE = 25  # histories of a commit, as in a batch of a pull


def run_id(number: int) -> str:
    """Ids in no order of time, as W&B's."""
    return f"{number * 2654435761 % 2**32:08x}"


def config_of(number: int) -> dict[str, Any]:
    """What it was trained with."""
    return {"lr": 0.1 / (number % 97 + 1), "layers": [64, 64, 10], "name": f"model-{number % 7}", "seed": number}


def summary_of(number: int) -> dict[str, Any]:
    """Where 20 metrics ended."""
    return {f"metric/{key}": number * 7919 % 104_729 / (key + 1) for key in range(20)}


def created_at(number: int) -> str:
    """One run a second."""
    return f"{EPOCH + dt.timedelta(seconds=number):%Y-%m-%dT%H:%M:%S}"


def record(project: ProjectKey, number: int) -> RunRecord:
    """A finished run as a pull would have read it."""
    at, text = EPOCH + dt.timedelta(seconds=number), created_at(number)
    return with_fingerprint(
        RunRecord(
            entity=project.entity, project=project.project, run_id=run_id(number), storage_id=f"id-{number}",
            display_name=f"run-{number}", state="finished", tags=("made",), group=None, job_type=None, sweep=None,
            notes=None, description=None, commit=None, user="sandy", user_name="Sandy", read_only=False,
            project_internal_id="1", created_at=at, created_at_text=text, heartbeat_at=at, heartbeat_at_text=text,
            updated_at=at, updated_at_text=text, host=None, history_line_count=0, history_keys_text=None,
            config_text=json.dumps(config_envelope(config_of(number))), summary_text=json.dumps(summary_of(number)),
            system_metrics_text=None, fingerprint="",
        )
    )  # fmt: skip


def insert_runs(lake: Lake, project: ProjectKey, runs: int) -> None:
    """Runs without contents, in commits of a page each."""
    for start in range(0, runs, AT_ONCE):
        page = [record(project, number) for number in range(start, min(runs, start + AT_ONCE))]
        state = SourceState(watermark=utc_now(), last_walk_at=utc_now(), last_pass_at=utc_now(), runs_upstream=runs)
        commit(
            lake,
            Changes(
                key=project, at=utc_now(), runs=tuple(page), new=frozenset(run.run_id for run in page), source=state
            ),
        )


def export(path: Path, *, steps: int, keys: int, seed: int = 0) -> None:
    """A history of random doubles as W&B exports it; `_timestamp` is one of the keys."""
    rng = np.random.default_rng(seed)
    columns = {"_step": np.arange(steps), "_timestamp": 1.7e9 + np.arange(steps) / 2}
    columns |= {f"metric/{key:02}": rng.normal(size=steps) for key in range(keys - 1)}
    pq.write_table(pa.table(columns), path, write_page_checksum=True)


def insert_values(lake: Lake, runs: int, *, steps: int, keys: int) -> None:
    """Histories of so many runs in the table `metrics`."""
    with tempfile.TemporaryDirectory(dir=lake.home.root) as folder:
        for start in range(0, runs, FOLDED_AT_ONCE):
            batch = []
            for number in range(start, min(runs, start + FOLDED_AT_ONCE)):
                path = Path(folder) / f"{number - start}.parquet"
                export(path, steps=steps, keys=keys, seed=number)
                batch.append((RunPath("team", "values", run_id(number)), fold_exports([path])))
            files = write_metrics(lake.home, batch)
            with lake.transaction() as engine:
                register(engine, files)
