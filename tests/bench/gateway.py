"""What the SDK reads from the gateway, beside the same calls at the server; and a hundred readers at once.

A reader is a process of its own: `python -m tests.bench.gateway READER PATH ROUNDS` prints its seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx

from mirror.layout import Home
from tests.bench.figures import Figure, at_most, figure
from tests.bench.measuring import Context, Server, in_turn, run, sdk_environment, serving, walls
from tests.gateway.served import Served, served
from tests.mirroring import SOURCE, Mirror

READERS = 100
PAGE = """query P($e: String!, $p: String!, $after: String) { project(entityName: $e, name: $p) {
  runs(first: 50, after: $after) { edges { node { id name displayName config summaryMetrics } }
  pageInfo { endCursor hasNextPage } } } }"""


def bench(context: Context) -> Iterator[Figure]:
    """Many runs, and one long history."""
    runs, steps = context.of((60, 300), (10_000, 50_000))
    with serving("runs", runs) as server, _gateway(context.folder / "many", server) as gateway:
        yield from _beside(
            context, "runs", SOURCE, f"api.runs() with config and summary, {runs:,} runs", server, gateway
        )
        peak = _many_readers(gateway, context.of(2, 10))
        yield figure(f"{READERS} readers at once, {runs:,} runs", "500 MB", [peak], [500], goal=at_most(1), unit="MB")
    with serving("large", "history", steps, 20) as server, _gateway(context.folder / "long", server) as gateway:
        yield from _beside(
            context, "scan", f"{SOURCE}/large", f"scan_history, {steps:,} steps × 20 keys", server, gateway
        )


def _gateway(folder: Path, server: Server) -> AbstractContextManager[Served]:
    """The gateway over a mirror of all that a server has; a context manager."""
    folder.mkdir()
    home = Home(folder / "home")
    assert Mirror(url=server.url, api_key=server.key, home=home).pull().errors == []
    return served(home)


def _beside(context: Context, reader: str, path: str, work: str, server: Server, gateway: Served) -> Iterator[Figure]:
    rounds = context.of(1, 3)
    took: dict[str, list[float]] = {}
    for name, url, key in (("server", server.url, server.key), ("gateway", gateway.url, gateway.key)):
        folder = context.folder / f"{reader}-{name}"
        folder.mkdir()
        environment = sdk_environment(server._replace(url=url, key=key), folder)
        took[name] = json.loads(run([sys.executable, "-m", __name__, reader, path, rounds], environment).stdout)
    yield figure(work, "the same calls at the sandbox", took["gateway"], took["server"], goal=at_most(1))


def _many_readers(gateway: Served, pages: int) -> float:
    """The most memory that the gateway had, MB, while so many clients walked a project.

    Raises:
        AssertionError: one of them was refused or failed.
    """
    failed: list[str] = []

    def walk() -> None:
        entity, project = SOURCE.split("/")
        after = None
        with httpx.Client(auth=("api", gateway.key), timeout=120) as client:
            for _ in range(pages):
                body = {"query": PAGE, "variables": {"e": entity, "p": project, "after": after}}
                answer = client.post(f"{gateway.url}/graphql", json=body)
                if answer.status_code != httpx.codes.OK or "errors" in answer.json():
                    failed.append(answer.text[:300])
                    return
                after = answer.json()["data"]["project"]["runs"]["pageInfo"]["endCursor"]

    def walk_or_say() -> None:
        try:
            walk()
        except httpx.HTTPError as error:
            failed.append(repr(error))

    readers = [threading.Thread(target=walk_or_say) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not failed, f"{len(failed)} of {READERS} readers failed: {failed[0]}"
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """One reader, so many times."""
    import wandb

    reader, path, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])

    def runs() -> None:
        found = wandb.Api(timeout=120).runs(path, lazy=False)
        deque(((run.config, run.summary) for run in found), maxlen=0)

    def scan() -> None:
        deque(wandb.Api(timeout=120).run(path).scan_history(use_cache=False), maxlen=0)

    works: dict[str, Callable[[], None]] = {"runs": runs, "scan": scan}
    wandb.Api(timeout=120).projects(path.split("/")[0])  # starts its service
    (costs,) = in_turn(rounds, works[reader])
    print(json.dumps(walls(costs)))


if __name__ == "__main__":
    main()
