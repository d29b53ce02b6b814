"""A server that nobody here wrote: openwandb, installed anew in an environment of its own. Opt in with `-m soak`.

It names its types differently, pages nothing, ignores filters and has no exports, artifacts or sweeps of W&B's kind.
The mirror takes what it offers, and names the rest.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mirror.api.fitting.known_server import KnownServer
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.server_facts import read_server_facts
from tests.mirroring import Mirror

VERSION = "0.5.25"
KEY = "local0000000000000000000000000000000000000000"  # of the account that it makes by itself
SCRIPT = """
import sys, wandb
for number in range(3):
    run = wandb.init(project="demo", name=f"n{number}", config={"lr": number / 10, "deep": {"a": 1}}, tags=["x"])
    for step in range(20):
        run.log({"loss": 1 / (step + 1), "step": step})
    path = sys.argv[1] + "/note.txt"
    open(path, "w").write(f"bytes of {number}")
    run.save(path, base_path=sys.argv[1])
    run.finish()
"""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Where it listens, on loopback."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "-q", f"openwandb=={VERSION}"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path / "data"
    process = subprocess.Popen(
        [environment / "bin" / "openwandb", "serve", "--host", "127.0.0.1", "-p", str(port), "--data-dir", place],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OPENWANDB_DATA_DIR": str(place)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "it does not listen"
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.soak
def test_what_openwandb_offers_is_mirrored_and_the_rest_is_named(server: Sandbox, url: str, tmp_path: Path) -> None:
    del server  # its environment keeps the SDK inside a temporary folder
    folder = tmp_path / "train"
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-c", SCRIPT, folder],
        check=True,
        cwd=folder,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "WANDB_BASE_URL": url, "WANDB_API_KEY": KEY},
        stdout=subprocess.DEVNULL,
        timeout=300,
    )
    mirror = Mirror(url=url, api_key=KEY, home=Home(tmp_path / "home"), sources=("default/demo",))
    # It hashes the key anew for each request: on a busy machine that takes seconds, one file after the other.
    mirror.server = msgspec.structs.replace(mirror.server, timeout_s=120.0)
    report = mirror.pull()
    assert report.errors == []
    # It lists the console's file with the size that it had before the run ended, and never corrects it.
    assert {failure.item for project in report.projects for failure in project.failed} <= {"file output.log"}
    rows = mirror.ask("SELECT display_name, config, summary, tags, state FROM runs ORDER BY display_name")
    assert [row["display_name"] for row in rows] == ["n0", "n1", "n2"]
    assert [row["config"]["lr"] for row in rows] == [0.0, 0.1, 0.2]
    assert all(row["summary"]["loss"] == 1 / 20 and row["state"] == "finished" for row in rows)
    held = mirror.ask("SELECT count(*) AS n FROM files WHERE name = 'note.txt' AND status = 'held'")
    assert held == [{"n": 3}]
    assert mirror.pull().errors == []
    facts = read_server_facts(mirror.home, url.removeprefix("http://"))
    assert facts is not None
    lost = set(KnownServer(facts).facts.left_out)
    assert {"Query.models", "Project.runs(after)", "Run.parquetHistory", "Mutation.updateRunState"} <= lost
