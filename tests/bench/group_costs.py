"""What a shared lake stores and asks for, by runs: `python -m tests.bench.group_costs --runs 100` prints a table.

For docs/guides/group-lake.md. Runs are made up and pulled through PostgreSQL and an S3 server on loopback; requests are
counted between the mirror and the bucket. Nothing of it depends on how fast this machine is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import selectors
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mirror as wandb_mirror
from mirror.sandbox import Sandbox
from mirror.store.engine.reader import Reader
from tests.cluster.servers import KEY_ID, SECRET, Place, servers
from tests.mirroring import Mirror
from tests.store.maintained import tidy

_REQUEST = re.compile(rb"(GET|PUT|POST|HEAD|DELETE) /[^ \r\n]* HTTP/1\.1\r\n")
_KEYS, _FILE = 20, os.urandom(20_000)


class Requests(Counter[str]):
    """Requests by method."""

    @property
    def text(self) -> str:
        """PUT and POST cost most, GET and HEAD a tenth."""
        return f"{self['PUT'] + self['POST']} PUT, {self['GET'] + self['HEAD']} GET"


class Tap:
    """A port of loopback that leads to another, and counts the requests that pass.

    Args:
        port: where it leads.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.seen = Requests()
        threading.Thread(target=self._accept, daemon=True).start()

    def taken(self) -> Requests:
        """What passed since the last time."""
        found, self.seen = self.seen, Requests()
        return found

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError), near, far, selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in ready.select():
                    assert isinstance(key.fileobj, socket.socket)
                    content = key.fileobj.recv(1 << 16)
                    if not content:
                        return
                    if key.fileobj is near:
                        self.seen.update(name.decode() for name in _REQUEST.findall(content))
                    key.data.sendall(content)


def measure(runs: int, rows: int) -> Iterator[tuple[str, str]]:
    """What is measured, and what it came to."""
    with servers() as found, Sandbox.start() as sandbox, tempfile.TemporaryDirectory() as folder:
        tap = Tap(found.s3_port)
        place = found.place()
        home = place.home(Path(folder) / "home", s3_endpoint=f"http://127.0.0.1:{tap.port}")
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home, is_fresh=True)
        sandbox.state.add_project("team", "proj")
        mirror.pull()
        empty = _size(place)
        add(sandbox, range(runs), rows)
        tap.taken()
        mirror.pull()
        yield "runs; rows of a history x keys", f"{runs}; {rows} x {_KEYS}"
        yield "first pull", tap.taken().text
        yield from _stored(place, runs, empty)
        mirror.pull()
        yield "a pull that finds nothing", tap.taken().text
        add(sandbox, range(runs, runs + 1), rows)
        mirror.pull()
        yield "a pull of one new run", tap.taken().text
        for number in range(20):
            add(sandbox, range(runs + 1 + number, runs + 2 + number), rows)
            mirror.pull()
        tap.taken()
        with Reader(home) as lake:
            lake.rows("SELECT count(*) FROM lake.runs WHERE state = 'finished'")
        yield "a question about all runs", tap.taken().text
        wandb_mirror.Api(home=str(home.root)).run("team/proj/r0").history()
        yield "a history", tap.taken().text
        tidy(mirror, days=30.0)
        yield "maintenance after 22 pulls", tap.taken().text
        yield from _stored(place, runs + 21, empty)


def add(sandbox: Sandbox, numbers: range, rows: int) -> None:
    """Runs as people have them."""
    for number in numbers:
        sandbox.state.add_run(
            "team", "proj", f"r{number}", state="finished", tags=["t"],
            config={"lr": number / 7, "layers": [64, 64], **{f"setting{key}": key * number for key in range(20)}},
            summary={f"metric/{key}": number / (key + 1) for key in range(_KEYS)},
            history=[
                {"_step": step, **{f"m/{key}": (step * 7919 + key * number) % 104_729 / 97 for key in range(_KEYS)}}
                for step in range(rows)
            ],
            events=[{"_timestamp": 1.7e9 + at, "_runtime": at, "system.cpu": at % 97} for at in range(0, 600, 15)],
            console=[f"epoch {line}: loss {1 / (line + 1)}" for line in range(200)],
            files={"model.pt": _FILE + str(number).encode(), "notes.txt": str(number).encode()},
        )  # fmt: skip


def _stored(place: Place, runs: int, empty: int) -> Iterator[tuple[str, str]]:
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    kinds = {"tables": "main", "objects": "objects"}
    for name, below in kinds.items():
        some = [path for path in files if path.relative_to(place.folder).parts[0] == below]
        size = sum(path.stat().st_size for path in some)
        yield f"{name} in the bucket", f"{len(some)} files, {size / 1e6:.1f} MB, {size / runs / 1e3:.1f} kB a run"
    yield "catalog", f"{(_size(place) - empty) / 1e6:.1f} MB more than an empty one's {empty / 1e6:.1f} MB"


def _size(place: Place) -> int:
    with place.connected() as database:
        database.execute("VACUUM FULL")
        ((size,),) = database.execute("SELECT pg_database_size(current_database())").fetchall()
    return int(size)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="What a shared lake stores and asks for, by runs.")
    asked.add_argument("--runs", type=int, default=100)
    asked.add_argument("--rows", type=int, default=2000)
    given = asked.parse_args()
    os.environ.update(AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET, AWS_EC2_METADATA_DISABLED="true")
    for what, came_to in measure(given.runs, given.rows):
        print(f"{what:32}  {came_to}", flush=True)
