"""How fast operations are queued durably, and what a long backlog costs. `pytest -m bench -s` prints it."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.outbox.names import name_of, next_id
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit, Entry, Operation, UploadFile, encode_entry

pytestmark = pytest.mark.bench

ROUNDS, EACH = 15, 100
GOAL = 0.7
BACKLOG = 100_000
MOST_EXTRA_MB = 24

DRAIN = """
import resource, sys, time
from pathlib import Path
from mirror.layout import Home
from mirror.outbox import Outbox
outbox = Outbox(Home(Path(sys.argv[1])))
start = time.perf_counter()
first = outbox.oldest()
began = time.perf_counter() - start
listed = sum(1 for _ in outbox.entries())
took = time.perf_counter() - start - began
with outbox.replaying():
    for placed in outbox.entries("new"):
        outbox.finish(outbox.claim(placed.entry))
drained = time.perf_counter() - start - began - took
assert sum(outbox.counts().values()) == 0
print(listed, began, took, drained, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def bare(folder: Path, content: bytes, number: int, name: str) -> None:
    """What no durable queue of files can do without."""
    descriptor = os.open(folder / "tmp" / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, content)
    os.fsync(descriptor)
    os.close(descriptor)
    (folder / "tmp" / str(number)).replace(folder / "new" / name)
    descriptor = os.open(folder / "new", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def seconds(act: Callable[[int], object], first: int) -> float:
    """How long some calls take."""
    start = time.perf_counter()
    for number in range(first, first + EACH):
        act(number)
    return time.perf_counter() - start


@pytest.mark.parametrize("kind", ["uploads", "edits of many runs", "edits of one run"])
def test_queueing_costs_little_more_than_the_flushes(tmp_path: Path, kind: str) -> None:
    for name in ("tmp", "new"):
        (tmp_path / "bare" / name).mkdir(parents=True)
    outbox = Outbox(Home(tmp_path / "home"))

    def put(number: int) -> Entry:
        operation: Operation = Edit(config={"lr": Change(base=0.1, value=number)})
        if kind == "uploads":
            operation = UploadFile(name=f"file{number}", object="ab" * 32, size=number, md5="Zm9v")
        return outbox.put(
            RunPath("entity", "project", f"run{number if kind != 'edits of one run' else 0}"), "id", operation
        )

    # An edit that is folded replaces a file, which costs the disk more: so does the loop that it is compared with.
    same = kind == "edits of one run"
    content = encode_entry(put(0))
    pairs = [
        (
            seconds(lambda number: bare(tmp_path / "bare", content, number, "0" if same else str(number)), first),
            seconds(put, first),
        )
        for first in range(1, ROUNDS * EACH, EACH)
    ]
    ratio = statistics.median(flushes / ours for flushes, ours in pairs)
    rate = EACH / statistics.median(ours for _, ours in pairs)
    print(f"\nqueueing {kind}: {rate:,.0f} a second, {ratio:.2f} of a bare loop, goal {GOAL} ({ratio / GOAL:.2f} x)")
    assert ratio >= GOAL


def fill(home: Home, count: int) -> None:
    """A backlog, without the hour that flushing each would take."""
    Outbox(home).put(RunPath("entity", "project", "first"), None, Edit(config={"a": Change(value=1)}))
    last = None
    for number in range(count - 1):
        last = next_id(1_900_000_000_000 + number, last)
        path = RunPath("entity", "project", f"run{number // 2}")
        entry = Entry(
            id=last, entity=path[0], project=path[1], run_id=path[2], storage_id=None,
            operation=Edit(config={f"key{index}": Change(base=0.1, value=number) for index in range(5)}),
            created_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )  # fmt: skip
        (home.outbox / "new" / name_of(last, path)).write_bytes(encode_entry(entry))


def test_a_long_backlog_lists_starts_and_drains_in_the_memory_of_a_short_one() -> None:
    measured = {}
    for count in (1_000, BACKLOG):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            fill(Home(Path(folder) / "home"), count)
            done = subprocess.run(
                [sys.executable, "-c", DRAIN, str(Path(folder) / "home")], capture_output=True, text=True, check=True
            )
        listed, *rest = map(float, done.stdout.split())
        assert listed == count
        measured[count] = rest
    began, took, drained, peak_mb = measured[BACKLOG]
    extra_mb = peak_mb - measured[1_000][-1]
    print(
        f"\na backlog of {BACKLOG:,}: the oldest in {began:.2f} s, all listed and read in {took:.1f} s, drained in"
        f" {drained:.0f} s (no flushes); peak {peak_mb:.0f} MB, {extra_mb:.0f} MB more than for 1,000"
    )
    assert extra_mb < MOST_EXTRA_MB
