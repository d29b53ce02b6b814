"""The web page: what the server takes for its questions, and how long a reader waits for curves.

With `BESIDE_PYTHON`, the Python of an environment that has TensorBoard and trackio, their pages of the same run are
opened, too. `pip install tensorboard trackio` makes one; neither is a dependency.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow.parquet as pq

from mirror.api.rows.runs import with_fingerprint
from mirror.clock import utc_now
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.records.passes import Changes, SourceState
from mirror.store.engine.lake import Lake
from mirror.store.write.writer import commit
from mirror.web.shells import ASSETS
from tests.bench.figures import Figure, at_most, figure
from tests.bench.made_runs import DEPLOYMENT, export, insert_runs, insert_values, record, run_id
from tests.bench.measuring import Context
from tests.browser import Browser
from tests.gateway.served import Served, served
from tests.web.site import Site

KEYS = 10
TABS = 10
MANY, VALUES = ProjectKey("team", "many"), ProjectKey("team", "values")  # the latter is that of `insert_values`
SHOWN = [
    *(f"summary.metric/{key}" for key in range(10)),
    *(f"config.{key}" for key in ("lr", "layers", "name", "seed")),
]
# Each round asks for what no round before has asked for.
FILTERS = ({"config.lr": {"$gt": 0.05}}, {"config.name": "model-3"}, {"config.seed": {"$mod": [7, 1]}})

# Runs in each page before its own scripts: tells when the first curve is there, as pixels that are not grey.
PROBE = """
firstCurve = new Promise((found) => {
  const [width, height] = [160, 80], paper = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  const hasCurve = (canvas) => {
    if (!canvas.width || !canvas.height) return false;
    paper.clearRect(0, 0, width, height);
    paper.drawImage(canvas, 0, 0, width, height);
    const { data } = paper.getImageData(0, 0, width, height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) {
      const colours = data.subarray(at, at + 3);
      if (data[at + 3] > 40 && Math.max(...colours) - Math.min(...colours) > 24) count++;
    }
    return count > 50;
  };
  const look = () => {
    const canvas = [...document.querySelectorAll("canvas")].find(hasCurve);
    if (!canvas) return requestAnimationFrame(look);
    const at = performance.now(), key = canvas.closest("[data-key]")?.dataset.key;
    const isIts = ({ name }) => name.includes("/-/data/curves?") && new URL(name).searchParams.get("key") === key;
    const came = performance.getEntriesByType("resource").find(isIts)?.responseEnd;
    found({ at, drawing: came === undefined ? null : at - came });
  };
  look();
});
"""
TENSORBOARD = """
import sys, numpy, tensorboard.main
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
folder, port = sys.argv[1:]
writer = EventFileWriter(folder + "/tensorboard/run", max_queue_size=1000)
for step, row in enumerate(numpy.load(folder + "/values.npy").tolist()):
    values = [Summary.Value(tag=f"metric/{key:02}", simple_value=value) for key, value in enumerate(row)]
    writer.add_event(Event(step=step, wall_time=1.7e9 + step / 2, summary=Summary(value=values)))
writer.close()
sys.argv = ["tensorboard", "--logdir", folder + "/tensorboard", "--host", "127.0.0.1", "--port", port]
tensorboard.main.run_main()
"""
TRACKIO = """
import sys, numpy, trackio
folder, port = sys.argv[1:]
trackio.init(project="values", name="run")
for step, row in enumerate(numpy.load(folder + "/values.npy").tolist()):
    trackio.log({f"metric/{key:02}": value for key, value in enumerate(row)}, step=step)
trackio.finish()
trackio.show(project="values", host="127.0.0.1", server_port=int(port), open_browser=False, block_thread=True)
"""


def bench(context: Context) -> Iterator[Figure]:
    """One home: a project of very many runs, and one of a few whose histories are long."""
    runs, lines, steps = context.of((50, 3, 2_000), (100_000, 20, 100_000))
    home = Home(context.folder / "home")
    with Lake(home, deployment=DEPLOYMENT) as lake:
        insert_runs(lake, MANY, runs)
        insert_values(lake, lines, steps=steps, keys=KEYS + 1)  # one is the time
        _insert_told(lake, lines, steps)
    yield from _questions(home, runs, context.of(1, 3))
    with served(home) as gateway:
        yield _weight(gateway)
        with Browser() as browser:
            browser.ask("Page.addScriptToEvaluateOnNewDocument", source=PROBE)
            Site(gateway).open(browser, "/")
            yield from _many_lines(browser, gateway, lines, steps, context.of(1, 3))
            yield from _beside(browser, gateway, context, steps)
    with served(home) as gateway:
        peak = _tabs(gateway, [run_id(number) for number in range(lines)], steps)
        work = f"{TABS} tabs at once, {runs:,} runs, {lines} lines of {steps:,} points"
        yield figure(work, "500 MB", [peak], [500], goal=at_most(1), unit="MB")


def _insert_told(lake: Lake, runs: int, steps: int) -> None:
    """Runs of which the server told the keys of their histories."""
    keys = {f"metric/{key:02}": {"typeCounts": [{"type": "number", "count": steps}]} for key in range(KEYS)}
    told = json.dumps({"keys": keys, "lastStep": steps - 1})
    page = tuple(
        with_fingerprint(msgspec.structs.replace(record(VALUES, number), history_keys_text=told))
        for number in range(runs)
    )
    state = SourceState(watermark=utc_now(), last_walk_at=utc_now(), last_pass_at=utc_now(), runs_upstream=runs)
    commit(lake, Changes(key=VALUES, at=utc_now(), runs=page, new=frozenset(run.run_id for run in page), source=state))


def _questions(home: Home, runs: int, rounds: int) -> Iterator[Figure]:
    """What the page of a project asks for, each round of a server that was started for it."""
    took: dict[str, list[float]] = {}
    for number in range(rounds):
        asked: dict[str, Mapping[str, Any]] = {
            "columns": {},
            "runs": {},
            "runs, further down": {"offset": runs // 2},
            "runs, by a filter not asked before": {"filters": FILTERS[number % len(FILTERS)]},
            "runs, in an order not asked before": {"order": f"-summary.metric/{3 + number}"},
            "runs, by a search": {"search": f"run-{7 + number}"},
        }
        with served(home) as gateway, _client(gateway) as client:
            for name, more in asked.items():
                window = {} if name == "columns" else {"columns": SHOWN, "limit": 100}
                took.setdefault(name, []).append(_ask(client, name.partition(",")[0], MANY, **window, **more)[0])
    for name, seconds in took.items():
        yield figure(f"page asks: {name}, {runs:,} runs", "0.5 s", seconds, [0.5] * rounds, goal=at_most(1))


def _client(gateway: Served) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, auth=("api", gateway.key), timeout=300)


def _ask(client: httpx.Client, question: str, project: ProjectKey, /, **asked: Any) -> tuple[float, Any]:
    """Seconds until an answer is there, and the answer."""
    given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in asked.items()}
    answer = client.get(f"/-/data/{question}", params={"project": "/".join(project), **given})
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.elapsed.total_seconds(), answer.json()


def _weight(gateway: Served) -> Figure:
    """All scripts, styles and images, as they go over the wire."""
    total = 0
    for asset in (files("mirror.web") / "assets").iterdir():
        answer = httpx.get(f"{gateway.url}{ASSETS}{asset.name}", headers={"accept-encoding": "gzip"})
        assert answer.status_code == httpx.codes.OK, asset.name
        total += answer.num_bytes_downloaded
    return figure("page: all assets, packed", "500 kB", [total / 1000], [500], goal=at_most(1), unit="kB")


def _many_lines(browser: Browser, gateway: Served, lines: int, steps: int, rounds: int) -> Iterator[Figure]:
    """The first panel of a project's page: from the address on, and from its answer on."""
    address = f"{gateway.url}/{'/'.join(VALUES)}?first={lines}"
    seen = [_first_curve(browser, address) for _ in range(rounds)]
    work, second = f"{lines} curves of {steps:,} points, first panel", [1.0] * rounds
    yield figure(f"{work}: from the address", "1 s", [one["at"] / 1000 for one in seen], second)
    drawing = [one["drawing"] / 1000 for one in seen]
    yield figure(f"{work}: from its answer", "1 s", drawing, second, goal=at_most(1))


def _first_curve(browser: Browser, address: str) -> dict[str, float]:
    """Milliseconds until a curve is seen, with nothing in the browser's cache."""
    browser.go("about:blank")
    browser.ask("Network.clearBrowserCache")
    browser.go(address)
    found: dict[str, float] = browser.run("firstCurve")
    return found


def _beside(browser: Browser, gateway: Served, context: Context, steps: int) -> Iterator[Figure]:
    """The first curve of one run, beside TensorBoard and trackio."""
    python, rounds = os.environ.get("BESIDE_PYTHON"), context.of(1, 3)
    if python is None:
        print("TensorBoard and trackio are left out: BESIDE_PYTHON names no Python that has them", file=sys.stderr)
        return
    export(context.folder / "values.parquet", steps=steps, keys=KEYS + 1)
    columns = pq.read_table(context.folder / "values.parquet").select([f"metric/{key:02}" for key in range(KEYS)])
    np.save(context.folder / "values.npy", np.stack([column.to_numpy() for column in columns.columns], axis=1))
    last = "/data/plugin/scalars/scalars?run=run&tag=metric%2F00"
    with (
        _program(python, TENSORBOARD, context.folder, last, f", {steps - 1}, ") as tensorboard,
        _program(python, TRACKIO, context.folder, "/", "<html") as trackio,
    ):
        addresses = {
            "ours": f"{gateway.url}/{'/'.join(VALUES)}/runs/{run_id(0)}/metrics",
            "TensorBoard": tensorboard,
            "trackio": f"{trackio}/?project=values",
        }
        took: dict[str, list[float]] = {name: [] for name in addresses}
        for number in range(rounds):
            for name in list(addresses)[:: 1 if number % 2 == 0 else -1]:
                took[name].append(_first_curve(browser, addresses[name])["at"] / 1000)
    for name in ("TensorBoard", "trackio"):
        work = f"one run, {KEYS} keys × {steps:,} points: from the address to the first curve"
        yield figure(work, name, took["ours"], took[name], goal=at_most(0.5))


@contextlib.contextmanager
def _program(python: str, program: str, folder: Path, path: str, ready: str) -> Iterator[str]:
    """A program that serves on a port of ours; its address, once the answer at a path has a text in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HOME": str(folder), "TRACKIO_DIR": str(folder / "trackio")}
    command = [python, "-c", program, str(folder), str(port)]
    with (folder / f"{port}.log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 600
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if ready in httpx.get(url + path, timeout=60).text:
                        break
                assert process.poll() is None, Path(log.name).read_text()
                assert time.monotonic() < deadline, Path(log.name).read_text()
                time.sleep(1)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _tabs(gateway: Served, ids: Sequence[str], steps: int) -> float:
    """The most memory that the server had, MB, while so many tabs were opened."""
    failed: list[BaseException] = []

    def tab() -> None:
        try:
            with _client(gateway) as client:
                _ask(client, "projects", MANY)
                _ask(client, "columns", MANY)
                _ask(client, "runs", MANY, columns=SHOWN, limit=100)
                keys = [one["key"] for one in _ask(client, "keys", VALUES, runs=ids)[1]["keys"]]
                zooms: list[tuple[str, dict[str, int]]] = [
                    (key, {"from": steps // 4, "to": steps // 2}) for key in keys[:2]
                ]
                for key, zoom in [*((key, {}) for key in keys), *zooms]:
                    answer = _ask(client, "curves", VALUES, key=key, runs=ids, points=500, **zoom)[1]
                    assert len(answer["lines"]) == len(ids), key
        except BaseException as error:
            failed.append(error)

    tabs = [threading.Thread(target=tab) for _ in range(TABS)]
    for one in tabs:
        one.start()
    for one in tabs:
        one.join()
    assert not failed, f"{len(failed)} of {TABS} tabs failed: {failed[0]!r}"
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
