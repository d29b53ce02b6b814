"""How fast histories become rows of `metrics`, and in how much memory. `pytest -m bench -s` prints it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.store.metrics.files import write_metrics
from mirror.store.metrics.fold import fold_exports

pytestmark = pytest.mark.bench

RUNS, KEYS, STEPS = 50, 20, 5_000
MOST_MB = 400

LONG_RUN = """
import resource, sys
from pathlib import Path
from mirror.layout import Home
from mirror.store.metrics.files import write_metrics
from mirror.store.metrics.fold import fold_exports
(file,) = write_metrics(Home(Path(sys.argv[2])), [(("e", "p", "r"), fold_exports([Path(sys.argv[1])]))])
print(file.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def write_export(path: Path, *, steps: int, keys: int) -> None:
    """A part of floats without two equal ones."""
    columns = {"_step": pa.array(range(steps)), "_timestamp": pa.array([1.7e9 + 0.5 * step for step in range(steps)])}
    for key in range(keys - 1):
        columns[f"train/key{key}"] = pa.array([(step * 7919 + key) % 104729 / 104729 for step in range(steps)])
    pq.write_table(pa.table(columns), path)


def test_folding_two_million_values_a_second(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in range(RUNS)]
    for path in paths:
        write_export(path, steps=STEPS, keys=KEYS)
    best = 0.0
    for attempt in range(3):
        start = time.perf_counter()
        batch = [(RunPath("entity", "project", path.stem), fold_exports([path])) for path in paths]
        files = write_metrics(Home(tmp_path / f"home{attempt}"), batch)
        seconds = time.perf_counter() - start
        values = sum(file.rows for file in files)
        best = max(best, values / seconds)
    assert values == RUNS * KEYS * STEPS
    print(f"\nfolding and writing {values:,} values: {best / 1e6:.1f} million a second, goal 2.0 ({best / 2e6:.1f} x)")


def test_a_long_run_is_folded_in_bounded_memory(tmp_path: Path) -> None:
    write_export(tmp_path / "long.parquet", steps=50_000, keys=200)
    done = subprocess.run(
        [sys.executable, "-c", LONG_RUN, str(tmp_path / "long.parquet"), str(tmp_path / "home")],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, peak_mb = map(int, done.stdout.split())
    print(f"\n{rows:,} values of one run: peak {peak_mb} MB, goal {MOST_MB} ({peak_mb / MOST_MB:.2f} x)")
    assert rows == 50_000 * 200
    assert peak_mb < MOST_MB
