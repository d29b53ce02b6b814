"""Memory stays bounded, whatever is pulled, read, queued or delivered: peaks of whole processes. `pytest -m bench`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.store.engine.lake import Lake
from tests.bench.backlogs import fill
from tests.bench.disk import hold
from tests.bench.made_runs import DEPLOYMENT, export, insert_runs
from tests.bench.measuring import COMMAND_LINE, Server, peak_mb, serving, write_config
from tests.bench.offline import long_run
from tests.offline.logs import offline_log, write_log

pytestmark = pytest.mark.bench

MANY = 100_000
MOST_MB = 400.0

FOLD = """
import sys
from pathlib import Path
from mirror.layout import Home
from mirror.store.metrics.files import write_metrics
from mirror.store.metrics.fold import fold_exports
(file,) = write_metrics(Home(Path(sys.argv[2])), [(("e", "p", "r"), fold_exports([Path(sys.argv[1])]))])
print(file.rows)
"""

VERIFY = """
import sys
from pathlib import Path
from mirror.check import verify
from mirror.store_settings import StoreSettings
from mirror.layout import Home
assert verify(Home(Path(sys.argv[1])), StoreSettings()).is_sound
"""

LISTING = """
import sys, mirror
seen = 0
for run in mirror.Api(sys.argv[1]).runs(sys.argv[2], filters={"config.lr": {"$gt": 0.0}}):
    seen += run.config["lr"] > 0
    if seen == int(sys.argv[3]): break
print(seen)
"""

LIST_AND_DRAIN = """
import sys
from pathlib import Path
from mirror.layout import Home
from mirror.outbox import Outbox
outbox = Outbox(Home(Path(sys.argv[1])))
print(sum(1 for _ in outbox.entries()))
with outbox.replaying():
    for placed in outbox.entries("new"):
        outbox.finish(outbox.claim(placed.entry))
assert sum(outbox.counts().values()) == 0
"""

REPLAY = """
import sys
from pathlib import Path
from mirror.layout import Home
from tests.replaying import Sender
sender = Sender(url=sys.argv[1], api_key=sys.argv[2], home=Home(Path(sys.argv[3])), features=frozenset(), policy="ours")
report = sender.replay()
print(report.applied, report.put_back)
"""


@pytest.mark.parametrize(
    "large", [("history", 50_000, 200), ("file", 2 << 30)], ids=["50,000 steps x 200 keys", "a file of 2 GB"]
)
def test_a_pull_of_one_large_thing_keeps_within_400_mb(tmp_path: Path, large: tuple[object, ...]) -> None:
    with serving("large", *large) as server:
        peak = peak_of_pull(server, tmp_path)
    held = sum(path.stat().st_size for path in tmp_path.rglob("objects/sha256/*/*"))
    assert held / 1e6 > MOST_MB / 5  # all of it came
    assert peak <= MOST_MB


def test_a_pull_of_many_runs_needs_little_more_memory_than_one_of_few(tmp_path: Path) -> None:
    """One page is 1,000 runs, so both meet a full page."""
    peaks = []
    for runs in (1_000, 20_000):
        with serving("runs", runs) as server:
            peaks += [peak_of_pull(server, tmp_path / str(runs))]
    assert peaks[1] - peaks[0] <= 100


def test_a_long_run_is_folded_in_bounded_memory(tmp_path: Path) -> None:
    export(tmp_path / "long.parquet", steps=50_000, keys=200)
    peak, said = peak_mb(FOLD, tmp_path / "long.parquet", tmp_path / "home")
    assert int(said) == 50_000 * 200
    assert peak <= MOST_MB


def test_a_listing_of_20000_runs_is_read_in_the_memory_of_its_beginning(tmp_path: Path) -> None:
    with Lake(Home(tmp_path), deployment=DEPLOYMENT) as lake:
        insert_runs(lake, ProjectKey("team", "many"), 20_000)
    early, said = peak_mb(LISTING, tmp_path, "team/many", 2_000)
    assert int(said) == 2_000
    whole, said = peak_mb(LISTING, tmp_path, "team/many", -1)
    assert int(said) == 20_000
    assert whole - early < 30


def test_verify_keeps_within_bounds_while_it_reads_much(tmp_path: Path) -> None:
    hold(Home(tmp_path), 24, 16_000_000)
    hold(Home(tmp_path), 6_000, 2_000)
    peak, _ = peak_mb(VERIFY, tmp_path)
    assert peak <= 250


def test_a_long_backlog_is_listed_and_drained_in_the_memory_of_a_short_one() -> None:
    peaks = []
    for count in (1_000, MANY):
        with folder_in_memory() as folder:
            fill(Home(folder), count, mark="x", of_each=2)
            peak, said = peak_mb(LIST_AND_DRAIN, folder)
        assert int(said) == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 24


@pytest.mark.parametrize("long", [4_000, pytest.param(MANY, marks=pytest.mark.soak)])
def test_a_long_backlog_is_delivered_in_the_memory_of_a_short_one(long: int) -> None:
    peaks = []
    with serving("edits") as server:
        for count in (1_000, long):
            with folder_in_memory() as folder:
                fill(Home(folder), count, mark=f"of {count}")  # what the server has already is not sent
                peak, said = peak_mb(REPLAY, server.url, server.key, folder)
            assert said.split() == [str(count), "0"]
            peaks.append(peak)
    assert peaks[1] - peaks[0] < 40


def test_a_long_backlog_is_let_be_at_once_when_nobody_answers() -> None:
    with folder_in_memory() as folder:
        fill(Home(folder), MANY, mark="x")
        _, said = peak_mb(REPLAY, "http://127.0.0.1:9", "k" * 40, folder)
    applied, put_back = map(int, said.split())
    assert applied == 0
    assert put_back <= 16


def peak_of_pull(server: Server, folder: Path) -> float:
    """The peak of a first pull and of one that finds nothing, MB."""
    folder.mkdir(exist_ok=True)
    write_config(folder, server.url, file_size_max_mb=4096)
    arguments = ("--home", folder, "pull")
    return max(peak_mb(COMMAND_LINE, *arguments, env={"WANDB_API_KEY": server.key})[0] for _ in range(2))


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder on a disk that costs nothing, where there is one."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize(("long", "more_mb"), [(100_000, 60), pytest.param(1_000_000, 150, marks=pytest.mark.soak)])
def test_a_long_offline_run_is_added_in_little_more_memory_than_a_short_one(
    tmp_path: Path, long: int, more_mb: float
) -> None:
    """Beside the rows of one commit, what DuckLake remembers of each of them until its engine is renewed."""
    peaks = []
    for steps in (40_000, long):  # several commits, both
        folder = tmp_path / str(steps)
        write_log(offline_log(folder, "r"), long_run("r", steps))
        folder.joinpath("home").mkdir()
        write_config(folder / "home", "http://127.0.0.1:9")
        arguments = ("--home", folder / "home", "add", folder / "wandb")
        peak, said = peak_mb(COMMAND_LINE, *arguments)
        assert f"{steps:,} rows" in said
        peaks.append(peak)
    assert peaks[1] - peaks[0] < more_mb
