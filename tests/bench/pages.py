"""The web page: what the server takes for its questions, and how long a reader waits for curves.

With `BESIDE_PYTHON`, a Python that has TensorBoard and trackio (no dependencies of ours), theirs are opened, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import numpy as np

from mirror.api.rows.runs import with_fingerprint
from mirror.clock import utc_now
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.records.passes import Changes
from mirror.store.engine.lake import Lake
from mirror.store.write.writer import commit
from mirror.web.shells import ASSETS
from tests.bench.figures import Figure, at_most, figure
from tests.bench.made_runs import DEPLOYMENT, insert_runs, insert_values, record, run_id
from tests.bench.measuring import Context
from tests.browser import Browser
from tests.gateway.served import Served, served
from tests.web.site import Site

KEYS, TABS = 10, 10
MANY, VALUES = ProjectKey("team", "many"), ProjectKey("team", "values")  # the latter is that of `insert_values`
SHOWN = [f"summary.metric/{key}" for key in range(10)] + ["config.lr", "config.layers", "config.name", "config.seed"]
WINDOW = {"columns": SHOWN, "limit": 100}
# Each round asks for what no round before has asked for.
FILTERS = ({"config.lr": {"$gt": 0.05}}, {"config.name": "model-3"}, {"config.seed": {"$lt": 5_000}})

# Runs in each page before its own scripts: tells when the first curve is there, as pixels that are not grey.
PROBE = """
firstCurve = new Promise((found) => {
  const paper = new OffscreenCanvas(160, 80).getContext("2d", { willReadFrequently: true });
  const hasCurve = (canvas) => {
    if (!canvas.width || !canvas.height) return false;
    paper.clearRect(0, 0, 160, 80);
    paper.drawImage(canvas, 0, 0, 160, 80);
    let count = 0, { data } = paper.getImageData(0, 0, 160, 80);
    for (let at = 0; at < data.length; at += 4) {
      const red = data[at], green = data[at + 1], blue = data[at + 2];
      if (data[at + 3] > 40 && Math.max(red, green, blue) - Math.min(red, green, blue) > 24) count++;
    }
    return count > 50;
  };
  (function look() {
    const canvas = [...document.querySelectorAll("canvas")].find(hasCurve);
    if (!canvas) return requestAnimationFrame(look);
    const at = performance.now(), key = canvas.closest("[data-key]")?.dataset.key;
    const isIts = ({ name }) => name.includes("/-/data/curves?") && new URL(name).searchParams.get("key") === key;
    found({ at, drawing: at - performance.getEntriesByType("resource").find(isIts)?.responseEnd });
  })();
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
LAST = "/data/plugin/scalars/scalars?run=run&tag=metric%2F00"
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
    listed = [msgspec.structs.replace(record(VALUES, number), history_keys_text=told) for number in range(runs)]
    page = tuple(map(with_fingerprint, listed))
    commit(lake, Changes(key=VALUES, at=utc_now(), runs=page, new=frozenset(run.run_id for run in page)))


def _questions(home: Home, runs: int, rounds: int) -> Iterator[Figure]:
    """What the page of a project asks for, each round of a server that was started for it."""
    took: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        asked: dict[str, Mapping[str, Any]] = {
            "columns, first of all": {}, "runs": WINDOW, "runs, further down": {**WINDOW, "offset": runs // 2},
            "runs, by a filter not asked before": {**WINDOW, "filters": FILTERS[number % len(FILTERS)]},
            "runs, in an order not asked before": {**WINDOW, "order": f"-summary.metric/{3 + number}"},
            "runs, by a search": {**WINDOW, "search": f"run-{7 + number}"},
        }  # fmt: skip
        with served(home) as gateway:
            for name, more in asked.items():
                before = _cpu_s(gateway)
                wall, _ = _ask(gateway, name.partition(",")[0], MANY, **more)
                took.setdefault(name, []).append((wall, _cpu_s(gateway) - before))
    for name, each in took.items():
        walls, cpus = zip(*each, strict=True)
        note = f"server: {statistics.median(cpus):.2f} s CPU"
        yield figure(f"page asks: {name}, {runs:,} runs", "0.5 s", walls, [0.5] * rounds, goal=at_most(1), note=note)


def _cpu_s(gateway: Served) -> float:
    fields = Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ask(gateway: Served, question: str, project: ProjectKey, /, **asked: Any) -> tuple[float, Any]:
    """Seconds until an answer is there, and the answer."""
    given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in asked.items()}
    address = f"{gateway.url}/-/data/{question}?{urlencode({'project': '/'.join(project), **given})}"
    answer = httpx.get(address, auth=("api", gateway.key), timeout=300)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.elapsed.total_seconds(), answer.json()


def _weight(gateway: Served) -> Figure:
    addresses = [f"{gateway.url}{ASSETS}{asset.name}" for asset in (files("mirror.web") / "assets").iterdir()]
    packed = sum(httpx.get(address).raise_for_status().num_bytes_downloaded for address in addresses)
    return figure("page: all assets, packed", "500 kB", [packed / 1000], [500], goal=at_most(1), unit="kB")


def _many_lines(browser: Browser, gateway: Served, lines: int, steps: int, rounds: int) -> Iterator[Figure]:
    """The first panel of a project's page: from the address on, and from its answer on."""
    seen = [_first_curve(browser, f"{gateway.url}/team/values?first={lines}") for _ in range(rounds)]
    work, second = f"{lines} curves of {steps:,} points, first panel", [1.0] * rounds
    yield figure(f"{work}: from the address", "1 s", [one["at"] for one in seen], second)
    yield figure(f"{work}: from its answer", "1 s", [one["drawing"] for one in seen], second, goal=at_most(1))


def _first_curve(browser: Browser, address: str) -> dict[str, float]:
    """Seconds until a curve is seen, with nothing in the browser's cache."""
    browser.go("about:blank")
    browser.ask("Network.clearBrowserCache")
    browser.go(address)
    return {name: value / 1000 for name, value in browser.run("firstCurve").items() if value is not None}


def _beside(browser: Browser, gateway: Served, context: Context, steps: int) -> Iterator[Figure]:
    """The first curve of one run, beside TensorBoard and trackio."""
    if (python := os.environ.get("BESIDE_PYTHON")) is None:
        print("TensorBoard and trackio are left out: BESIDE_PYTHON names no Python that has them", file=sys.stderr)
        return
    rng = np.random.default_rng(0)  # as `export` makes the first run
    np.save(context.folder / "values.npy", np.stack([rng.normal(size=steps) for _ in range(KEYS)], axis=1))
    with (
        _program(python, TENSORBOARD, context.folder, LAST, f", {steps - 1}, ") as tensorboard,
        _program(python, TRACKIO, context.folder, "/", "<html") as trackio,
    ):
        addresses = {
            "ours": f"{gateway.url}/team/values/runs/{run_id(0)}/metrics",
            "TensorBoard": tensorboard,
            "trackio": f"{trackio}/?project=values",
        }
        took: dict[str, list[float]] = {name: [] for name in addresses}
        for name in [*addresses, *reversed(addresses), *addresses][: context.of(3, 9)]:
            took[name].append(_first_curve(browser, addresses[name])["at"])
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
    with (folder / f"{port}.log").open("w+") as log:
        command = [python, "-c", program, str(folder), str(port)]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 600
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if ready in httpx.get(url + path, timeout=60).text:
                        break
                assert process.poll() is None and time.monotonic() < deadline, Path(log.name).read_text()  # noqa: PT018
                time.sleep(1)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _tabs(gateway: Served, ids: Sequence[str], steps: int) -> float:
    """The most memory that the server had, MB, while so many tabs were opened."""

    def tab(_place: int) -> None:
        for question in ("projects", "columns", "runs"):
            _ask(gateway, question, MANY, **(WINDOW if question == "runs" else {}))
        keys = [one["key"] for one in _ask(gateway, "keys", VALUES, runs=ids)[1]["keys"]]
        for place, key in enumerate([*keys, *keys[:2]]):  # the last two are zoomed
            zoom = {"from": steps / 4, "to": steps / 2} if place >= KEYS else {}
            _, answer = _ask(gateway, "curves", VALUES, key=key, runs=ids, points=500, **zoom)
            assert len(answer["lines"]) == len(ids), key

    with ThreadPoolExecutor(TABS) as tabs:
        list(tabs.map(tab, range(TABS)))  # raises what one of them raised
    return int(Path(f"/proc/{gateway.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
