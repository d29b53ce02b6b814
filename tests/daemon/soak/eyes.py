"""A process that reads all the time: `python -m tests.daemon.soak.eyes HOME run|sql SEED`; an error ends it.

At the end of its input it says how often it looked.
"""

from __future__ import annotations

import contextlib
import random
import select
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.run.api import Api
from mirror.store.sql.statements import connect
from mirror.store_settings import StoreSettings

REST_S = 0.05  # at least; four times as long as the last look took, for the machine has others to serve
PROJECTS = ("team/alpha", "team/beta", "lab/cron")
TORN = (  # each is 0 in every committed state
    "SELECT count(*) - count(DISTINCT (entity, project, run_id)) FROM lake.runs",
    "SELECT count(*) FROM lake.files ANTI JOIN lake.runs USING (entity, project, run_id)",
    "SELECT count(*) - count(DISTINCT (entity, project, run_id, name)) FROM lake.files",
    "SELECT count(*) - count(DISTINCT (entity, project, run_id, key, step)) FROM lake.metrics",
)


def main() -> None:
    """Look, rest, and again."""
    home, look_at, chance = Home(Path(sys.argv[1])), sys.argv[2], random.Random(sys.argv[3])
    looks = 0
    with tempfile.TemporaryDirectory() as folder:
        look = run_looks(home, chance, folder) if look_at == "run" else sql_looks(home, chance)
        rest_s = REST_S
        while not select.select([sys.stdin], [], [], rest_s)[0]:
            began = time.monotonic()
            look()
            looks += 1
            rest_s = max(REST_S, 4 * (time.monotonic() - began))
    print(looks, flush=True)


def run_looks(home: Home, chance: random.Random, folder: str) -> Callable[[], None]:
    """As a script of the user reads: a project's runs, one of them, its history and its files."""
    api = Api(home)

    def look() -> None:
        api.flush()
        runs = api.runs(chance.choice(PROJECTS), order=chance.choice(["+created_at", "-heartbeat_at"]), with_gone=True)
        listed = list(runs)
        if not listed:
            return
        run = api.run("/".join(chance.choice(listed).path))
        text = repr((run.state, run.tags, run.notes, dict(run.config), dict(run.summary), run.pending))
        assert text
        with contextlib.suppress(NotMirrored):  # of a run that was just made: its row is there before its contents
            steps = [row["_step"] for row in run.scan_history(keys=["_step", "loss"])]
            assert steps == sorted(set(steps)), (run.path, steps)
        files = list(run.files())
        if files:
            with contextlib.suppress(NotMirrored):  # listed by the server, and not fetched yet
                chance.choice(files).download(folder, replace=True).close()

    return look


def sql_looks(home: Home, chance: random.Random) -> Callable[[], None]:
    """As a notebook reads: one connection for long, now and then a new one; transactions that see one state."""
    settings = StoreSettings(threads=1, memory_limit_mb=128)
    engine: Any = connect(home, settings=settings)

    def look() -> None:
        nonlocal engine
        if chance.random() < 0.01:
            engine.close()
            engine = connect(home, settings=settings)
        for query in TORN:
            found = engine.execute(query).fetchone()
            assert found == (0,), (query, found)
        engine.execute("BEGIN")
        counts = [engine.execute("SELECT count(*) FROM lake.metrics").fetchone()]
        time.sleep(chance.uniform(0, 0.1))
        counts.append(engine.execute("SELECT count(*) FROM lake.metrics").fetchone())
        engine.execute("COMMIT")
        assert counts[0] == counts[1], counts

    return look


if __name__ == "__main__":
    main()
