"""Maintenance of a shared lake that is many small files: each value stays, memory is bounded, nothing is left behind.

`MANY_FILES=100000 pytest tests/cluster/test_many_files.py -m soak -n 0 -s` is the size of years of ten-minute pulls; it
takes half an hour, most of it to have the files named.
"""

from __future__ import annotations

import datetime as dt
import os
import resource
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.clock import utc_now
from mirror.config import RetentionSettings
from mirror.layout import Home
from mirror.store.care.maintenance import maintain
from mirror.store.engine.lake import Lake
from mirror.store.metrics.files import COLUMNS
from tests.cluster.servers import Place

FILES = int(os.environ.get("MANY_FILES", "3000"))
NAMED_AT_ONCE = 2_000
AT_ONCE = RetentionSettings(snapshots_days=1e-7, files_days=1e-7, objects_days=1.0)
MOST_MB = 200 + FILES / 100  # of growth: the lists of files are in memory


@pytest.mark.soak
def test_many_small_files_become_few_and_the_others_go(place: Place, home: Home) -> None:
    folder = place.folder / "main" / "metrics"
    folder.mkdir(parents=True)
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for number in range(FILES):
        row = {"entity": "team", "project": "proj", "run_id": f"r{number:06}", "key": "loss", "step": number}
        table = pa.Table.from_pylist([{**row, "timestamp": now, "value": float(number)}], schema=COLUMNS)
        pq.write_table(table, folder / f"small-{number // NAMED_AT_ONCE:04}-{number:06}.parquet", store_schema=False)
    with Lake(home, deployment="server") as lake:
        for batch in range(-(-FILES // NAMED_AT_ONCE)):
            with lake.transaction() as engine:
                names = f"{place.data}/main/metrics/small-{batch:04}-*.parquet"
                engine.execute(f"CALL ducklake_add_data_files('lake', 'metrics', '{names}')")
        before, began = _peak_mb(), time.monotonic()
        merged = maintain(lake, AT_ONCE, needed=list, now=utc_now())
        grown, merged_at = _peak_mb() - before, time.monotonic()
        rows = lake.rows("SELECT count(*), sum(value), count(DISTINCT run_id) FROM lake.metrics")
        removed = maintain(lake, AT_ONCE, needed=list, now=utc_now())
        gone_at = time.monotonic()
    print(f"{FILES} files: merged in {merged_at - began:.0f} s, {grown} MB; gone in {gone_at - merged_at:.0f} s")
    assert merged.files_merged >= FILES
    assert rows == [(FILES, float(sum(range(FILES))), FILES)]
    assert removed.lake_files.files >= FILES
    assert len(list(folder.glob("*.parquet"))) < 10 + FILES / 1_000
    assert grown < MOST_MB


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
