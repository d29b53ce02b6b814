"""How fast `verify` reads, beside bare SHA-256 of the same files in as many threads. `pytest -m bench -s` prints it."""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mirror.check import verify
from mirror.config import StoreSettings
from mirror.layout import Home

pytestmark = pytest.mark.bench

GOAL = 0.8
ROUNDS = 5
THREADS = 2
MOST_MB = 250  # of memory, whatever is read

MEASURED = """
import resource, sys
from pathlib import Path
from mirror.check import verify
from mirror.config import StoreSettings
from mirror.layout import Home
assert verify(Home(Path(sys.argv[1])), StoreSettings()).is_sound
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def held(home: Home, count: int, size: int) -> list[Path]:
    """So many objects of so many bytes."""
    paths = []
    for _ in range(count):
        content = os.urandom(size)
        digest = hashlib.sha256(content).hexdigest()
        path = home.objects / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(path)
    return sorted(paths)


def bare(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize(("count", "size"), [(24, 16_000_000), (6_000, 20_000)])
def test_verify_reads_at_nearly_the_rate_of_bare_sha256(tmp_path: Path, count: int, size: int) -> None:
    home = Home(tmp_path)
    paths = held(home, count, size)
    ratios = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            assert [path.name for path in paths] == list(pool.map(bare, paths))
        between = time.perf_counter()
        report = verify(home, StoreSettings(), threads=THREADS)
        ended = time.perf_counter()
        assert (report.is_sound, report.objects) == (True, count)
        ratios.append((between - started) / (ended - between))
    rate = count * size / 1e6 / (ended - between)
    print(f"\n{count} objects of {size:,} B: {statistics.median(ratios):.2f} of bare SHA-256, {rate:.0f} MB/s")
    assert statistics.median(ratios) >= GOAL


def test_memory_stays_bounded_while_much_is_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    held(home, 24, 16_000_000)
    held(home, 6_000, 2_000)
    done = subprocess.run([sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True)
    print(f"\n{int(done.stdout)} MB at most")
    assert int(done.stdout) <= MOST_MB
