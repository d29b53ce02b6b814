"""The local Api in other processes: a notebook beside a pull, a worker after a fork, objects that travel, a restart."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mirror import Api, CommError, Run, RunNotFoundError
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror

# Everything of a run as one text; no socket may be made, and the SDK is not needed.
ANSWERS = """
import hashlib, json, socket, sys
def refuse(*_, **__):
    raise AssertionError("a socket was made")
socket.socket.__init__ = refuse
import mirror
api = mirror.Api(sys.argv[1])
answers = []
for run in api.runs(sys.argv[2]):
    answers.append([run.id, run.state, run.tags, run.config, dict(run.summary.items()), run.system_metrics, repr(run),
        [(f.name, f.size, f.md5) for f in run.files()], [line.content for line in run.console_logs()],
        list(run.scan_history()), run.history(samples=3, pandas=False), run.history(stream="system", pandas=False)])
assert "wandb" not in sys.modules
print(json.dumps([len(answers), hashlib.sha256(json.dumps(answers, default=str).encode()).hexdigest()]))
"""


def _fill(sandbox: Sandbox, count: int = 5) -> None:
    for number in range(count):
        sandbox.state.add_run(
            ENTITY, PROJECT, f"r{number}", config={"lr": number}, summary={"n": number}, console=["a line"],
            files={"f.txt": b"bytes"}, history=[{"_step": step, "loss": 1 / (step + 1)} for step in range(20)],
            events=[{"_timestamp": 1.7e9 + n, "_runtime": n, "system.cpu": 1.5} for n in range(5)],
        )  # fmt: skip


def test_every_answer_is_the_same_after_a_restart_with_no_socket_and_no_wandb(sandbox: Sandbox, mirror: Mirror) -> None:
    _fill(sandbox)
    mirror.pull()
    command = [sys.executable, "-c", ANSWERS, str(mirror.home.root), SOURCE]
    first, second = (json.loads(subprocess.check_output(command)) for _ in range(2))
    assert first == second
    assert first[0] == 5


def test_objects_travel_to_other_processes_by_pickle(sandbox: Sandbox, mirror: Mirror) -> None:
    _fill(sandbox)
    mirror.pull()
    api = Api(mirror.home)
    runs = api.runs(SOURCE)
    run = runs[2]
    run.tags.append("changed here")
    run.config["lr"] = 7
    for made in (api, runs, run, run.files(), run.file("f.txt"), run.console_logs(), run.scan_history(), run.summary):
        assert type(pickle.loads(pickle.dumps(made))) is type(made)
    travelled: Run = pickle.loads(pickle.dumps(run))
    assert (travelled.tags, travelled.config) == (["changed here"], {"lr": 7})
    assert travelled.file("f.txt").size == 5
    assert [other.id for other in pickle.loads(pickle.dumps(runs))] == [other.id for other in runs]


def test_errors_travel_too() -> None:
    error = pickle.loads(pickle.dumps(RunNotFoundError("Could not find run", hint="pull it")))
    assert isinstance(error, CommError)
    assert (error.message, error.hint) == ("Could not find run", "pull it")


def _states(run: Run) -> list[Any]:
    return [run.load(force=True)["state"], len(list(run.scan_history()))]


def test_a_forked_worker_and_threads_read_on(sandbox: Sandbox, mirror: Mirror) -> None:
    _fill(sandbox)
    mirror.pull()
    runs = list(Api(mirror.home).runs(SOURCE))
    expected = [_states(run) for run in runs]  # the lake is open when the process forks
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_states, runs) == expected
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(_states, runs * 3)) == expected * 3


READING = """
import sys, mirror
api = mirror.Api(sys.argv[1])
print("ready", flush=True)
seen = 0
for line in sys.stdin:
    api.flush()
    for run in api.runs(sys.argv[2], lazy=False):
        rows = sum(1 for _ in run.scan_history())
        assert rows == run.config["rows"], (run.id, rows, run.config)  # history and config are of one commit
        assert run.file("f.txt").size == 5
        seen += 1
print(seen)
"""


def test_a_reader_beside_a_pull_sees_whole_commits_and_no_error(sandbox: Sandbox, mirror: Mirror) -> None:
    def add(name: str, rows: int) -> None:
        sandbox.state.add_run(
            ENTITY, PROJECT, name, config={"rows": rows}, files={"f.txt": b"bytes"},
            history=[{"_step": step, "loss": 1.0} for step in range(rows)],
        )  # fmt: skip

    add("r0", 3)
    mirror.pull()
    command = [sys.executable, "-c", READING, str(mirror.home.root), SOURCE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for number in range(1, 4):
            reader.stdin.write("look\n" * 3)
            reader.stdin.flush()
            add(f"r{number}", number + 2)
            assert mirror.pull().errors == []
        output, _ = reader.communicate("look\n")
    assert reader.returncode == 0
    assert int(output) >= 6
