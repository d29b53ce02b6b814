"""Runs that go upstream side by side ask together, and whatever one answer for many lacks costs requests alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replay.trainings import Training, add
from tests.replaying import Sender

RUNS = 6
THERE, LOOKS, ADDRESSES = "MirrorRunsThere", "MirrorSyncedRuns", "MirrorCreateFilesOfRuns"
ALONE = "MirrorSyncedRunAndFiles", "MirrorCreateFiles"
A_REFUSAL = "aliases are not allowed here"


def train(sender: Sender, folder: Path) -> None:
    """Runs of two projects, which wait to be brought upstream."""
    for number in range(RUNS):
        training = Training(folder, f"r{number}", project=PROJECT if number % 3 else "other")
        training.log(3)
        training.save("notes.txt", f"of {number}".encode())
        training.finish()
    add(sender, folder)


def check_upstream(sandbox: Sandbox) -> None:
    """Everything of each run is there once."""
    for number in range(RUNS):
        run = sandbox.state.run(ENTITY, PROJECT if number % 3 else "other", f"r{number}")
        assert ([row["_step"] for row in run.history], run.state) == ([0, 1, 2], "finished")
        file = run.files["notes.txt"]
        assert file.listed
        assert sandbox.state.bucket.get(file.object_key) == f"of {number}".encode()


def count(sandbox: Sandbox, *operations: str) -> int:
    return sum(len(sandbox.requests.select(operation)) for operation in operations)


def test_they_ask_for_addresses_and_look_again_together(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    train(sender, tmp_path)
    sandbox.faults.add(Fault.latency(0.2, match=Match(kind="graphql")))
    assert sender.replay().applied == RUNS
    check_upstream(sandbox)
    assert count(sandbox, LOOKS) > 0
    assert count(sandbox, ADDRESSES) > 0
    assert count(sandbox, "MirrorRun") == 0, "what a project that is not there holds is not there either"


def without_a_file(answer: Any) -> Any:
    """The answer, in which one run was given no addresses, and another one does not list its files."""
    data = answer["data"]
    if "r0" in data:
        data["r0"] = {"runID": None, "uploadHeaders": [], "files": []}
    elif data.get("project"):
        data["project"]["r0"]["files"] = {"edges": None}
    return answer


def of_another_type(answer: Any) -> Any:
    """The answer, in which one run is a number, and another one is not there."""
    data = answer["data"]
    runs = data if "r0" in data else data.get("project") or {}
    runs |= {"r0": 7, "r1": None}
    return answer


def of_no_shape(answer: Any) -> Any:
    """The answer, in which nothing is where it should be."""
    return answer | {"data": {"project": 7, "r0": []}}


HOW: dict[str, Callable[[Match], Sequence[Fault]]] = {
    "it refuses such documents": lambda match: [Fault.graphql_error(A_REFUSAL, status=400, match=match)],
    "they are too complex for it": lambda match: [
        Fault.status(400, match=replace(match, query="summaryMetrics"))  # in words that tell nothing
    ],
    "it fails at them": lambda match: [Fault.status(500, match=match)],
    "its answers are lost": lambda match: [Fault.lost_answer(match=match)],
    "its answers have no shape": lambda match: [Fault.lie(of_no_shape, match=match)],
    "one run lacks a part": lambda match: [Fault.lie(without_a_file, match=match)],
    "one run has another type, and one is null": lambda match: [Fault.lie(of_another_type, match=match)],
    "one run's state fails": lambda match: [Fault.field_error("Run.state", run="r4", times=1, match=match)],
}


@pytest.mark.parametrize("how", HOW)
def test_of_what_an_answer_for_many_lacks_each_asks_alone(
    sandbox: Sandbox, sender: Sender, tmp_path: Path, how: str
) -> None:
    train(sender, tmp_path)
    sandbox.faults.add(Fault.latency(0.02, match=Match(kind="graphql")))
    for operation in (THERE, LOOKS, ADDRESSES):
        sandbox.faults.add(*HOW[how](Match(kind="graphql", operation=operation)))
    assert sender.replay().applied == RUNS
    check_upstream(sandbox)
    assert count(sandbox, ALONE[0]) > 0, "some were looked at alone"
    asked = sandbox.requests.select(ALONE[0])[-1].query or ""
    assert all(field in asked for field in ("config", "summaryMetrics", "eventsLineCount", "files")), asked
